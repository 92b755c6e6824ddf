"""Reads `traceparent`: the other program's span that a session runs below (W3C Trace Context, level 2).

It applies to every dialect. It stands in a record's attributes, in a log record's body or the body's `data`, or in the
resource, where it applies to every session of the process. The sampled flag and `tracestate` are ignored: built spans
are exported whatever the other program decided about its own.
"""

from __future__ import annotations

import re

from receiver.dialects.shared.fields import MAX_TIME, as_map, from_json, record_time
from receiver.events import EXACT, REPORTED, RemoteParentEvent
from receiver.model import LogRecord, MetricPoint, Resource, SpanRecord, Value

_NAME = "traceparent"
# a resource may also have it as the environment variable that OpenTelemetry defines
_RESOURCE_NAMES = (_NAME, "TRACEPARENT", "process.environment_variable.TRACEPARENT")
# Version 00 ends after the flags; a later one may go on after a dash, which is ignored. Lower case is required.
_FIELD = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?", re.DOTALL)
_MAX_LENGTH = 512  # characters; version 00 has 55


def read(value: Value) -> str | None:
    """`<trace id>-<span id>` in hexadecimal; None for an invalid traceparent."""
    if not isinstance(value, str) or len(value) > _MAX_LENGTH:
        return None
    match = _FIELD.fullmatch(value.strip())
    if match is None or match[1] == "ff" or (match[1] == "00" and match[4] is not None):
        return None
    if not int(match[2], 16) or not int(match[3], 16):
        return None
    return f"{match[2]}-{match[3]}"


def of_resource(resource: Resource) -> str | None:
    """The resource's traceparent, as `read` returns it."""
    return next((found for name in _RESOURCE_NAMES if (found := read(resource.attributes.get(name)))), None)


def remote_parent_event(
    record: LogRecord | MetricPoint | SpanRecord, session: str, of_resource: str | None
) -> RemoteParentEvent | None:
    """The remote parent of a record's session. The record's own traceparent wins over that of its resource."""
    stated = read(record.attributes.get(_NAME))
    if stated is None and isinstance(record, LogRecord):
        stated = _of_body(record)
    if stated is None and of_resource is None:
        return None
    rank = EXACT if stated is not None else REPORTED
    return RemoteParentEvent(session=session, time=_time(record), rank=rank, remote=stated or of_resource or "")


def _of_body(record: LogRecord) -> str | None:
    if isinstance(record.body, str) and _NAME not in record.body:
        return None
    body = from_json(record.body)
    return read(body.get(_NAME)) or read(as_map(body.get("data")).get(_NAME))


def _time(record: LogRecord | MetricPoint | SpanRecord) -> int:
    """The record's time (ns); 0, which is before all others, where it has none."""
    if isinstance(record, LogRecord):
        return record_time(record) or 0
    time = record.start or (record.time if isinstance(record, MetricPoint) else 0)
    return time if 0 < time < MAX_TIME else 0
