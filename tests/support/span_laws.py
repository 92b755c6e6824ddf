"""What must hold of every set of spans (docs/contract.md 7.1); violations are described in words."""

from __future__ import annotations

from collections.abc import Iterable

from receiver import semconv as sc
from receiver.core.state.settings import SECOND
from receiver.model import Span, Value
from tests.support.factories import NOON


def attribute(span: Span, name: str) -> Value:
    """An attribute of a span, or None."""
    return dict(span.attributes).get(name)


def is_session(span: Span) -> bool:
    """Whether it is a session's span."""
    return attribute(span, sc.OPERATION_NAME) == sc.INVOKE_AGENT


def is_late(span: Span) -> bool:
    """Whether it is marked as arrived after the span above it was emitted."""
    return attribute(span, sc.LATE) is True


def inferred(span: Span) -> tuple[str, ...]:
    """What is marked as reconstructed."""
    return tuple(attribute(span, sc.INFERRED) or ())  # type: ignore[arg-type]


def canonical(spans: Iterable[Span]) -> list[str]:
    """Spans as text, in an order of their own, to compare two sets."""
    return sorted(repr(span) + span.resource.hex() for span in spans)


def in_short(span: Span) -> str:
    """A span in one line, for people who compare two of them."""
    held = ", ".join(f"{k.rpartition('.')[2]}={v}" for k, v in span.attributes if k != sc.CONVERSATION_ID)
    ids = "/".join(i.hex()[:4] for i in (span.trace_id, span.span_id, span.parent_span_id))
    more = [f"{e.name}@{_seconds(e.time)}" for e in span.events]
    more += [f"->{link.span_id.hex()[:4]} {dict(link.attributes).get(sc.LINK_TYPE)}" for link in span.links]
    return f"{span.name} {_seconds(span.start)}..{_seconds(span.end)} {ids} [{held}] {more} {span.status_message}"


def _seconds(time: int) -> float:
    return (time - NOON) / SECOND


def violations(spans: Iterable[Span]) -> list[str]:
    """Every breach of well-formedness. The spans are all that was ever exported."""
    held = list(spans)
    by_id: dict[bytes, Span] = {}
    found: list[str] = []
    for span in held:
        if span.span_id in by_id:
            found.append(f"{_name(span)} left twice")
        by_id[span.span_id] = span
        if span.end < span.start:
            found.append(f"{_name(span)} ends before it starts")
        if span.start <= 0:
            found.append(f"{_name(span)} has no start")
        if not any(span.span_id) or not any(span.trace_id):
            found.append(f"{_name(span)} has an id of zeros")
    found.extend(_roots(held))
    for span in held:
        found.extend(_ancestry(span, by_id))
    return sorted(set(found))


def dangling_links(spans: Iterable[Span]) -> list[str]:
    """Links to spans that were not exported, or not in the trace that the link says."""
    held = list(spans)
    traces = {s.span_id: s.trace_id for s in held}
    return [
        f"{_name(s)}: {dict(link.attributes).get(sc.LINK_TYPE)} leads nowhere"
        for s in held
        for link in s.links
        if not link.remote and traces.get(link.span_id) != link.trace_id
    ]


def _roots(spans: list[Span]) -> Iterable[str]:
    roots: dict[bytes, list[Span]] = {s.trace_id: [] for s in spans}
    remote = {s.trace_id for s in spans if s.remote_parent}  # another program's trace: its root is not ours
    for span in spans:
        if not span.parent_span_id:
            roots[span.trace_id].append(span)
    for trace, tops in roots.items():
        if len(tops) != (trace not in remote):
            yield f"trace {trace.hex()[:6]} has {len(tops)} roots: {[_name(t) for t in tops]}"


def _ancestry(span: Span, by_id: dict[bytes, Span]) -> Iterable[str]:
    seen = {span.span_id}
    at = span
    while at.parent_span_id and not at.remote_parent:
        up = by_id.get(at.parent_span_id)
        if up is None:
            yield f"{_name(at)} hangs below a span that was not exported"
            return
        if up.trace_id != at.trace_id:
            yield f"{_name(at)} hangs below {_name(up)} of another trace"
            return
        if is_session(up) and not is_late(span) and not (up.start <= span.start and span.end <= up.end):
            yield f"{_name(up)} does not cover {_name(span)}"
        if up.span_id in seen:
            yield f"{_name(span)} is its own ancestor"
            return
        seen.add(up.span_id)
        at = up


def _name(span: Span) -> str:
    held = dict(span.attributes)
    return f"{span.name}/{held.get(sc.SESSION_ID)}/{held.get(sc.SESSION_SEGMENT) or held.get(sc.TOOL_CALL_ID) or ''}"
