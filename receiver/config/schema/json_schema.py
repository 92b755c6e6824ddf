"""The configuration's JSON Schema, for editors that complete and check YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from receiver.config.model.components import ALIASES, COMPONENTS
from receiver.config.model.section import Section
from receiver.config.model.service import Service


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of a whole file. It checks neither values below a path key (`a::b`) nor cross checks."""
    kinds = {kind for by_type in COMPONENTS.values() for kind in by_type.values()} | {Service}
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, definitions = models_json_schema([(kind, "validation") for kind in ordered])
    properties = {section: _section(section, by_type) for section, by_type in COMPONENTS.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "opencode-trace-receiver configuration",
        "type": "object",
        "additionalProperties": False,
        "properties": {**properties, "service": _block(Service)},
        "patternProperties": _PATHS,
        "$defs": {name: _written(block) for name, block in definitions["$defs"].items()}
        | {"Reference": _REFERENCE, "Path": _PATH},
    }


# yaml-language-server takes a key's description from the forms of its value. A description here would hide the key's
# own where a value fits no form; without `properties` all forms look the same to it, and it would show each.
_REFERENCE = {
    "$comment": "a reference such as ${env:NAME}",
    "type": "string",
    "pattern": r"\$\{[^}]*\}",
    "properties": {},
}
_REFER = {"$ref": "#/$defs/Reference"}
_PATH = {"description": "`a::b: 1` is short for `a: {b: 1}`; `validate` checks it, an editor does not"}
_PATHS = {"::": {"$ref": "#/$defs/Path"}}
_NULL = {"type": "null"}
_ABOUT = ("title", "description", "default")


def _written(block: dict[str, Any]) -> dict[str, Any]:
    """A block as people write it.

    Any value may be a reference, a key without a value has its default, and the keys of an inner block may be written
    here as paths.
    """
    stated = block["properties"]
    required = [key for key in block.get("required", ()) if not {"default", "$ref"} & set(stated[key])]
    properties = {key: _value(value, required=key in required) for key, value in stated.items()}
    rest = {key: value for key, value in block.items() if key != "required"}
    needed = {"required": required} if required else {}
    return {**rest, "properties": properties, "patternProperties": _PATHS, **needed}


def _value(value: dict[str, Any], *, required: bool) -> dict[str, Any]:
    about = {key: value[key] for key in _ABOUT if key in value}
    form = {key: part for key, part in value.items() if key not in _ABOUT}
    forms = list(form["anyOf"]) if set(form) == {"anyOf"} else [form]
    if not required and _NULL not in forms:
        forms.append(_NULL)
    return {**about, "anyOf": [*map(_inside, forms), _REFER]}


def _inside(form: dict[str, Any]) -> dict[str, Any]:
    """The form of a list or map whose values may be references, and a map's keys paths."""
    inner: dict[str, Any] = {
        key: {"anyOf": [form[key], _REFER]} for key in ("items", "additionalProperties") if form.get(key)
    }
    if "propertyNames" in form:
        inner["propertyNames"] = {"anyOf": [form["propertyNames"], {"pattern": "::"}]}
        inner["patternProperties"] = _PATHS
    return {**form, **inner}


def _section(section: str, by_type: Mapping[str, type[Section]]) -> dict[str, Any]:
    names = {**{name: name for name in by_type}, **ALIASES.get(section, {})}
    patterns = {f"^{name}(/((?!::).)+)?$": _block(by_type[kind]) for name, kind in names.items()}
    whole = {"type": ["object", "null"], "additionalProperties": False, "patternProperties": patterns | _PATHS}
    return {"anyOf": [whole, _REFER]}


def _block(kind: type[Section]) -> dict[str, Any]:
    fields = kind.model_fields.values()
    bare = not any(field.is_required() and field.json_schema_extra is None for field in fields)
    return {"anyOf": [{"$ref": f"#/$defs/{kind.__name__}"}, *([_NULL] if bare else ()), _REFER]}


def text() -> str:
    """The schema as the text of a file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
