"""The configuration's JSON Schema, for editors that complete and check YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from receiver.config.components import ALIASES, COMPONENTS
from receiver.config.section import Section
from receiver.config.service import Service


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of a whole file. Values with `${env:…}` are beyond it where they are not text."""
    kinds = {kind for known in COMPONENTS.values() for kind in known.values()} | {Service}
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, definitions = models_json_schema([(kind, "validation") for kind in ordered])
    properties = {section: _section(section, known) for section, known in COMPONENTS.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "opencode-trace-receiver configuration",
        "type": "object",
        "additionalProperties": False,
        "properties": {**properties, "service": _block(Service)},
        "$defs": definitions["$defs"],
    }


def _section(section: str, known: Mapping[str, type[Section]]) -> dict[str, Any]:
    names = {**{name: name for name in known}, **ALIASES.get(section, {})}
    patterns = {f"^{name}(/.+)?$": _block(known[kind]) for name, kind in names.items()}
    return {"type": ["object", "null"], "additionalProperties": False, "patternProperties": patterns}


def _block(kind: type[Section]) -> dict[str, Any]:
    return {"anyOf": [{"$ref": f"#/$defs/{kind.__name__}"}, {"type": "null"}]}


def text() -> str:
    """The schema as a file holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
