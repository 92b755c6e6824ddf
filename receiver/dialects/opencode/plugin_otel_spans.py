"""The spans of opencode-plugin-otel and its forks: a session or one turn of it, its model requests, its calls.

Producers: opencode-plugin-otel 0.8 to 1.2 and forks (docs/producers.md 17).
Recognized by: a scope that begins with `com.opencode`; the span's kind by call id or by the end of its name.
Times: the span's own. They describe the same things as the plugin's log events. A call has its id. A request is
identified, as in the log events, by the millisecond in which its message was created: all versions use it as the
span's start (in 19 recordings of four versions with both, every request agrees). Of a session's span only the start is
read, since 0.8 ends it at the first idle and 1.2 when the plugin ends.
They cannot tell parent sessions: a span's parent may be another program's, and span ids do not name sessions. One fork
(slipfre) has a child's parent and call in attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from receiver.dialects.opencode.plugin_otel import agent_name, error_class
from receiver.dialects.shared.fields import (
    CLOCK_TOLERANCE,
    MAX_TIME,
    MS,
    Captured,
    as_bool,
    as_cost,
    as_count,
    as_id,
    as_id_unless_unknown,
    as_text,
    first_set,
    from_json,
    total_input_tokens,
)
from receiver.dialects.shared.finished_calls import outcome
from receiver.dialects.shared.tool_errors import child_in
from receiver.events import REPORTED, SPAN, AnyEvent, CallEvent, Discarded, RequestEvent, SessionEvent, StateEvent
from receiver.model import STATUS_ERROR, SpanRecord

_SCOPE = "com.opencode"  # the plugin that has Claude Code's scopes sends no spans
_SESSIONS, _REQUESTS = (".session", ".interaction", ".run"), (".llm", ".llm_request")
_INTERRUPTED = "session ended before"  # the plugin's error text for calls that were open when the session was idle


def spans(span: SpanRecord, captured: Captured) -> Sequence[AnyEvent] | None:
    """The events of a span; None for other spans, and for kinds that are not read and pass through."""
    if not span.scope.name.startswith(_SCOPE):
        return None
    session = as_id_unless_unknown(span.attributes.get("session.id"))
    if session is None:
        return (Discarded(reason="no_session"),)
    if not 0 < span.start < MAX_TIME or not 0 < span.end < MAX_TIME or span.start > span.end + CLOCK_TOLERANCE:
        return (Discarded(reason="no_time"),)
    call = as_id(first_set(span.attributes, "tool.id", "tool_use_id"))
    parents = tuple(_parent(span, session))
    if call is not None:
        return (*parents, *_call(span, session, call))
    if span.name.endswith(_REQUESTS):
        return (*parents, *_request(span, session))
    if span.name.endswith(_SESSIONS):
        return (*parents, *_session(span, session))
    return parents or None


def _parent(span: SpanRecord, session: str) -> Iterator[AnyEvent]:
    """The session's parent and its task call, where the plugin has them."""
    parent, call = as_id(span.attributes.get("session.parent_id")), as_id(span.attributes.get("task.call_id"))
    if parent is None or parent == session:
        return
    yield SessionEvent(session=session, parent=parent, rank=REPORTED)
    if call is not None:
        yield CallEvent(session=parent, call=call, rank=REPORTED, tool="task", child=session)


def _session(span: SpanRecord, session: str) -> Iterator[AnyEvent]:
    # after an error, the plugin reports a child as a root (seen in a recording), with no messages counted
    counted = as_count(span.attributes.get("session.total_messages"))
    root = as_bool(span.attributes.get("session.is_subagent")) is False and bool(counted)
    yield SessionEvent(
        session=session, time=span.start, rank=REPORTED, root=root, agent=agent_name(span.attributes.get("agent.name"))
    )
    yield StateEvent(session=session, time=span.start, state="busy")


def _request(span: SpanRecord, session: str) -> Iterator[AnyEvent]:
    attributes = span.attributes
    failed = span.status_code == STATUS_ERROR
    finish = as_text(attributes.get("llm.finish_reason"))
    fresh = as_count(attributes.get("llm.token_count.prompt"))
    read = as_count(attributes.get("llm.token_count.prompt_details.cache_read"))
    written = as_count(attributes.get("llm.token_count.prompt_details.cache_write"))
    message = as_text(span.status_message)
    yield StateEvent(session=session, time=span.start, state="busy")
    yield RequestEvent(
        session=session,
        request=f"at:{span.start // MS}",
        rank=SPAN,
        start=span.start,
        end=max(span.end, span.start),
        agent=agent_name(span.attributes.get("agent.name")),
        provider=as_text(first_set(attributes, "llm.provider", "llm.system")),
        model=as_text(attributes.get("llm.model_name")),
        finish=None if failed else finish,
        input_tokens=total_input_tokens(fresh, read, written),
        output_tokens=as_count(attributes.get("llm.token_count.completion")),
        cache_read_tokens=read,
        cache_creation_tokens=written,
        reasoning_tokens=as_count(attributes.get("llm.token_count.completion_details.reasoning")),
        cost=as_cost(first_set(attributes, "llm.cost.total", "cost_usd")),
        error_type=error_class(message, "api_error") if failed else None,
        error=message if failed else None,
    )
    if finish == "stop" and not failed:
        yield StateEvent(session=session, time=span.end, state="idle")  # the turn's last answer


def _call(span: SpanRecord, session: str, call: str) -> Iterator[AnyEvent]:
    attributes = span.attributes
    tool = as_text(first_set(attributes, "tool.name", "tool_name"))
    arguments = from_json(first_set(attributes, "tool.parameters", "input.value"))
    failed = span.status_code == STATUS_ERROR or as_bool(attributes.get("tool.success")) is False
    error = as_text(attributes.get("tool.error")) or as_text(span.status_message)
    child = _child(span, error) if tool == "task" else None
    agent = as_text(arguments.get("subagent_type")) or as_text(attributes.get("subagent.agent.name"))
    yield CallEvent(
        session=session,
        call=call,
        rank=SPAN,
        tool=tool,
        start=span.start,
        end=max(span.start, span.end),
        **outcome(failed, error, interrupted=(error or "").startswith(_INTERRUPTED)),
        child=child,
        agent=agent if tool == "task" else None,
        skill=as_text(arguments.get("name")) if tool == "skill" else None,
        description=as_text(arguments.get("description")) if tool == "task" else None,
    )
    if child and agent:
        yield SessionEvent(session=child, rank=REPORTED, agent=agent)


def _child(span: SpanRecord, error: str | None) -> str | None:
    stated = as_id(span.attributes.get("subagent.session.id"))
    return stated or child_in(as_text(span.attributes.get("output.value"))) or child_in(error)
