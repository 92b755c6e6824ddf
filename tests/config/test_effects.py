"""Each setting has an effect: the program reads it, or it allows one value only."""

import ast
from collections.abc import Iterator

import pytest

from receiver.config.model.components import COMPONENTS
from receiver.config.model.section import Section, section_in
from receiver.config.model.service import Service
from tests.support.paths import ROOT

PACKAGE = ROOT / "receiver"
# They say what holds in any case, and take nothing else; or they are checked where they are defined.
FIXED = {
    ("GRPCServer", "transport"),
    ("HTTPServer", "transport"),
    ("SendingQueue", "enabled"),
    ("SendingQueue", "sizer"),
    ("SendingQueue", "block_on_overflow"),
    ("Batch", "sizer"),
    ("FileExporter", "append"),
    ("Prometheus", "without_scope_info"),
    ("Prometheus", "without_units"),
    ("Prometheus", "without_type_suffix"),
}


def read_names() -> set[str]:
    """All attributes that the code reads, and all names that it passes to getattr."""
    found: set[str] = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(node.attr)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
                found |= {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}  # type: ignore[misc]
    return found


def settings(kind: type[Section]) -> Iterator[tuple[str, str]]:
    for name, field in kind.model_fields.items():
        yield kind.__name__, name
        if inner := section_in(field.annotation):
            yield from settings(inner)


ALL = sorted({one for kinds in COMPONENTS.values() for kind in kinds.values() for one in settings(kind)})
READ = read_names()


def test_each_setting_is_read_by_the_program(subtests: pytest.Subtests) -> None:
    for block, key in [*ALL, *sorted(set(settings(Service)))]:
        with subtests.test(block=block, key=key):
            if (block, key) not in FIXED:
                assert key in READ or (key.endswith("_endpoint") and "url" in READ)


def test_a_setting_that_is_not_read_allows_one_value_only(subtests: pytest.Subtests) -> None:
    for block, key in sorted(FIXED):
        with subtests.test(block=block, key=key):
            kinds = {Service, *(kind for known in COMPONENTS.values() for kind in known.values())}
            (field,) = {repr(field) for kind in kinds for field in [found(kind, block, key)] if field is not None}
            assert "Literal" in field or "AfterValidator" in field


def found(kind: type[Section], block: str, key: str) -> object | None:
    """The field at a path of keys."""
    if kind.__name__ == block:
        return kind.model_fields[key]
    inner = [section_in(field.annotation) for field in kind.model_fields.values()]
    return next((one for below in inner if below for one in [found(below, block, key)] if one is not None), None)
