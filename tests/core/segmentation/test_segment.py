"""Numbers of segments, and what of a session's activity belongs to a closed one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from receiver.core.segmentation.segment import (
    Reason,
    Segment,
    activities_with_items,
    boundaries,
    closed_at,
    number_segments,
)
from receiver.core.state.items import Item
from receiver.core.state.session import Activity, Closed, Pin, Session
from receiver.events import EXACT


def parts(*starts: int) -> list[Segment]:
    """Segments of 5 ns that begin at these times."""
    return [Segment(0, start, start + 5, start + 5) for start in starts]


def pin(start: int) -> Pin:
    return Pin(start, start, b"t", 1)


def closed(number: int, start: int, end: int, limit: int = 10) -> Closed:
    return Closed(number, start, end, limit, b"t", number)


def numbers(session: Session, *starts: int) -> list[tuple[int, int]]:
    return [(s.number, s.start) for s in number_segments(session, parts(*starts))]


class TestBoundaries:
    def divided(self, cuts=(), turns=(), pins=()) -> list[tuple[int, Reason]]:
        session = Session(id="a", pins={number: pin(start) for number, start in enumerate(pins, 1)})
        return [tuple(b) for b in boundaries(session, Segment(1, 10, 99, 99), cuts, turns)]

    def test_a_segment_begins_after_a_pause_and_ends_before_one(self):
        assert self.divided() == [(10, Reason.PAUSE), (100, Reason.PAUSE)]

    def test_boundaries_are_sorted_by_time_and_only_those_within_the_segment(self):
        assert self.divided(cuts=[70, 5, 300], turns=[30, 10, 100]) == [
            (10, Reason.PAUSE),
            (30, Reason.TURN),
            (70, Reason.ROLLOVER),
            (100, Reason.PAUSE),
        ]

    def test_a_turn_that_begins_at_a_rollover_is_a_turn(self):
        assert self.divided(cuts=[50], turns=[50])[1] == (50, Reason.TURN)

    def test_of_two_pins_without_a_boundary_between_them_the_second_is_one(self):
        assert self.divided(pins=[20, 60])[1:-1] == [(60, Reason.PIN)]
        assert self.divided(cuts=[40], pins=[20, 60])[1:-1] == [(40, Reason.ROLLOVER)]


class TestNumbers:
    def test_segments_are_numbered_in_order_of_time(self):
        assert numbers(Session(id="a"), 0, 100, 200) == [(1, 0), (2, 100), (3, 200)]

    def test_numbers_go_on_after_closed_segments(self):
        assert numbers(Session(id="a", closed=[closed(4, 0, 9)]), 100) == [(5, 100)]

    def test_a_pinned_segment_keeps_its_number(self):
        assert numbers(Session(id="a", pins={3: pin(100)}), 0, 100, 200) == [(1, 0), (3, 100), (4, 200)]

    def test_a_part_before_a_pinned_segment_without_a_free_number_is_no_segment(self):
        assert numbers(Session(id="a", pins={1: pin(100)}), 0, 100) == [(1, 100)]

    def test_a_pinned_segment_without_activity_is_still_there(self):
        assert numbers(Session(id="a", pins={2: pin(150)}), 100) == [(1, 100), (2, 150)]

    @given(st.sets(st.integers(0, 20)), st.dictionaries(st.integers(1, 9), st.integers(0, 20), max_size=4))
    def test_numbers_are_unique_and_pinned_ones_stay(self, starts, pins):
        in_order = dict(zip(sorted(pins), sorted({t * 100 for t in pins.values()}), strict=False))
        session = Session(id="a", pins={number: pin(start) for number, start in in_order.items()})
        found = numbers(session, *sorted({*(t * 100 for t in starts), *in_order.values()}))
        assert len({number for number, _ in found}) == len(found)
        assert set(in_order.items()) <= set(found)


class TestClosedSegments:
    def test_a_moment_within_the_limit_after_it_belongs_to_it(self):
        session = Session(id="a", closed=[closed(1, 100, 200)])
        assert [closed_at(session, t, 5) is not None for t in (94, 95, 150, 210, 211)] == [
            False,
            True,
            True,
            True,
            False,
        ]


class TestActivityOfItems:
    def item(self, start: int, end: int) -> Item:
        return Item(id=f"call@{start}", facts={"start": (EXACT, start), "end": (EXACT, end)})

    def test_a_long_call_joins_the_activity_at_its_ends(self):
        ends = [Activity(start=100, end=100), Activity(start=900, end=900)]
        session = Session(id="a", activities=ends, calls={"c": self.item(100, 900)})
        assert [(a.start, a.end) for a in activities_with_items(session, 1)] == [(100, 900)]
        assert [(a.start, a.end) for a in session.activities] == [(100, 100), (900, 900)]

    def test_a_call_of_a_closed_segment_is_no_activity(self):
        session = Session(id="a", calls={"c": self.item(100, 900)}, closed=[closed(1, 50, 200)])
        assert activities_with_items(session, 1) == []
