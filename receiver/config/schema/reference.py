"""Writes the table of all settings in docs/configuration.md from the models.

`python -m receiver.config.schema.reference docs/configuration.md` rewrites the page between its markers. A name that
ends in .json gets the JSON Schema. `make docs` does both.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from receiver.config.model.components import COMPONENTS
from receiver.config.model.section import Section, TypeName, section_in
from receiver.config.model.service import Pipeline, Service
from receiver.config.schema.json_schema import text
from receiver.config.schema.unsupported_keys import UNSUPPORTED_KEYS

BEGIN = "<!-- reference: written by `python -m receiver.config.schema.reference docs/configuration.md` -->"
REFUSED = "Keys of the Collector that are refused"
END = "<!-- end of reference -->"
_HEAD = "| key | type | default | |\n|---|---|---|---|"


def reference() -> str:
    """Markdown: a heading and a table for each component, and one for `service`."""
    parts = []
    for section, by_type in COMPONENTS.items():
        for name, kind in by_type.items():
            parts.append(_component(f"{section}::{name}", kind))
    return "\n\n".join([*parts, _component("service", Service), _refused()])


def _refused() -> str:
    """The table of the Collector's keys that are not supported here."""
    places: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for path, kind in _blocks():
        for why, keys in _by_reason(kind).items():
            places.setdefault((why, tuple(keys)), []).append(path)
    rows = [f"| {_quoted(keys)} | {_quoted(paths)} | {why} |" for (why, keys), paths in places.items()]
    return "\n".join([f"### {REFUSED}", "", "| keys | of | why, and what to do |", "|---|---|---|", *rows])


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _blocks() -> Iterator[tuple[str, type[Section]]]:
    for section, by_type in COMPONENTS.items():
        for name, kind in by_type.items():
            yield from _within_block(f"{section}::{name}", kind)
    yield from _within_block("service", Service)


def _within_block(path: str, kind: type[Section]) -> Iterator[tuple[str, type[Section]]]:
    yield path, kind
    for name, field in kind.model_fields.items():
        block = section_in(field.annotation)
        if block is not None:
            yield from _within_block(f"{path}::{name}::{_within(field, block)}".removesuffix("::"), block)


def _by_reason(kind: type[Section]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for parent in kind.__mro__:
        for key, why in UNSUPPORTED_KEYS.get(parent, {}).items():
            found.setdefault(why, []).append(key)
    return found


def page(text: str) -> str:
    """The page with its reference updated. Raises ValueError where the markers are missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no place for the reference: {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n{reference()}\n\n{END}{after}"


def _component(path: str, kind: type[Section]) -> str:
    about = " ".join((kind.__doc__ or "").split())
    rows = "\n".join(_rows("", kind))
    return f"### `{path}`\n\n{about}\n\n{_HEAD}\n{rows}"


def _rows(prefix: str, kind: type[Section]) -> Iterator[str]:
    own = sorted(kind.model_fields.items(), key=lambda item: item[0] not in kind.__annotations__)
    for name, field in own:  # its own fields first, then those of its base classes
        key = f"{prefix}{name}"
        yield f"| `{key}` | {_type(field)} | {_default(field)} | {field.description} |"
        block = section_in(field.annotation)
        if block is not None:
            yield from _rows(f"{key}::{_within(field, block)}", block)


def _within(field: FieldInfo, block: type[Section]) -> str:
    """The path element between a key and the keys of its blocks, where it holds several."""
    if get_origin(field.annotation) is tuple:
        return "<number>::"
    return "<id>::" if block is Pipeline else ""


def _type(field: FieldInfo) -> str:
    named = next((one for one in field.metadata if isinstance(one, TypeName)), None)
    return named.name if named else _name(field.annotation)


def _name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        named = next((one for one in arguments[1:] if isinstance(one, TypeName)), None)
        return named.name if named else _name(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{_yaml(one)}`" for one in arguments)
    if origin is tuple:
        return f"list of {_name(arguments[0])}{'s' if section_in(arguments[0]) else ''}"
    if section_in(annotation) is not None:
        return "map of blocks" if section_in(annotation) is Pipeline else "block"
    inner = [one for one in arguments if one is not type(None)]
    return _name(inner[0]) if inner else str(annotation)


def _default(field: FieldInfo) -> str:
    stated = field.json_schema_extra
    if isinstance(stated, dict):
        text = str(stated["default"])
        return f"`{text}`" if " " not in text else text
    if field.is_required():
        return "required"
    if field.default is None:
        return "off" if section_in(field.annotation) else "unset"
    return "" if isinstance(field.default, Section) else f"`{_yaml(field.default)}`"


def _yaml(value: object) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True, width=1000).removesuffix("...\n").strip()


if __name__ == "__main__":
    for _path in map(Path, sys.argv[1:]):
        _new = text() if _path.suffix == ".json" else page(_path.read_text(encoding="utf-8"))
        _path.write_text(_new, encoding="utf-8")
