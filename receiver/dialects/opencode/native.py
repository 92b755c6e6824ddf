"""OpenCode's own export: application log lines and internal spans (docs/producers.md 19).

Producer: OpenCode 1.18, switched on by OTEL_EXPORTER_OTLP_ENDPOINT.
Recognized by: the scope `opencode` and a resource with `opencode.client`.
Log lines: `created` has the session as `session.created` does, with its parent; `loop`, `exiting loop` and `cancel`
begin and end a turn. They are translated to the relay's events, which event_relay.py reads.
Spans: `Tool.execute` has session, call and tool. With `experimental.openTelemetry`, the AI SDK's spans come too.
Times: a line's and a span's own.
It does not name a task's child session. But the child's spans are below the task's `Tool.execute`, by way of spans
that name neither (LINEAGE_SPANS). These, and the lines `created` and `loop` that are written inside one, link child
and call (core/state/span_lineage.py). They and all other spans pass through. Where one of them is missing, the call is
found by times (core/linking/task_links.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from receiver.dialects.opencode import ai_sdk, event_relay
from receiver.dialects.shared.fields import (
    MAX_TIME,
    Captured,
    MalformedBodyError,
    as_id,
    as_text,
    from_json,
    record_time,
    structured_body,
)
from receiver.dialects.shared.finished_calls import outcome
from receiver.dialects.shared.tool_errors import child_in
from receiver.events import SPAN, AnyEvent, CallEvent, Discarded, LineageEvent, SessionEvent
from receiver.model import STATUS_ERROR, LogRecord, SpanRecord, Value

OPENCODE_SCOPE = "opencode"
_OPENCODE_RESOURCE = "opencode.client"  # a resource attribute of OpenCode's own export, and of no plugin
# An unclosed string reaches to the end. Possessive quantifiers avoid scanning to the end again for each quote in it.
_TOKENS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|\bundefined\b')
_UNDEFINED = "undefined"  # the lines print objects as JSON, except for this value
# The spans between a child session and Tool.execute of its task: those of a new child's creation, of its turn (also a
# resumed or a background one), of the turn's calls, and of a task that a slash command made.
_CREATION = ("Session.createNext", "Session.create", "TaskTool.execute")
_TURN = ("SessionPrompt.run", "SessionRunState.ensureRunning", "SessionPrompt.loop", "SessionPrompt.prompt")
_TASK = ("TaskTool.runTask", "BackgroundJob.fork", "BackgroundJob.start", "TaskTool.execute")
_CALLS = ("SessionTools.resolve", "SessionPrompt.handleSubtask")
LINEAGE_SPANS = frozenset((*_CREATION, *_TURN, *_TASK, *_CALLS))
_LINES_IN_LINEAGE = ("created", "loop")
Line = Mapping[str, Value]


def logs(record: LogRecord, captured: Captured) -> Sequence[AnyEvent] | None:
    """The events of a line of the application's log; None if the record is none."""
    if not _is_native(record):
        return None
    try:
        body = structured_body(record)
    except MalformedBodyError:
        body = None  # a line of text that begins with a bracket
    if isinstance(body, Sequence) and not isinstance(body, (str, bytes)) and len(body) == 2:
        line = _line(body[1])
        if body[0] == "stream":
            return tuple(_stream(record, line)) or (Discarded(reason="not_of_the_tree"),)
        if (translate := _EVENTS.get(as_text(body[0]) or "")) and (translated := translate(line)):
            name, properties = translated
            events = event_relay.logs(replace(record, event_name=name, body=properties, attributes={}), captured)
            return (*(events or ()), *_line_lineage(record, line)) if body[0] in _LINES_IN_LINEAGE else events
    return (Discarded(reason="not_of_the_tree"),)


def _is_native(record: LogRecord | SpanRecord) -> bool:
    return record.scope.name == OPENCODE_SCOPE and _OPENCODE_RESOURCE in record.resource.attributes


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


def _line_lineage(record: LogRecord, line: Line) -> Iterator[AnyEvent]:
    session = as_id(line.get("id") or line.get("session.id"))
    if session and len(record.trace_id) == 16 and len(record.span_id) == 8:
        yield LineageEvent(span=record.trace_id + record.span_id, session=session)


def _stream(record: LogRecord, line: Line) -> Iterator[AnyEvent]:
    """A request to the model. One for a title (`small`) has another model and another agent's name."""
    session, time = as_id(line.get("session.id")), record_time(record)
    if session and time and line.get("small") == "false":
        yield SessionEvent(
            session=session,
            time=time,
            agent=as_text(line.get("agent")),
            provider=as_text(line.get("providerID")),
            model=as_text(line.get("modelID")),
        )


def spans(span: SpanRecord, captured: Captured) -> Sequence[AnyEvent] | None:
    """The events of a span; None for the many kinds that are not read."""
    if not _is_native(span):
        return None
    if span.name.startswith("ai."):
        return ai_sdk.span_events(span, captured)
    if span.name in LINEAGE_SPANS:
        return (LineageEvent(span=span.trace_id + span.span_id, parent=_parent(span)),)
    return _tool_execute(span) if span.name == "Tool.execute" else None


def _parent(span: SpanRecord) -> bytes:
    return span.trace_id + span.parent_span_id if span.parent_span_id else b""


def _tool_execute(span: SpanRecord) -> Sequence[AnyEvent] | None:
    """A call; None, so that the span passes through, if it lacks session, call or valid times."""
    session, call = as_id(span.attributes.get("session.id")), as_id(span.attributes.get("tool.call_id"))
    if session is None or call is None or not 0 < span.start < MAX_TIME or span.end >= MAX_TIME:
        return None
    tool = as_text(span.attributes.get("tool.name"))
    failed = span.status_code == STATUS_ERROR
    error = as_text(span.status_message) if failed else None
    event = CallEvent(
        session=session,
        call=call,
        rank=SPAN,
        start=span.start,
        end=max(span.end, span.start),
        tool=tool,
        **outcome(failed, error),
        child=child_in(error) if tool == "task" else None,
    )
    lineage = LineageEvent(
        span=span.trace_id + span.span_id, parent=_parent(span), session=session, call=call if tool == "task" else ""
    )
    return event, lineage
