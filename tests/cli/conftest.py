"""What the tests of the command line share: an empty home, and commands in this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from receiver.cli.main import run_command


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, which is the working folder too, and none of the developer's variables."""
    for name in [name for name in os.environ if name.startswith(("OTEL_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes]) -> Callable[..., tuple[int, bytes, str]]:
    """Run a command in this process; its exit code, output and errors."""

    def run(*arguments: str) -> tuple[int, bytes, str]:
        try:
            code = run_command(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capsysbinary.readouterr()
        return code, out, err.decode()

    return run


@pytest.fixture
def run_text(run: Callable[..., tuple[int, bytes, str]]) -> Callable[..., tuple[int, str, str]]:
    """Like `run`, with the output as text."""

    def run_text(*arguments: str) -> tuple[int, str, str]:
        code, out, err = run(*arguments)
        return code, out.decode(), err

    return run_text
