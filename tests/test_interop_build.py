"""How the interop tests' Collector is built: from a fresh clone, with the modules that are committed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.interop import build

pytestmark = pytest.mark.process


def test_collector_modules_are_those_of_the_builder_configuration() -> None:
    go_mod = (build.COLLECTOR / "go.mod").read_text()
    go_sum = (build.COLLECTOR / "go.sum").read_text()
    required = build.required_modules()
    assert len(required) > 5
    for module, version in required.items():
        assert build.pinned(module, build.COLLECTOR) == version, "run: make interop-lock"
        assert f"{module} {version} h1:" in go_sum, "run: make interop-lock"
    assert re.search(r"^module \S+/interop/collector$", go_mod, re.MULTILINE)


def test_collector_is_compiled_with_a_go_mod_where_no_older_build_left_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The builder writes no go.mod when it is told not to get modules."""
    sources = tmp_path / "collector"
    commands = []

    def go(command: list[str], folder: Path = tmp_path) -> str:
        commands.append(command)
        if command[:3] == ["go", "mod", "download"]:
            return f'{{"Dir": "{tmp_path}"}}'
        if command[0] == str(tmp_path / "builder"):
            sources.mkdir()  # fails where the files of an older build were not removed
        elif folder == sources:
            assert (sources / "go.mod").read_text() == (build.COLLECTOR / "go.mod").read_text()
            assert (sources / "go.sum").read_text() == (build.COLLECTOR / "go.sum").read_text()
            assert "-mod=readonly" in command
        return ""

    monkeypatch.setattr(build, "PLACE", tmp_path)
    monkeypatch.setattr(build, "BIN", tmp_path)
    monkeypatch.setattr(build, "_go", go)
    for _first_and_again in range(2):
        build.BACKENDS["collector"]()
    assert [command[:2] for command in commands].count(["go", "build"]) == 4
