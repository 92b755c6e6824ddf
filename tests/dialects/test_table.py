"""The table of dialects is complete: a new dialect is a file, a row in the table and a test module."""

import ast
from pathlib import Path

from receiver.dialects.table import DIALECTS
from tests.support.paths import ROOT

DIALECT_FOLDER, TEST_FOLDER = ROOT / "receiver" / "dialects", ROOT / "tests" / "dialects"
READERS = {"logs", "metrics", "spans"}


def dialect_files() -> list[Path]:
    """The modules of all agents' folders that define a reader."""
    return [
        path
        for path in sorted(DIALECT_FOLDER.glob("*/*.py"))
        if path.parent.name != "shared" and readers_of(path) and path.name != "__init__.py"
    ]


def readers_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return READERS & {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_reader_of_a_dialect_is_in_the_table() -> None:
    in_table = {
        f"{reader.__module__}.{reader.__name__}"
        for dialect in DIALECTS
        for reader in (dialect.logs, dialect.metrics, dialect.spans)
        if reader is not None
    }
    in_files = {
        f"receiver.dialects.{path.parent.name}.{path.stem}.{reader}"
        for path in dialect_files()
        for reader in readers_of(path)
    }
    assert in_files == in_table


def test_every_dialect_has_a_test_module() -> None:
    for path in dialect_files():
        assert (TEST_FOLDER / path.parent.name / f"test_{path.name}").is_file(), path


def test_dialects_have_different_names() -> None:
    names = [dialect.name for dialect in DIALECTS]
    assert len(set(names)) == len(names)
