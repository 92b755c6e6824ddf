"""The shape of the code: which way imports run (.importlinter), and what each file may and may not hold."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import ROOT

SOURCES = sorted(path for path in (ROOT / "receiver").rglob("*.py") if not path.stem.endswith(("_pb2", "_pb2_grpc")))
MAX_LINES = 600
# time is an argument in the core, and nothing is drawn: ids are derived
IMPURE = {"asyncio", "datetime", "logging", "os", "random", "secrets", "structlog", "time", "uuid"}
PROCESS = {("os", "environ"), ("os", "getenv"), ("os", "_exit"), ("sys", "exit")}
KNOWS_THE_PROCESS = {
    "cli/main.py",
    "__main__.py",
    "telemetry/environment.py",
}  # the last hides variables from their readers


def name(path: Path) -> str:
    """A source file's path as a test's name."""
    return path.relative_to(ROOT / "receiver").as_posix()


@pytest.mark.process
def test_imports_run_one_way() -> None:
    # A process of its own: it sets logging up anew, which silences the loggers that other tests listen to.
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", lint, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Imports run one way KEPT" in done.stdout


def test_every_file_opens_with_a_docstring() -> None:
    assert [name(path) for path in SOURCES if not ast.get_docstring(parsed(path))] == []


def test_no_file_is_too_long() -> None:
    assert [name(path) for path in SOURCES if len(path.read_text(encoding="utf-8").splitlines()) > MAX_LINES] == []


def test_the_core_imports_no_clock_and_no_randomness() -> None:
    core = [path for path in SOURCES if name(path).startswith("core/")]
    assert core
    assert [(name(path), module) for path in core for module in imported(path) & IMPURE] == []


def test_only_the_command_line_uses_the_environment_and_exits() -> None:
    others = [path for path in SOURCES if name(path) not in KNOWS_THE_PROCESS]
    assert [(name(path), use) for path in others for use in used_names(path) & PROCESS] == []


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def used_names(path: Path) -> set[tuple[str | None, str]]:
    """Attributes of modules that a file uses, as (module, attribute)."""
    nodes = list(ast.walk(parsed(path)))
    used = {(node.value.id, node.attr) for node in nodes if is_attribute_of_a_name(node)}
    return used | {
        (node.module, alias.name) for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }


def is_attribute_of_a_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found
