"""traceparent: the span of another program that a record says its session runs below (W3C Trace Context, level 2).

Read here once for every dialect: from a record's attributes, from the body of a log record or its `data`, or from the
resource, where it holds for every session of the process. The sampled flag and `tracestate` are not read: what is built
is exported whatever another program decided about its own spans.
"""

from __future__ import annotations

import re

from receiver.dialects.shared.fields import LATEST, as_map, from_json, record_time
from receiver.events import EXACT, REPORTED, RemoteParentEvent
from receiver.model import LogRecord, MetricPoint, Resource, SpanRecord, Value

_NAME = "traceparent"
# and in a resource also as OpenTelemetry's environment variable has it
_OF_RESOURCE = (_NAME, "TRACEPARENT", "process.environment_variable.TRACEPARENT")
# version 00 ends after the flags; of a later one, what follows a dash is not for us. Lower case is required
_FIELD = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?", re.DOTALL)
_MOST = 512  # characters; a header is not longer than that


def read(value: Value) -> str | None:
    """`trace id-span id` in hexadecimal; None if it is no valid traceparent."""
    if not isinstance(value, str) or len(value) > _MOST:
        return None
    match = _FIELD.fullmatch(value.strip())
    if match is None or match[1] == "ff" or (match[1] == "00" and match[4] is not None):
        return None
    if not int(match[2], 16) or not int(match[3], 16):
        return None
    return f"{match[2]}-{match[3]}"


def of_resource(resource: Resource) -> str | None:
    """What a resource states."""
    return next((found for name in _OF_RESOURCE if (found := read(resource.attributes.get(name)))), None)


def told_by(
    record: LogRecord | MetricPoint | SpanRecord, session: str, of_resource: str | None
) -> RemoteParentEvent | None:
    """What a record of a session tells of its remote parent; its own statement goes before that of its resource."""
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
    """When it was said (ns); 0, before everything, where the record has no time of its own."""
    if isinstance(record, LogRecord):
        return record_time(record) or 0
    time = record.start or (record.time if isinstance(record, MetricPoint) else 0)
    return time if 0 < time < LATEST else 0
