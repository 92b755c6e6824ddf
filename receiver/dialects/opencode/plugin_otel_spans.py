"""The own spans of opencode-plugin-otel and its forks: a session (or a turn of it), its model requests, its calls.

They are evidence beside the plugin's logs, of the same things: a call has its id; a request is known, as in the logs,
by the millisecond that its message was created in, which all versions take for the span's start (in 19 recordings of
four versions with both, every request agrees). A session's span is at best a turn: 0.8 ends it when the session is
idle, 1.2 when the plugin ends, so that only its start is read. Its parent is not: a context may be remote, and ids of
spans say nothing of sessions. One fork (slipfre) states a child's parent and call in attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from receiver.dialects.opencode.plugin_otel import agent_name, error_class
from receiver.dialects.shared.fields import (
    LATEST,
    MS,
    SLACK,
    Wanted,
    as_bool,
    as_cost,
    as_count,
    as_id,
    as_known_id,
    as_text,
    first,
    from_json,
    with_cached,
)
from receiver.dialects.shared.tool_errors import child_in, error_type
from receiver.events import REPORTED, SPAN, AnyEvent, CallEvent, Discarded, RequestEvent, SessionEvent, StateEvent
from receiver.model import STATUS_ERROR, SpanRecord

_SCOPE = "com.opencode"  # the plugin that has Claude Code's scopes sends no spans
_SESSIONS, _REQUESTS = (".session", ".interaction", ".run"), (".llm", ".llm_request")
_CUT = "session ended before"  # what the plugin says of what was open when the session was idle


def spans(span: SpanRecord, wanted: Wanted) -> Sequence[AnyEvent] | None:
    """What one of the plugins' own spans tells; None if it is none, or of a kind that is not read and is handed on."""
    if not span.scope.name.startswith(_SCOPE):
        return None
    session = as_known_id(span.attributes.get("session.id"))
    if session is None:
        return (Discarded(reason="no_session"),)
    if not 0 < span.start < LATEST or not 0 < span.end < LATEST or span.start > span.end + SLACK:
        return (Discarded(reason="no_time"),)
    call = as_id(first(span.attributes, "tool.id", "tool_use_id"))
    told = tuple(_stated(span, session))
    if call is not None:
        return (*told, *_call(span, session, call))
    if span.name.endswith(_REQUESTS):
        return (*told, *_request(span, session))
    if span.name.endswith(_SESSIONS):
        return (*told, *_session(span, session))
    return told or None


def _stated(span: SpanRecord, session: str) -> Iterator[AnyEvent]:
    """Whose child the session is, where the plugin says so."""
    parent, call = as_id(span.attributes.get("session.parent_id")), as_id(span.attributes.get("task.call_id"))
    if parent is None or parent == session:
        return
    yield SessionEvent(session=session, parent=parent, rank=REPORTED)
    if call is not None:
        yield CallEvent(session=parent, call=call, rank=REPORTED, tool="task", child=session)


def _session(span: SpanRecord, session: str) -> Iterator[AnyEvent]:
    # after an error a plugin takes a child for a root (seen in a recording); it has counted no message of it then
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
        provider=as_text(first(attributes, "llm.provider", "llm.system")),
        model=as_text(attributes.get("llm.model_name")),
        finish=None if failed else finish,
        input_tokens=with_cached(fresh, read, written),
        output_tokens=as_count(attributes.get("llm.token_count.completion")),
        cache_read_tokens=read,
        cache_creation_tokens=written,
        reasoning_tokens=as_count(attributes.get("llm.token_count.completion_details.reasoning")),
        cost=as_cost(first(attributes, "llm.cost.total", "cost_usd")),
        error_type=error_class(message, "api_error") if failed else None,
        error=message if failed else None,
    )
    if finish == "stop" and not failed:
        yield StateEvent(session=session, time=span.end, state="idle")  # the turn's last answer


def _call(span: SpanRecord, session: str, call: str) -> Iterator[AnyEvent]:
    attributes = span.attributes
    tool = as_text(first(attributes, "tool.name", "tool_name"))
    given = from_json(first(attributes, "tool.parameters", "input.value"))
    failed = span.status_code == STATUS_ERROR or as_bool(attributes.get("tool.success")) is False
    error = as_text(attributes.get("tool.error")) or as_text(span.status_message)
    child = _child(span, error) if tool == "task" else None
    agent = as_text(given.get("subagent_type")) or as_text(attributes.get("subagent.agent.name"))
    yield CallEvent(
        session=session,
        call=call,
        rank=SPAN,
        tool=tool,
        start=span.start,
        end=max(span.start, span.end),
        status="error" if failed else "completed",
        error=error if failed else None,
        error_type=error_type(error, (error or "").startswith(_CUT)) if failed else None,
        child=child,
        agent=agent if tool == "task" else None,
        skill=as_text(given.get("name")) if tool == "skill" else None,
        description=as_text(given.get("description")) if tool == "task" else None,
    )
    if child and agent:
        yield SessionEvent(session=child, rank=REPORTED, agent=agent)


def _child(span: SpanRecord, error: str | None) -> str | None:
    stated = as_id(span.attributes.get("subagent.session.id"))
    return stated or child_in(as_text(span.attributes.get("output.value"))) or child_in(error)
