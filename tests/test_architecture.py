"""The shape of the code: the rooms (folders) of receiver/, the direction of imports (.importlinter), the size of files,
and what each file may not use.
"""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "receiver"
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if not path.stem.endswith(("_pb2", "_pb2_grpc")))
MAX_CODE_LINES = 600  # without blank lines, comments and docstrings, so that documentation costs nothing
MAX_TOP_FILES = 8
ROOMS = {
    *("admin", "app", "cli", "codec", "config", "core", "diagnostics", "dialects", "exporters", "net", "otlp"),
    *("pipeline", "recordings", "storage", "telemetry", "terminal"),
    *("config/load", "config/model", "config/schema"),
    *("core/counting", "core/emission", "core/linking", "core/segmentation", "core/state"),
    *("dialects/claude_code", "dialects/codex", "dialects/copilot", "dialects/opencode", "dialects/qwen"),
    "dialects/shared",
}  # a new room is a decision: it is added here and gets its layer in .importlinter
# Time is an argument in the core, and ids are derived: nothing there is random.
IMPURE = {"asyncio", "datetime", "logging", "os", "random", "secrets", "structlog", "time", "uuid"}
PROCESS = {("os", "environ"), ("os", "getenv"), ("os", "_exit"), ("sys", "exit")}
MAY_USE_PROCESS = {
    "__main__.py": {("os", "environ"), ("sys", "exit")},
    "cli/main.py": {("os", "environ")},
    "cli/run.py": {("os", "_exit")},  # a second signal ends the process at once
    "telemetry/environment.py": {("os", "environ")},  # hides OTEL_* from OpenTelemetry's SDK
}


@pytest.mark.process
def test_imports_follow_the_layers() -> None:
    # In its own process: import-linter reconfigures logging, which would silence loggers that other tests check.
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", lint, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Imports run one way KEPT" in done.stdout


def test_the_rooms_are_those_listed_and_few_files_are_outside_them() -> None:
    assert {room(path) for path in SOURCES} - {""} == ROOMS
    outside = [path.name for path in PACKAGE.iterdir() if path.is_file() and not path.name.startswith(".")]
    assert len(outside) <= MAX_TOP_FILES, outside


def test_no_rooms_import_one_another_in_a_cycle() -> None:
    """Files at the top of receiver/ count as a room each, and so do those of a room that has rooms in it."""
    imports = room_imports()
    assert len(imports) > len(ROOMS)
    in_cycles = sorted(name for name in imports if name in reachable(name, imports))
    assert in_cycles == []


def test_every_file_opens_with_a_docstring() -> None:
    assert [name(path) for path in SOURCES if not ast.get_docstring(parsed(path))] == []


def test_no_file_has_more_code_than_fits_one_idea() -> None:
    assert {name(path): lines for path in SOURCES if (lines := code_lines(path)) > MAX_CODE_LINES} == {}


def test_blank_lines_comments_and_docstrings_are_not_counted_as_code(tmp_path: Path) -> None:
    source = tmp_path / "source.py"
    source.write_text(
        '"""Two\nlines."""\n\n# why\nvalue = (\n    1,  # one\n)\n\n\ndef f():\n    """Doc."""\n    return """\n"""\n'
    )
    assert code_lines(source) == 6


def test_the_core_uses_no_clock_and_no_randomness() -> None:
    core = [path for path in SOURCES if name(path).startswith("core/")]
    assert core
    assert {name(path): used for path in core if (used := imported_packages(path) & IMPURE)} == {}


def test_only_the_command_line_uses_the_environment_and_exits() -> None:
    used = {name(path): uses_of_process(path) for path in SOURCES}
    assert {file: uses for file, uses in used.items() if uses} == MAY_USE_PROCESS


def name(path: Path) -> str:
    """A source file's path inside receiver/."""
    return path.relative_to(PACKAGE).as_posix()


def room(path: Path) -> str:
    """The folder of a source file inside receiver/; empty for a file at its top."""
    folder = path.parent.relative_to(PACKAGE).as_posix()
    return "" if folder == "." else folder


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def code_lines(path: Path) -> int:
    """How many lines of a file hold code."""
    text = path.read_text(encoding="utf-8")
    ignored = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in ignored:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines.difference(*docstring_lines(ast.parse(text))))


def docstring_lines(tree: ast.Module) -> Iterator[range]:
    for node in ast.walk(tree):
        documentable = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documentable and ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            yield range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1)


def room_imports() -> dict[str, set[str]]:
    """The rooms that each room imports; a file at the top, or beside rooms, is a room of its own."""
    rooms = {module(path): own_room(path) for path in SOURCES}
    imports: dict[str, set[str]] = {one: set() for one in rooms.values()}
    for path in SOURCES:
        importing = own_room(path)
        for target in imported_modules(path):
            imported = rooms.get(target) or rooms.get(target.rpartition(".")[0])
            if imported is not None and imported != importing:
                imports[importing].add(imported)
    return imports


def own_room(path: Path) -> str:
    folder = room(path)
    has_rooms = any(other.startswith(f"{folder}/" if folder else "") for other in ROOMS)
    return name(path) if has_rooms and path.name != "__init__.py" else folder or "__init__"


def module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(path: Path) -> set[str]:
    """Every `receiver...` name that a file imports from, with and without the imported name."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "receiver":
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def reachable(start: str, imports: dict[str, set[str]]) -> set[str]:
    """Everything that a room imports, directly or not."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for other in imports[waiting.pop()] - found:
            found.add(other)
            waiting.append(other)
    return found


def imported_packages(path: Path) -> set[str]:
    """The top-level packages that a file imports."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def uses_of_process(path: Path) -> set[tuple[str, str]]:
    """Which parts of PROCESS a file uses, as attributes or by `from ... import`."""
    tree = parsed(path)
    attributes = {
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    names = {
        (node.module or "", alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return (attributes | names) & PROCESS
