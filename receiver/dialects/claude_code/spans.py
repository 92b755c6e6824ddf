"""Claude Code's spans, a beta. They describe the same calls and requests as its events (docs/producers.md 20).

Producer: Claude Code 2.1. Source: https://code.claude.com/docs/en/monitoring-usage as of 2026-09, and published
recordings of 2.1.80 to 2.1.289. The tree is `claude_code.interaction` > `claude_code.llm_request` | `claude_code.tool`
> `.blocked_on_user`, `.execution`.
Recognized by: as its events, see log_events.py. `tool_use_id` and `request_id` join spans and events.
Times: a tool's span covers the wait for its permission and the execution, so it has the call's best start and end.
Only the execution's span says whether the call failed.
They cannot tell a permission's call unless the wait's span has its id, or which task call started a subagent
(`agent_id` names none, and is not read). A request's span without an id cannot be matched with its event, so it passes
through, as does a span without a session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from receiver.dialects.claude_code.log_events import is_ours
from receiver.dialects.claude_code.requests import http_error, is_main, request, request_id
from receiver.dialects.claude_code.tools import reply, tool
from receiver.dialects.shared.fields import MAX_TIME, Captured, as_bool, as_id, as_text
from receiver.events import (
    EXACT,
    SPAN,
    AnyEvent,
    CallEvent,
    Discarded,
    PermissionEvent,
    SessionEvent,
    StateEvent,
)
from receiver.model import STATUS_ERROR, SpanRecord

_REQUEST = "claude_code.llm_request"


def spans(span: SpanRecord, captured: Captured) -> Sequence[AnyEvent] | None:
    """The events of a span; None if it is not Claude Code's, or passes through."""
    if not is_ours(span.scope, span.attributes):
        return None
    session = as_id(span.attributes.get("session.id"))
    if session is None or (span.name == _REQUEST and request_id(span.attributes) is None):
        return None
    read = _SPANS.get(span.name)
    if read is None:
        return (Discarded(reason="not_of_the_tree"),)
    if not 0 < span.start < MAX_TIME or not span.start <= span.end < MAX_TIME:
        return (Discarded(reason="no_time"),)
    events = tuple(read(span, session, captured))
    if all(isinstance(event, Discarded) for event in events):
        return events or (Discarded(reason="not_of_the_tree"),)
    return (
        SessionEvent(session=session, root=True),
        StateEvent(session=session, time=span.start, state="busy"),
        *events,
    )


def _interaction(span: SpanRecord, session: str, captured: Captured) -> Iterator[AnyEvent]:
    """A turn. Its end does not make the session idle: background subagents may still work."""
    yield StateEvent(session=session, time=span.end, state="busy")


def _call_id(span: SpanRecord) -> str | None:
    return as_id(span.attributes.get("tool_use_id")) or as_id(span.attributes.get("gen_ai.tool.call.id"))


def _tool(span: SpanRecord, session: str, captured: Captured) -> Iterator[AnyEvent]:
    call = _call_id(span)
    if call is None:
        yield Discarded(reason="no_call")
        return
    what = tool(span.attributes, captured)
    yield CallEvent(session=session, call=call, rank=EXACT, start=span.start, end=span.end)
    yield CallEvent(
        session=session,
        call=call,
        rank=SPAN,
        tool=what.name,
        agent=what.agent,
        skill=what.skill,
        mcp_server=what.mcp_server,
        mcp_tool=what.mcp_tool,
        description=what.description,
        file_path=what.file_path,
        arguments=what.arguments,
    )


def _execution(span: SpanRecord, session: str, captured: Captured) -> Iterator[AnyEvent]:
    call = _call_id(span)
    if call is None:
        yield Discarded(reason="no_call")
        return
    failed = span.status_code == STATUS_ERROR or as_bool(span.attributes.get("success")) is False
    yield CallEvent(
        session=session,
        call=call,
        rank=SPAN,
        start=span.start,
        end=span.end,
        status="error" if failed else "completed",
        error_type=(as_id(span.attributes.get("error_class")) or "tool_error") if failed else None,
        error=as_text(span.attributes.get("error")) or as_text(span.status_message) if failed else None,
    )


def _wait(span: SpanRecord, session: str, captured: Captured) -> Iterator[AnyEvent]:
    call = _call_id(span)
    answer = reply(span.attributes.get("decision"), span.attributes.get("source"))
    if call is None or answer is None or answer == "auto":
        return
    yield PermissionEvent(
        session=session, permission=call, rank=SPAN, call=call, asked=span.start, replied=span.end, reply=answer
    )


def _request(span: SpanRecord, session: str, captured: Captured) -> Iterator[AnyEvent]:
    attributes = span.attributes
    failed = span.status_code == STATUS_ERROR or as_bool(attributes.get("success")) is False
    event = request(
        attributes,
        session,
        request_id(attributes) or "",
        SPAN,
        span.start,
        span.end,
        error_type=http_error(attributes) if failed else None,
    )
    yield event
    if event.model and is_main(attributes):
        yield SessionEvent(session=session, time=span.end, model=event.model)


_SPANS: dict[str, Callable[[SpanRecord, str, Captured], Iterator[AnyEvent]]] = {
    "claude_code.interaction": _interaction,
    _REQUEST: _request,
    "claude_code.tool": _tool,
    "claude_code.tool.execution": _execution,
    "claude_code.tool.blocked_on_user": _wait,
}
