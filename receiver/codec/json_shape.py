"""Where OTLP/JSON has something else than an object for a message. protobuf's parser looks for the names of fields in
whatever it finds there: in a text, where it finds none, so that `"body": "text"` would be an empty body. The
Collector refuses it.
"""

from __future__ import annotations

from functools import cache
from typing import Any


def misshapen(document: dict[str, Any], message: Any) -> str:
    """The path of the first field that must be an object, or hold objects, and does not; empty where all is well.
    `message` is its descriptor. null, and what stands for a list, are left to the parser.
    """
    fields = _messages(message)
    for key, value in document.items():
        if key in fields and (path := _within(value, fields[key])):
            return path
    return ""


def _within(value: Any, field: Any) -> str:
    name: str = field.camelcase_name
    items = value if field.is_repeated and isinstance(value, list) else (value,)
    for item in items:
        if isinstance(item, dict):
            if inner := misshapen(item, field.message_type):
                return f"{name}.{inner}"
        elif item is not None:
            return name
    return ""


@cache
def _messages(message: Any) -> dict[str, Any]:
    """The fields that hold messages, by either of their names, as the parser takes them."""
    fields = [field for field in message.fields if field.message_type is not None]
    return {name: field for field in fields for name in (field.camelcase_name, field.name)}
