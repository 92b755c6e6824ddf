"""OpenCode's own history: what `opencode export SESSION_ID` prints, told again as the log records of an event relay.

An exported message or part is what `message.updated` and `message.part.updated` carry, so that one dialect reads both
and the spans have the ids that they would have had live. An export has no events; two kinds are read out of what it
holds: a session is idle after an answer that ends its turn, and an error in a message was a `session.error`. What it
does not hold stays unsaid: permissions, slash commands, retries. A copied message (of a fork) tells none of them.
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
_DEPTH = 12  # as the relay cuts its bodies
_INT64 = 1 << 63
# OpenCode's loop goes on after these (session/prompt.ts): a turn that ends so was broken off, or its stream was cut
_GOES_ON = ("tool-calls", "unknown")
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
    told = request.resource_logs.add()
    told.resource.attributes.add(key="service.name").value.string_value = "opencode"
    records = told.scope_logs.add()
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
    """Names, times (ms) and properties."""
    created, archived = _time(info, "created"), _time(info, "archived")
    yield "session.created", created, {"info": info}
    for number, message in enumerate(messages):
        said = _map(message.get("info"))
        following = _map(messages[number + 1].get("info")) if number + 1 < len(messages) else {}
        yield from _message(said, message.get("parts"), created, following.get("role") != "assistant")
    if archived:
        yield "session.updated", archived, {"info": info}


def _message(said: Json, parts: Any, session_created: int, last_of_turn: bool) -> Iterator[tuple[str, int, Json]]:
    begun, completed = _time(said, "created"), _time(said, "completed")
    yield "message.updated", completed or begun, {"info": said}
    for part in parts if isinstance(parts, list) else ():
        if _map(part).get("type") == "tool":
            state = _map(_map(part).get("state"))
            yield "message.part.updated", _time(state, "end") or _time(state, "start") or begun, {"part": part}
    if said.get("role") != "assistant" or not completed or completed < session_created:
        return
    if error := said.get("error"):
        yield "session.error", completed, {"error": error}
    if said.get("summary") is True:
        yield "session.compacted", completed, {}
    if last_of_turn and (error or said.get("finish", _GOES_ON[0]) not in _GOES_ON):
        yield "session.idle", completed, {}


def _time(holder: Json, name: str) -> int:
    """A time in ms, 0 where there is none that can be written."""
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
    elif value is None or depth > _DEPTH:
        return
    elif isinstance(value, dict):
        out.kvlist_value.SetInParent()
        for key, held in value.items():
            _write(out.kvlist_value.values.add(key=key).value, held, depth + 1)
    else:
        out.array_value.SetInParent()
        for held in value:
            _write(out.array_value.values.add(), held, depth + 1)
