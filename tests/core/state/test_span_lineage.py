"""Links that an agent's own spans state: whole chains only, the next call above only, in any order."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from receiver.core.state import span_lineage
from receiver.core.state.span_lineage import Kin, Lineage
from receiver.events import ChildEvent, Discarded, LineageEvent

TOLD = st.builds(
    LineageEvent,
    span=st.sampled_from([b"a", b"b", b"c", b"d", b"e"]),
    parent=st.sampled_from([b"", b"a", b"b", b"c", b"d", b"e"]),
    session=st.sampled_from(["", "ses_a", "ses_b"]),
    call=st.sampled_from(["", "c1"]),
)
# A's task call c1, in it B's creation and turn, and in that B's own task call c2, which started C
TREE = [
    LineageEvent(span=b"call1", parent=b"run-a", session="ses_a", call="c1"),
    LineageEvent(span=b"execute", parent=b"call1"),
    LineageEvent(span=b"create", parent=b"execute"),
    LineageEvent(span=b"create", session="ses_b"),
    LineageEvent(span=b"run-b", parent=b"execute"),
    LineageEvent(span=b"run-b", session="ses_b"),
    LineageEvent(span=b"call2", parent=b"run-b", session="ses_b", call="c2"),
    LineageEvent(span=b"run-c", parent=b"call2"),
    LineageEvent(span=b"tool-c", parent=b"run-c", session="ses_c"),
]
LINKS = {("ses_a", "c1", "ses_b"), ("ses_b", "c2", "ses_c")}


def links(told, state=None):
    found = Lineage() if state is None else state
    told_links = [link for event in told for link in found.take(event)]
    assert all(isinstance(link, ChildEvent) for link in told_links)
    return {(link.session, link.call, link.child) for link in told_links}


@given(st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(chance: random.Random):
    told = TREE + chance.sample(TREE, 4)
    chance.shuffle(told)
    assert links(told) == LINKS


@given(st.lists(TOLD, max_size=12), st.randoms(use_true_random=False))
def test_what_is_known_of_a_span_does_not_depend_on_the_order_either(told, chance: random.Random):
    one, other = Lineage(), Lineage()
    links(told, one)
    again = told + told[::2]
    chance.shuffle(again)
    links(again, other)
    assert one.spans == other.spans
    assert {s: one.below(s) for s in one.spans} == {s: other.below(s) for s in one.spans}


@given(st.integers(0, len(TREE) - 1))
def test_a_chain_with_a_gap_links_nobody_to_a_call_beyond_it(gone):
    emitted = TREE[:gone] + TREE[gone + 1 :]
    assert links(emitted) <= LINKS


def test_a_grandchild_belongs_to_its_own_caller():
    assert ("ses_a", "c1", "ses_c") not in links(TREE)


def test_a_session_is_not_started_by_its_own_call():
    told = [LineageEvent(span=b"x", session="ses_a", call="c1"), LineageEvent(span=b"y", parent=b"x", session="ses_a")]
    assert links(told) == set()


def test_a_cycle_of_spans_ends():
    ring = [LineageEvent(span=b"a", parent=b"b", session="ses_b"), LineageEvent(span=b"b", parent=b"a")]
    assert links([*ring, LineageEvent(span=b"c", parent=b"a", session="ses_a", call="c1")]) == set()


def test_spans_below_a_call_beyond_the_bound_are_counted_as_discarded(monkeypatch):
    monkeypatch.setattr(span_lineage, "MAX_SPANS_BELOW_CALL", 3)
    state = Lineage()
    for i in range(5):
        state.put(b"%d" % i, Kin(b"call", f"ses_{i}"))
    said = list(state.take(LineageEvent(span=b"call", session="ses_a", call="c1")))
    assert said[0] == Discarded(reason="too_many_spans")
    assert len(said) == 4


def test_a_loaded_span_is_not_new():
    state = Lineage()
    state.put(b"a", Kin(b"b"))
    assert state.new == set()
    links([LineageEvent(span=b"a", parent=b"b"), LineageEvent(span=b"c", parent=b"a")], state)
    assert state.new == {b"c"}
