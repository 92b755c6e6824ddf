"""Adoption by scope: an agent's own traces are replaced as a whole or passed on as a whole (table.Dialect.adopts)."""

from __future__ import annotations

from dataclasses import replace

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver.dialects.table import Dialect
from receiver.events import Discarded, LineageEvent, SessionEvent
from receiver.pipeline.record_reader import RecordReader
from tests.support.factories import NOON, spans_request

AGENT = Dialect("agent", adopts=True, spans=lambda span, _: TOLD.get(span.name) if span.scope.name == "agent" else None)
TOLD = {
    "turn": (SessionEvent(session="s", time=NOON, root=True),),
    "step": (LineageEvent(span=b"a" * 24),),
    "internal": (),
    "broken": (Discarded(reason="no_call"),),
}


def read(dialect: Dialect, *names: str, scope: str = "agent"):
    request = spans_request(*(Span(name=name, trace_id=b"t" * 16, span_id=b"s" * 8) for name in names), scope=scope)
    return RecordReader(frozenset(), [dialect]).read(request, 0)


def test_every_span_of_the_agents_scope_is_adopted_and_counted():
    result = read(AGENT, *TOLD)
    assert (len(result.agent_spans), result.foreign_spans) == (4, [])
    assert (result.used, result.discarded) == ({"agent": 2}, {"adopted": 1, "no_call": 1})
    assert result.spans_to_hand_on(adopt_spans=True) == []


def test_without_adoption_every_span_of_the_agents_scope_is_handed_on():
    assert len(read(AGENT, *TOLD).spans_to_hand_on(adopt_spans=False)) == 4


def test_spans_of_other_scopes_are_handed_on():
    result = read(AGENT, *TOLD, scope="other")
    assert len(result.spans_to_hand_on(adopt_spans=True)) == 4
    assert result.discarded == {"handed_on": 4}


def test_spans_that_only_state_links_are_handed_on_where_the_dialect_adopts_single_spans():
    result = read(replace(AGENT, adopts=False), "turn", "step", "internal")
    assert (len(result.agent_spans), len(result.foreign_spans)) == (2, 1)
    assert result.discarded == {"not_of_the_tree": 1}
