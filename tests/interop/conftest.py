"""The marker of the tests with real backends, and their table. They run only where they are asked for by name
(`-m interop`, `make interop`), since they want programs that `tests.interop.build` compiles for half an hour.

A backend that this machine cannot have is said in the table, with the reason, and its tests are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.interop.build import VERSIONS, built, reasons

HERE = Path(__file__).parent
_RESULTS: list[tuple[str, str, str, str]] = []
_ENDED = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "interop: real backends; `make interop` builds them: -m interop")
    config.addinivalue_line("markers", "backend(name): the real program that the test needs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "interop" in config.option.markexpr:
        return
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    config.hook.pytest_deselected(items=ours)
    items[:] = [item for item in items if item not in ours]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("backend"):
        name = str(mark.args[0])
        if not built(name):
            pytest.skip(reasons().get(name) or f"{name} is not built: make interop-build")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    report = yield
    if item.path.is_relative_to(HERE) and (report.when == "call" or report.outcome != "passed"):
        names = [str(mark.args[0]) for mark in item.iter_markers("backend")] or ["receiver"]
        check = _said(item)
        why = f": {report.longrepr[2].removeprefix('Skipped: ')}" if report.outcome == "skipped" else ""
        result = _ENDED[report.outcome] + why
        _RESULTS.extend((name, _short(VERSIONS.get(name, "")), check, result) for name in names)
    return report


def _said(item: pytest.Item) -> str:
    """A test's name as a sentence, with its parameter."""
    name, _, parameter = item.name.removeprefix("test_").partition("[")
    return name.replace("_", " ") + (f": {parameter.removesuffix(']')}" if parameter else "")


def _short(version: str) -> str:
    """A version; of a commit between two releases, its day and name."""
    commit = re.fullmatch(r"v[\d.]+-0\.(\d{4})(\d\d)(\d\d)\d+-(\w{7})\w*", version)
    return f"{commit[4]} of {commit[1]}-{commit[2]}-{commit[3]}" if commit else version


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not _RESULTS:
        return
    table = Table("backend", "version", "check", "result", title="interop")
    for row in sorted(_RESULTS, key=lambda row: row[0]):
        table.add_row(*map(escape, row))
    terminalreporter.ensure_newline()
    Console(file=terminalreporter._tw._file, width=150).print(table)
