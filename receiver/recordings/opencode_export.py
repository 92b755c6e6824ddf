"""Turns a session that `opencode export SESSION_ID` printed into the log records of the event relay.

Exported messages and parts have the form of the events `message.updated` and `message.part.updated`: the relay's
dialect reads them, and the spans get the same ids as live. Two further events are derived from the messages:
`session.idle` after an answer that ends its turn, and `session.error` for an error in a message. Permissions, slash
commands and retries are not in an export. Messages that a fork copied give no derived events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from receiver.codec.otlp_json import loads
from receiver.dialects.opencode.event_relay import RELAY_SCOPE
from receiver.errors import MalformedError

KEYS = frozenset({"info", "messages"})
_MS = 1_000_000
_MAX_DEPTH = 12  # the depth at which the relay cuts its bodies
_INT64 = 1 << 63
# After these finish reasons OpenCode's loop continues (session/prompt.ts): a last answer with one was interrupted
_UNFINISHED = ("tool-calls", "unknown")
Json = Mapping[str, Any]


def logs_request(body: bytes) -> bytes:
    """An exported session as a serialized ExportLogsServiceRequest. Raises MalformedError."""
    try:
        document = loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedError(str(error)) from None
    info, messages = _map(document).get("info"), _map(document).get("messages")
    session = _map(info).get("id")
    if not isinstance(session, str) or not isinstance(messages, list):
        raise MalformedError("`info.id` or the list `messages` is missing")
    request = ExportLogsServiceRequest()
    resource_logs = request.resource_logs.add()
    resource_logs.resource.attributes.add(key="service.name").value.string_value = "opencode"
    records = resource_logs.scope_logs.add()
    records.scope.name = RELAY_SCOPE
    for name, time, properties in _events(_map(info), [_map(m) for m in messages]):
        nanoseconds = time * _MS
        record = records.log_records.add(
            time_unix_nano=nanoseconds, observed_time_unix_nano=nanoseconds, event_name=name
        )
        record.attributes.add(key="session.id").value.string_value = session
        _write(record.body, properties, 0)
    return request.SerializeToString()


def _events(info: Json, messages: list[Json]) -> Iterator[tuple[str, int, Json]]:
    """The events: name, time (ms) and properties."""
    created, archived = _time(info, "created"), _time(info, "archived")
    yield "session.created", created, {"info": info}
    for number, message in enumerate(messages):
        message_info = _map(message.get("info"))
        following = _map(messages[number + 1].get("info")) if number + 1 < len(messages) else {}
        yield from _message(message_info, message.get("parts"), created, following.get("role") != "assistant")
    if archived:
        yield "session.updated", archived, {"info": info}


def _message(
    message_info: Json, parts: Any, session_created: int, last_of_turn: bool
) -> Iterator[tuple[str, int, Json]]:
    created, completed = _time(message_info, "created"), _time(message_info, "completed")
    yield "message.updated", completed or created, {"info": message_info}
    for part in parts if isinstance(parts, list) else ():
        if _map(part).get("type") == "tool":
            state = _map(_map(part).get("state"))
            yield "message.part.updated", _time(state, "end") or _time(state, "start") or created, {"part": part}
    if message_info.get("role") != "assistant" or not completed or completed < session_created:
        return
    if error := message_info.get("error"):
        yield "session.error", completed, {"error": error}
    if message_info.get("summary") is True:
        yield "session.compacted", completed, {}
    if last_of_turn and (error or message_info.get("finish", _UNFINISHED[0]) not in _UNFINISHED):
        yield "session.idle", completed, {}


def _time(holder: Json, name: str) -> int:
    """A time in ms; 0 if there is none, or none that OTLP can have."""
    value = _map(holder.get("time")).get(name)
    return int(value) if isinstance(value, (int, float)) and 0 < value < _INT64 // _MS else 0


def _map(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _write(out: AnyValue, value: Any, depth: int) -> None:
    if isinstance(value, bool):
        out.bool_value = value
    elif isinstance(value, int) and -_INT64 <= value < _INT64:
        out.int_value = value
    elif isinstance(value, (int, float)):
        out.double_value = float(value)
    elif isinstance(value, str):
        out.string_value = value
    elif value is None or depth > _MAX_DEPTH:
        return
    elif isinstance(value, dict):
        out.kvlist_value.SetInParent()
        for key, item in value.items():
            _write(out.kvlist_value.values.add(key=key).value, item, depth + 1)
    else:
        out.array_value.SetInParent()
        for item in value:
            _write(out.array_value.values.add(), item, depth + 1)
