"""OpenCode's native export (1.18, switched on by OTEL_EXPORTER_OTLP_ENDPOINT): application log lines, and thousands of
spans of which a handful tell of a tree.

Of the lines, `created` holds the session as `session.created` has it, its parent too; `loop`, `exiting loop` and
`cancel` frame a turn. They are told again as the relay's events, so that they are read in one place. Of the spans,
`Tool.execute` names session, call and tool; the AI SDK's come along where `experimental.openTelemetry` is on. No
`Tool.execute` names a task's child, but what a child does lies below it, by way of spans that name nobody (PATHS):
those and the lines `created` and `loop`, which are written in one of them, state the link (core/state/span_lineage.py).
They and every other span are handed on. Where one of the way is missing the call is found by times
(core/linking/task_links.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from receiver.dialects.opencode import ai_sdk, event_relay
from receiver.dialects.shared.fields import LATEST, MS, Wanted, as_id, as_text, from_json, record_time
from receiver.dialects.shared.tool_errors import child_in, error_type
from receiver.events import SPAN, AnyEvent, CallEvent, Discarded, LineageEvent, SessionEvent
from receiver.model import STATUS_ERROR, LogRecord, SpanRecord, Value

FLUSH = 6_000 * MS  # logs and spans leave every 5 s, each by its own clock
SCOPE = "opencode"
_OF_AGENT = "opencode.client"  # in the resource of what OpenCode itself sends, and of no plugin
# a text that is not closed reaches to the end; possessive, or each quote in it would be looked at to the end again
_TOKENS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|\bundefined\b')
_UNDEFINED = "undefined"  # the lines print objects as JSON, but for this
# between a child's first span or a call of its and Tool.execute(task): a new child's creation; its turn (also one that
# was taken up again, or that runs in the background); a call of its turn; a task that a command made
_CREATION = ("Session.createNext", "Session.create", "TaskTool.execute")
_TURN = ("SessionPrompt.run", "SessionRunState.ensureRunning", "SessionPrompt.loop", "SessionPrompt.prompt")
_TASK = ("TaskTool.runTask", "BackgroundJob.fork", "BackgroundJob.start", "TaskTool.execute")
_CALLS = ("SessionTools.resolve", "SessionPrompt.handleSubtask")
PATHS = frozenset((*_CREATION, *_TURN, *_TASK, *_CALLS))
_IN_A_PATH = ("created", "loop")
Line = Mapping[str, Value]


def logs(record: LogRecord, wanted: Wanted) -> Sequence[AnyEvent] | None:
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
            told = event_relay.logs(replace(record, event_name=name, body=properties, attributes={}), wanted)
            return (*(told or ()), *_written_in(record, line)) if body[0] in _IN_A_PATH else told
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


def _written_in(record: LogRecord, line: Line) -> Iterator[AnyEvent]:
    session = as_id(line.get("id") or line.get("session.id"))
    if session and len(record.trace_id) == 16 and len(record.span_id) == 8:
        yield LineageEvent(span=record.trace_id + record.span_id, session=session)


def _stream(record: LogRecord, line: Line) -> Iterator[AnyEvent]:
    """A model is asked. For a title (`small`) it is another one, under another agent's name."""
    session, time = as_id(line.get("session.id")), record_time(record)
    if session and time and line.get("small") == "false":
        yield SessionEvent(
            session=session,
            time=time,
            agent=as_text(line.get("agent")),
            provider=as_text(line.get("providerID")),
            model=as_text(line.get("modelID")),
        )


def spans(span: SpanRecord, wanted: Wanted) -> Sequence[AnyEvent] | None:
    """What a native span tells; None for the many that are not known."""
    if not _is_native(span):
        return None
    if span.name.startswith("ai."):
        return ai_sdk.told(span, wanted)
    if span.name in PATHS:
        return (LineageEvent(span=span.trace_id + span.span_id, parent=_parent(span)),)
    return _tool_execute(span) if span.name == "Tool.execute" else None


def _parent(span: SpanRecord) -> bytes:
    return span.trace_id + span.parent_span_id if span.parent_span_id else b""


def _tool_execute(span: SpanRecord) -> Sequence[AnyEvent] | None:
    """A call; None (so that the span is handed on) if it does not say which, or when."""
    session, call = as_id(span.attributes.get("session.id")), as_id(span.attributes.get("tool.call_id"))
    if session is None or call is None or not 0 < span.start < LATEST or span.end >= LATEST:
        return None
    tool = as_text(span.attributes.get("tool.name"))
    failed = span.status_code == STATUS_ERROR
    error = as_text(span.status_message) if failed else None
    told = CallEvent(
        session=session,
        call=call,
        rank=SPAN,
        start=span.start,
        end=max(span.end, span.start),
        tool=tool,
        status="error" if failed else "completed",
        error_type=error_type(error) if failed else None,
        error=error,
        child=child_in(error) if tool == "task" else None,
    )
    lineage = LineageEvent(
        span=span.trace_id + span.span_id, parent=_parent(span), session=session, call=call if tool == "task" else ""
    )
    return told, lineage
