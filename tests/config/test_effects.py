"""No setting is taken and then forgotten: each is read by somebody, or says that it can have one value only."""

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
    """Every attribute that is read of anything, and every key that is asked for by name."""
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


ALL = {one for kinds in COMPONENTS.values() for kind in kinds.values() for one in settings(kind)} | {*settings(Service)}


def test_every_setting_is_read() -> None:
    read = read_names()
    unread = {(block, key) for block, key in ALL - FIXED if key not in read and not key.endswith("_endpoint")}
    assert unread == set()
    assert "url" in read  # how the code reads `traces_endpoint` and the like


def test_a_setting_that_nothing_reads_takes_one_value(subtests: pytest.Subtests) -> None:
    kinds = {Service, *(kind for known in COMPONENTS.values() for kind in known.values())}
    for block, key in sorted(FIXED):
        with subtests.test(block=block, key=key):
            (field,) = {repr(field) for kind in kinds for field in [found(kind, block, key)] if field is not None}
            assert "Literal" in field or "AfterValidator" in field


def found(kind: type[Section], block: str, key: str) -> object | None:
    """The field of a block somewhere below."""
    if kind.__name__ == block:
        return kind.model_fields[key]
    inner = [section_in(field.annotation) for field in kind.model_fields.values()]
    return next((one for below in inner if below for one in [found(below, block, key)] if one is not None), None)
