"""Claude Code's spans, a beta. They describe the same calls and requests as its events (docs/producers.md 20).

Producer: Claude Code 2.1. Source: recordings of 2.1.145 to 2.1.332. The tree is `claude_code.interaction` >
`claude_code.llm_request` | `claude_code.tool`
> `.blocked_on_user`, `.execution`.
Recognized by: as its events, see log_events.py. `tool_use_id` and `request_id` join spans and events.
Times: a tool's span covers the wait for its permission and the execution, so it has the call's best start and end.
Only the execution's span says whether the call failed.
Parents: a subagent's requests and calls lie below the execution of the call that started it. The execution of a call
and the wait for its permission do not say which agent made it, and the wait not even which call it is; the call's span
is their parent. A request's span without an id cannot be matched with its event, so it passes through, as does a span
without a session. Calls have no ids before 2.1.200, so that nothing can be read of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from receiver.dialects.claude_code.agents import Agent, agent_of, has_agent_ids
from receiver.dialects.claude_code.log_events import is_ours
from receiver.dialects.claude_code.requests import http_error, is_main, request, request_id
from receiver.dialects.claude_code.tools import named, reply, tool
from receiver.dialects.shared.fields import MAX_TIME, Captured, as_bool, as_count, as_id, as_text
from receiver.events import (
    EXACT,
    SPAN,
    AnyEvent,
    CallEvent,
    CallPartEvent,
    Discarded,
    LineageEvent,
    NoteEvent,
    RemoteParentEvent,
    RequestEvent,
    SessionEvent,
    StateEvent,
)
from receiver.model import STATUS_ERROR, SpanRecord

_REQUEST = "claude_code.llm_request"
_ATTEMPT = "gen_ai.request.attempt"


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
    agent = agent_of(span.attributes, session, has_agent_ids(span))
    events = tuple(read(span, agent, captured))
    if all(isinstance(event, Discarded) for event in events):
        return events or (Discarded(reason="not_of_the_tree"),)
    return (*agent.events(), StateEvent(session=agent.session, time=span.start, state="busy"), *events)


def _own_id(span: SpanRecord) -> bytes:
    return span.trace_id + span.span_id


def _parent_id(span: SpanRecord) -> bytes:
    return span.trace_id + span.parent_span_id if span.parent_span_id else b""


def _interaction(span: SpanRecord, agent: Agent, captured: Captured) -> Iterator[AnyEvent]:
    """A turn. Its end does not make the session idle: background subagents may still work. Where TRACEPARENT was set,
    its parent is another program's span."""
    yield StateEvent(session=agent.session, time=span.end, state="busy")
    if span.parent_span_id:
        remote = f"{span.trace_id.hex()}-{span.parent_span_id.hex()}"
        yield RemoteParentEvent(session=agent.shared, time=span.start, rank=EXACT, remote=remote)


def _call_id(span: SpanRecord) -> str | None:
    return as_id(span.attributes.get("tool_use_id")) or as_id(span.attributes.get("gen_ai.tool.call.id"))


def _tool(span: SpanRecord, agent: Agent, captured: Captured) -> Iterator[AnyEvent]:
    call, session = _call_id(span), agent.session
    if call is None:
        yield Discarded(reason="no_call")
        return
    what = tool(span.attributes, captured)
    own = _own_id(span)
    yield LineageEvent(span=own, parent=_parent_id(span), session=session, call=call)
    yield CallEvent(session=session, call=call, rank=EXACT, start=span.start, end=span.end, span=own.hex())
    yield from named(session, call, what)
    yield CallEvent(
        session=session,
        call=call,
        rank=SPAN,
        tool=what.name if what.is_named else None,
        agent=what.agent,
        skill=what.skill,
        mcp_server=what.mcp_server,
        mcp_tool=what.mcp_tool,
        description=what.description,
        file_path=what.file_path,
        arguments=what.arguments,
    )


def _execution(span: SpanRecord, agent: Agent, captured: Captured) -> Iterator[AnyEvent]:
    call = _call_id(span)
    if call is None and not span.parent_span_id:
        yield Discarded(reason="no_call")
        return
    failed = span.status_code == STATUS_ERROR or as_bool(span.attributes.get("success")) is False
    yield LineageEvent(span=_own_id(span), parent=_parent_id(span))
    yield CallPartEvent(
        session=agent.shared,
        span=_parent_id(span).hex(),
        call=call or "",
        rank=SPAN,
        start=span.start,
        end=span.end,
        status="error" if failed else "completed",
        error_type=(as_id(span.attributes.get("error_class")) or "tool_error") if failed else None,
        error=as_text(span.attributes.get("error")) or as_text(span.status_message) if failed else None,
    )


def _wait(span: SpanRecord, agent: Agent, captured: Captured) -> Iterator[AnyEvent]:
    """The wait for a permission. There is one for every call, also where nobody was asked: that says nothing."""
    source = span.attributes.get("source")
    answer = reply(span.attributes.get("decision"), source)
    if answer is None or answer == "auto" or not (span.parent_span_id or _call_id(span)):
        return
    was_asked = isinstance(source, str) and source.startswith("user_")
    yield CallPartEvent(
        session=agent.shared,
        span=_parent_id(span).hex(),
        call=_call_id(span) or "",
        rank=SPAN,
        asked=span.start if was_asked else None,
        replied=span.end if was_asked else None,
        reply=answer,
    )


def _request(span: SpanRecord, agent: Agent, captured: Captured) -> Iterator[AnyEvent]:
    """A request, all its attempts included: its event has the times of the last one."""
    attributes, session = span.attributes, agent.session
    failed = span.status_code == STATUS_ERROR or as_bool(attributes.get("success")) is False
    key = request_id(attributes) or ""
    found = request(
        attributes,
        session,
        key,
        SPAN,
        span.start,
        span.end,
        error_type=http_error(attributes) if failed else None,
    )
    yield RequestEvent(session=session, request=key, rank=EXACT, start=span.start, end=span.end)
    yield found
    for event in span.events:
        attempt = as_count(event.attributes.get("attempt")) if event.name == _ATTEMPT else None
        if attempt is not None and attempt > 1 and 0 < event.time < MAX_TIME:
            yield NoteEvent(
                session=session,
                time=event.time,
                name="session.retry",
                attributes=(("opencode.retry.attempt", attempt - 1),),  # OpenCode counts retries
            )
    if agent.id:
        yield LineageEvent(span=_own_id(span), parent=_parent_id(span), session=session)
    if found.model and (agent.id or is_main(attributes)):
        name = found.agent if agent.id else None
        yield SessionEvent(session=session, time=span.end, model=found.model, provider=found.provider, agent=name)


_SPANS: dict[str, Callable[[SpanRecord, Agent, Captured], Iterator[AnyEvent]]] = {
    "claude_code.interaction": _interaction,
    _REQUEST: _request,
    "claude_code.tool": _tool,
    "claude_code.tool.execution": _execution,
    "claude_code.tool.blocked_on_user": _wait,
}
