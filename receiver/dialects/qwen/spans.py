"""Qwen Code's spans (docs/producers.md 25). Calls and requests have log events, so that few spans add anything.

Producer: Qwen Code 0.24.4, recorded.
Recognized by: the scope `qwen-code`, or that of its HTTP client below it.
They add the end of a turn (`interaction`), which agent started a subagent and when that ended (`subagent`), and the
provider and the finish reason of a request (`llm_request`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from receiver.dialects.qwen.agents import HTTP_SCOPE, SCOPE, agent_of, is_ours, subagent
from receiver.dialects.shared.fields import MAX_TIME, Captured, as_id, first_set
from receiver.events import SPAN, AnyEvent, Discarded, RequestEvent, SessionEvent, StateEvent
from receiver.model import SpanRecord

_PREFIX = "qwen-code."


def spans(span: SpanRecord, captured: Captured) -> Sequence[AnyEvent] | None:
    """The events of a span; None if it is not Qwen Code's."""
    if not is_ours(span.scope):
        is_client = span.scope.name == HTTP_SCOPE and span.resource.attributes.get("service.name") == SCOPE
        return () if is_client else None
    read = _SPANS.get(span.name.removeprefix(_PREFIX))
    if read is None:
        return ()
    session = as_id(span.attributes.get("gen_ai.conversation.id"))
    if session is None:
        return (Discarded(reason="no_session"),)
    if not 0 < span.start <= span.end < MAX_TIME:
        return (Discarded(reason="no_time"),)
    return tuple(read(span, session))


def _interaction(span: SpanRecord, session: str) -> Iterator[AnyEvent]:
    yield SessionEvent(session=session, root=True)
    yield StateEvent(session=session, time=span.start, state="busy")
    yield StateEvent(session=session, time=span.end, state="idle")


def _request(span: SpanRecord, session: str) -> Iterator[AnyEvent]:
    agent = agent_of(span.attributes.get("qwen-code.prompt_id"), session)
    yield from agent.events()
    yield RequestEvent(
        session=agent.session,
        request=(span.trace_id + span.span_id).hex(),
        rank=SPAN,
        start=span.start,
        end=span.end,
        provider=as_id(span.attributes.get("gen_ai.provider.name")),
        model=as_id(span.attributes.get("gen_ai.request.model")),
        response_id=as_id(span.attributes.get("gen_ai.response.id")),
        finish=as_id(first_set(span.attributes, "finish_reason")),
    )


def _subagent(span: SpanRecord, session: str) -> Iterator[AnyEvent]:
    """A subagent, started by the main agent unless another one is named."""
    found = as_id(span.attributes.get("qwen-code.subagent.id"))
    if found is None:
        return
    agent = subagent(session, found)
    above = as_id(span.attributes.get("qwen-code.subagent.parent_agent_id"))
    yield from agent.events(as_id(span.attributes.get("qwen-code.subagent.name")))
    yield SessionEvent(session=agent.session, parent=subagent(session, above).session if above else session)
    yield StateEvent(session=agent.session, time=span.end, state="idle")


_SPANS: dict[str, Callable[[SpanRecord, str], Iterator[AnyEvent]]] = {
    "interaction": _interaction,
    "llm_request": _request,
    "subagent": _subagent,
}
