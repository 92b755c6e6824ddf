"""Translates OTLP/JSON to protobuf and back, for Export requests and responses.

OTLP/JSON differs from protobuf's own JSON mapping (OTLP specification, "JSON Protobuf Encoding"): trace and span ids
are hex, enums are integers, unknown fields are ignored. protobuf's parser would read hex ids as base64 without an
error, so they are rewritten first.

A message must be a JSON object. protobuf's parser would search a text in its place for field names and find none, so
that `"body": "text"` became an empty body. Such a request is refused, as in the Collector.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import unhexlify
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeAlias

import msgspec
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message

from receiver.codec.export_service import EXPORT_SERVICES
from receiver.errors import MalformedError, TooLargeError
from receiver.model import Signal

_Path: TypeAlias = tuple[str, ...]
# The paths of the objects that have ids. Only these are rewritten, so that an attribute or an unknown field called
# traceId stays as it is.
_OBJECTS_WITH_IDS: dict[Signal, tuple[_Path, ...]] = {
    "logs": (("resourceLogs", "scopeLogs", "logRecords"),),
    "traces": (
        ("resourceSpans", "scopeSpans", "spans"),
        ("resourceSpans", "scopeSpans", "spans", "links"),
    ),
    "metrics": tuple(
        ("resourceMetrics", "scopeMetrics", "metrics", kind, "dataPoints", "exemplars")
        for kind in ("gauge", "sum", "histogram", "exponentialHistogram")
    ),
}
# protobuf's parser also accepts the names of the .proto file, so an id may have either name.
_IDS = ("traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id")
# protobuf's parser takes some 10 µs and 200 bytes for an object, so these take 5 s and 100 MiB. A Collector's batch of
# 8,192 log records has less than half as many. Protobuf bodies have no such limit.
_MAX_OBJECTS = 500_000
# An unclosed string reaches to the end. Possessive quantifiers avoid scanning to the end again for each quote in it.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_UPPER = re.compile("[A-Z]")

# JavaScript can cut a string inside a surrogate pair, and then writes the remaining half as an escape. The pattern
# matches every escape, so that an escaped backslash before a "u" is not read as one.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_REPLACEMENT = rb"\ufffd"
_FIELD = re.compile(r"Failed to parse (\w+) field")


def to_protobuf(signal: Signal, body: bytes) -> bytes:
    """An Export request of `signal` in OTLP/JSON, as a serialized protobuf message.

    Raises MalformedError, which names the field where it is known, and TooLargeError.
    """
    if body.count(b"{") > _MAX_OBJECTS and _STRING.sub(b"", body).count(b"{") > _MAX_OBJECTS:
        raise TooLargeError(f"the JSON body has more than {_MAX_OBJECTS} objects; send smaller batches, or protobuf")
    try:
        document = loads(body)
        if not isinstance(document, dict):
            raise MalformedError("the body is not a JSON object")
        _rewrite_ids(signal, document, _hex_to_base64)
        _check_objects(signal, document)
        message = ParseDict(document, EXPORT_SERVICES[signal].request(), ignore_unknown_fields=True)
        return message.SerializeToString()
    except RecursionError:
        raise MalformedError("the JSON body is nested too deeply") from None
    except (ParseError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise MalformedError(
            f"the JSON body is not an Export request for {signal}: {_described(signal, error)}"
        ) from None


def from_protobuf(signal: Signal, body: bytes) -> str:
    """A serialized Export request of `signal` as one line of OTLP/JSON, without a line break at its end.

    Raises MalformedError when `body` is not such a message.
    """
    try:
        document = _document(EXPORT_SERVICES[signal].request.FromString(body))
    except Exception as error:  # DecodeError, and json_format's own errors for what JSON cannot hold
        raise MalformedError(f"not an Export request for {signal}: {_line(error)}") from None
    _rewrite_ids(signal, document, _base64_to_hex)
    return msgspec.json.encode(document).decode()


def response_json(message: Message) -> bytes:
    """An Export response or a google.rpc.Status in JSON."""
    return msgspec.json.encode(_document(message))


def _document(message: Message) -> dict[str, Any]:
    return MessageToDict(message, use_integers_for_enums=True)


def loads(body: bytes) -> Any:
    """JSON as JavaScript writes it. Raises msgspec.DecodeError or UnicodeDecodeError, which are ValueErrors."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        if b"\\ud" not in body and b"\\uD" not in body:
            raise
        return msgspec.json.decode(_ESCAPE.sub(_without_lone_surrogate, body))


def _check_objects(signal: Signal, document: dict[str, Any]) -> None:
    """Raises MalformedError where a field is not the object that it must be."""
    if path := first_non_object(document, EXPORT_SERVICES[signal].request.DESCRIPTOR):
        raise MalformedError(f"{path} is not a JSON object, which it must be")


def _without_lone_surrogate(escape: re.Match[bytes]) -> bytes:
    return _REPLACEMENT if escape[1] else escape[0]


def _rewrite_ids(signal: Signal, document: dict[str, Any], rewrite: Callable[[str, Any], str]) -> None:
    for path in _OBJECTS_WITH_IDS[signal]:
        for holder in _descend(document, path):
            for name in _IDS:
                value = holder.get(name)
                if value is not None:
                    holder[name] = rewrite(name, value)


def _descend(node: Any, path: _Path) -> Iterator[dict[str, Any]]:
    """The objects at the end of `path`. Values of other shapes are skipped; the parser reports them."""
    if not isinstance(node, dict):
        return
    if not path:
        yield node
        return
    child = node.get(path[0], node.get(_UPPER.sub(lambda upper: "_" + upper[0].lower(), path[0])))
    for item in child if isinstance(child, list) else (child,):
        yield from _descend(item, path[1:])


def _hex_to_base64(name: str, value: Any) -> str:
    try:
        return b64encode(unhexlify(value)).decode()
    except (ValueError, TypeError):
        raise MalformedError(f"{name} is not a string of hex digits") from None


def _base64_to_hex(name: str, value: Any) -> str:
    return b64decode(value).hex()


def _described(signal: Signal, error: Exception) -> str:
    """The field that is wrong, for the client and the log.

    protobuf's own message quotes the value, which may be a prompt, so only known field names are taken from it.
    """
    if not isinstance(error, ParseError):
        return _line(error)
    message: Any = EXPORT_SERVICES[signal].request.DESCRIPTOR
    path: list[str] = []
    for name in _FIELD.findall(str(error)):
        if message is None or (field := message.fields_by_camelcase_name.get(name)) is None:
            break
        path.append(name)
        message = field.message_type
    return f"{'.'.join(path) or 'a field'} has an invalid value"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def first_non_object(document: dict[str, Any], message: Any) -> str:
    """The path of the first field that should be an object or hold objects, and does not; empty if there is none.

    `message` is the document's descriptor. null and a wrong value for a list are left to the parser.
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
            if inner := first_non_object(item, field.message_type):
                return f"{name}.{inner}"
        elif item is not None:
            return name
    return ""


@cache
def _messages(message: Any) -> dict[str, Any]:
    """The fields that hold messages, by either of their names, as the parser takes them."""
    fields = [field for field in message.fields if field.message_type is not None]
    return {name: field for field in fields for name in (field.camelcase_name, field.name)}
