"""OpenCode's native export (1.18, switched on by OTEL_EXPORTER_OTLP_ENDPOINT): application log lines, and thousands of
spans of which a handful tell of a tree.

Of the lines, `created` holds the session as `session.created` has it, its parent too; `loop`, `exiting loop` and
`cancel` frame a turn. They are told again as the relay's events, so that they are read in one place. Of the spans,
`Tool.execute` names session, call and tool; the AI SDK's come along where `experimental.openTelemetry` is on. Every
other span is not known here, and is handed on. No `Tool.execute` names a task's child: its call is found by times
(core/links.py), for which a child's `created` and `exiting loop` are as good as the relay's events.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from receiver.dialects import ai_sdk, event_relay
from receiver.dialects.reading import LATEST, MS, Wanted, as_id, as_text, from_json, record_time
from receiver.dialects.tool_errors import child_of_error, error_type
from receiver.events import SPAN, CallTold, Discarded, SessionTold, Told
from receiver.model import STATUS_ERROR, LogRecord, SpanRecord, Value

FLUSH = 6_000 * MS  # logs and spans leave every 5 s, each by its own clock
SCOPE = "opencode"
_OF_AGENT = "opencode.client"  # in the resource of what OpenCode itself sends, and of no plugin
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|\bundefined\b')
_UNDEFINED = "undefined"  # the lines print objects as JSON, but for this
Line = Mapping[str, Value]


def logs(record: LogRecord, wanted: Wanted) -> Sequence[Told] | None:
    """What a line of the application's log tells; None if it is none."""
    if not _is_native(record):
        return None
    body = record.body
    if isinstance(body, Sequence) and not isinstance(body, (str, bytes)) and len(body) == 2:
        line = _line(body[1])
        if body[0] == "stream":
            return tuple(_stream(record, line)) or (Discarded(reason="not_of_the_tree"),)
        if (tell := _EVENTS.get(as_text(body[0]) or "")) and (event := tell(line)):
            name, properties = event
            return event_relay.logs(replace(record, event_name=name, body=properties, attributes={}), wanted)
    return (Discarded(reason="not_of_the_tree"),)


def _is_native(record: LogRecord | SpanRecord) -> bool:
    return record.scope.name == SCOPE and _OF_AGENT in record.resource.attributes


def _line(text: Value) -> Line:
    if not isinstance(text, str):
        return {}
    return from_json(_TOKENS.sub(lambda token: "null" if token[0] == _UNDEFINED else token[0], text))


def _created(line: Line) -> tuple[str, Line] | None:
    session = as_id(line.get("id"))
    return ("session.created", {"info": line}) if session and session.startswith("ses_") else None


def _busy(line: Line) -> tuple[str, Line]:
    return "session.status", {"sessionID": line.get("session.id"), "status": {"type": "busy"}}


def _idle(line: Line) -> tuple[str, Line]:
    return "session.idle", {"sessionID": line.get("session.id")}


_EVENTS: dict[str, Callable[[Line], tuple[str, Line] | None]] = {
    "created": _created,
    "loop": _busy,
    "exiting loop": _idle,
    "cancel": _idle,
}


def _stream(record: LogRecord, line: Line) -> Iterator[Told]:
    """A model is asked. For a title (`small`) it is another one, under another agent's name."""
    session, time = as_id(line.get("session.id")), record_time(record)
    if session and time and line.get("small") == "false":
        yield SessionTold(
            session=session,
            time=time,
            agent=as_text(line.get("agent")),
            provider=as_text(line.get("providerID")),
            model=as_text(line.get("modelID")),
        )


def spans(span: SpanRecord, wanted: Wanted) -> Sequence[Told] | None:
    """What a native span tells; None for the many that are not known."""
    if not _is_native(span):
        return None
    if span.name.startswith("ai."):
        return ai_sdk.told(span, wanted)
    return _tool_execute(span) if span.name == "Tool.execute" else None


def _tool_execute(span: SpanRecord) -> Sequence[Told] | None:
    """A call; None (so that the span is handed on) if it does not say which, or when."""
    session, call = as_id(span.attributes.get("session.id")), as_id(span.attributes.get("tool.call_id"))
    if session is None or call is None or not 0 < span.start < LATEST or span.end >= LATEST:
        return None
    tool = as_text(span.attributes.get("tool.name"))
    failed = span.status_code == STATUS_ERROR
    error = (span.status_message or None) if failed else None
    told = CallTold(
        session=session,
        call=call,
        rank=SPAN,
        start=span.start,
        end=max(span.end, span.start),
        tool=tool,
        status="error" if failed else "completed",
        error_type=error_type(error) if failed else None,
        error=error,
        child=child_of_error(error) if error and tool == "task" else None,
    )
    return (told,)
