"""GitHub Copilot CLI's spans, which are all that it sends of a session (docs/producers.md 23).

Producer: Copilot CLI 1.0.102, recorded.
Recognized by: the scope `github.copilot`, or the service `github-copilot` (the scope's name is a setting). All of them
are adopted.
Sessions: `gen_ai.conversation.id`, on every span; each prompt is a trace of its own. A subagent shares the id, so its
session is the conversation with the id of its `invoke_agent` span, which is the parent of all its spans. What is not a
subagent's says so: requests by `github.copilot.turn_id`, calls by having no `gen_ai.agent.name`.
Times: a span's own, in ms. The end of the first `invoke_agent` span is the end of a turn.
MCP: unless content is on, server and tool are SHA-256 digests; the server's name is found again among those configured
(core/emission/mcp_names.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from receiver.dialects.shared.fields import MAX_TIME, Captured, as_count, as_id, as_text, first_set
from receiver.events import (
    EXACT,
    TASK,
    AnyEvent,
    CallEvent,
    Discarded,
    LineageEvent,
    NoteEvent,
    RequestEvent,
    SessionEvent,
    StateEvent,
)
from receiver.model import STATUS_ERROR, SpanRecord

_SCOPE, _SERVICE = "github.copilot", "github-copilot"
_AGENT, _REQUEST, _CALL = "invoke_agent", "chat", "execute_tool"
_PARAMETERS = "github.copilot.tool.parameters."


def spans(span: SpanRecord, captured: Captured) -> Sequence[AnyEvent] | None:
    """The events of a span; None if it is not Copilot's."""
    if span.scope.name != _SCOPE and span.resource.attributes.get("service.name") != _SERVICE:
        return None
    read = _SPANS.get(str(span.attributes.get("gen_ai.operation.name")))
    if read is None:
        return ()
    conversation = as_id(span.attributes.get("gen_ai.conversation.id"))
    if conversation is None:
        return (Discarded(reason="no_session"),)
    if not 0 < span.start < MAX_TIME or not span.start <= span.end < MAX_TIME:
        return (Discarded(reason="no_time"),)
    return tuple(read(span, conversation, captured))


def _id(span: SpanRecord, parent: bool = False) -> bytes:
    return span.trace_id + (span.parent_span_id if parent else span.span_id)


def _subagent(conversation: str, span_id: bytes) -> str:
    """The session of a subagent, by its `invoke_agent` span."""
    return f"{conversation}:{span_id.hex()}"


def _whose(span: SpanRecord, conversation: str, of_subagent: bool) -> SessionEvent:
    if of_subagent and span.parent_span_id:
        return SessionEvent(session=_subagent(conversation, span.parent_span_id), subagent=True)
    return SessionEvent(session=conversation, root=True)


def _agent(span: SpanRecord, conversation: str, captured: Captured) -> Iterator[AnyEvent]:
    """A turn, or a subagent."""
    name = as_id(span.attributes.get("gen_ai.agent.name"))
    is_turn = not span.parent_span_id or name is None
    session = conversation if is_turn else _subagent(conversation, span.span_id)
    version = as_id(span.resource.attributes.get("service.version"))
    model = as_text(span.attributes.get("gen_ai.request.model"))
    yield SessionEvent(
        session=session, time=span.start, root=is_turn, subagent=not is_turn, agent=name, version=version, model=model
    )
    yield StateEvent(session=session, time=span.start, state="busy")
    yield StateEvent(session=session, time=span.end, state="idle")
    for event in span.events:
        if is_turn and event.name == "github.copilot.user.message" and 0 < event.time < MAX_TIME:
            yield NoteEvent(session=session, time=event.time, name="user_prompt")
    if not is_turn:
        yield LineageEvent(span=_id(span), parent=_id(span, parent=True), session=session)


def _request(span: SpanRecord, conversation: str, captured: Captured) -> Iterator[AnyEvent]:
    attributes = span.attributes
    initiator = attributes.get("github.copilot.initiator")
    whose = _whose(span, conversation, initiator == "sub-agent" or "github.copilot.turn_id" not in attributes)
    finish = attributes.get("gen_ai.response.finish_reasons")
    failed = span.status_code == STATUS_ERROR
    yield whose
    yield RequestEvent(
        session=whose.session,
        request=span.span_id.hex(),
        rank=EXACT,
        start=span.start,
        end=span.end,
        provider=as_text(attributes.get("gen_ai.provider.name")),
        model=as_text(attributes.get("gen_ai.request.model")),
        response_model=as_text(attributes.get("gen_ai.response.model")),
        response_id=as_id(attributes.get("gen_ai.response.id")),
        finish=as_id(finish[0]) if isinstance(finish, (list, tuple)) and finish else None,
        input_tokens=as_count(attributes.get("gen_ai.usage.input_tokens")),
        output_tokens=as_count(attributes.get("gen_ai.usage.output_tokens")),
        cache_read_tokens=as_count(attributes.get("gen_ai.usage.cache_read.input_tokens")),
        reasoning_tokens=as_count(attributes.get("gen_ai.usage.reasoning.output_tokens")),
        error_type=(as_id(attributes.get("error.type")) or "request_failed") if failed else None,
        error=as_text(span.status_message) if failed else None,
    )


def _call(span: SpanRecord, conversation: str, captured: Captured) -> Iterator[AnyEvent]:
    attributes = span.attributes
    call, tool = as_id(attributes.get("gen_ai.tool.call.id")), as_id(attributes.get("gen_ai.tool.name"))
    if call is None or tool is None:
        yield Discarded(reason="no_call" if call is None else "malformed")
        return
    whose = _whose(span, conversation, "gen_ai.agent.name" in attributes)
    server = as_id(first_set(attributes, _PARAMETERS + "mcp_server_name", _PARAMETERS + "mcp_server_name_hash"))
    failed = span.status_code == STATUS_ERROR
    yield whose
    yield CallEvent(
        session=whose.session,
        call=call,
        rank=EXACT,
        tool=tool,
        start=span.start,
        end=span.end,
        status="error" if failed else "completed",
        error_type=(as_id(attributes.get("error.type")) or "tool_error") if failed else None,
        error=as_text(span.status_message) if failed else None,
        skill=as_id(attributes.get("gen_ai.skill.name")),
        mcp=server is not None,
        mcp_server=server,
        mcp_tool=(as_id(attributes.get(_PARAMETERS + "mcp_tool_name")) or tool.rpartition("/")[2]) if server else None,
        arguments=as_text(attributes.get("gen_ai.tool.call.arguments")) if "arguments" in captured else None,
        result=as_text(attributes.get("gen_ai.tool.call.result")) if "results" in captured else None,
    )
    if tool == TASK:
        yield LineageEvent(span=_id(span), session=whose.session, call=call)


_SPANS: dict[str, Callable[[SpanRecord, str, Captured], Iterator[AnyEvent]]] = {
    _AGENT: _agent,
    _REQUEST: _request,
    _CALL: _call,
}
