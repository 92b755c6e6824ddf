"""How many calls a tool's metrics count in an interval, and which of their durations are certain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.core.counting.call_counts import ROUNDING, CallCount, call_counts, known_durations
from receiver.core.state.emitted import EmittedItems
from receiver.core.state.items import EmittedRecord, ItemKind
from receiver.core.state.settings import MILLISECOND
from receiver.events import PointEvent
from tests.support.factories import NOON
from tests.support.series_points import ms, point, session_of


def counts(*points: PointEvent, emitted: EmittedItems | None = None) -> list[CallCount]:
    return call_counts(session_of(*points), emitted or EmittedItems(), "bash")


def in_ms(time: int) -> int:
    return (time - NOON) // MILLISECOND


class TestDurationsOfACumulativeSeries:
    def timed(self, *points: PointEvent) -> list[tuple[tuple[int, ...], int | None]]:
        return [
            (tuple(d // MILLISECOND for d in t.durations), None if t.rest is None else t.rest // MILLISECOND)
            for t in call_counts(session_of(*points), EmittedItems(), "bash")
        ]

    def test_one_more_call_took_what_the_sum_rose_by(self):
        points = (point(10_000, 1, total=45, low=45, high=45), point(20_000, 2, total=63, low=18, high=45))
        assert self.timed(*points) == [((45,), None), ((18,), None)]

    def test_of_two_more_one_is_known_by_a_new_extreme(self):
        points = (point(10_000, 1, total=45, low=45, high=45), point(20_000, 3, total=145, low=20, high=80))
        assert self.timed(*points)[1] == ((20, 80), None)

    def test_of_two_more_within_the_extremes_only_the_mean_is_known(self):
        points = (point(10_000, 2, total=100, low=10, high=90), point(20_000, 4, total=160, low=10, high=90))
        assert self.timed(*points)[1] == ((), 30)


class TestKnownDurations:
    @pytest.mark.parametrize(
        ("count", "total", "low", "high", "known"),
        [
            (1, 7, None, None, ((7,), None)),
            (2, 30_000, 10_000, 20_000, ((10_000, 20_000), None)),
            (2, 30_000, 10_000, None, ((10_000, 20_000), None)),
            (3, 45_000, 10_000, 20_000, ((10_000, 15_000, 20_000), None)),
            (5, 60_000, 10_000, 20_000, ((10_000, 20_000), 10_000)),
            (4, 60_000, None, None, ((), 15_000)),
            (2, 90_000, 10_000, 20_000, ((), 45_000)),
        ],
    )
    def test_what_is_certain_and_the_mean_of_the_rest(self, count, total, low, high, known):
        assert known_durations(count, total, low, high) == known

    @given(st.lists(st.integers(0, 10**12), min_size=1, max_size=9))
    def test_certain_durations_are_true_and_all_add_up_to_the_sum(self, durations):
        known, rest = known_durations(len(durations), sum(durations), min(durations), max(durations))
        left = list(durations)
        for duration in known:
            left.remove(duration)
        assert len(left) == 0 if rest is None else abs(sum(left) - rest * len(left)) < len(left)

    @given(st.integers(1, 9), st.integers(0, 99_999), st.integers(0, 99_999), st.integers(0, 99_999))
    def test_numbers_that_contradict_each_other_never_exceed_the_sum(self, count, total, low, high):
        known, rest = known_durations(count, total, min(low, high), max(low, high))
        assert sum(known) + (rest or 0) * (count - len(known)) <= total + ROUNDING


class TestDeltas:
    def delta(self, start: int, time: int, count: int = 1, **more) -> PointEvent:
        return point(time, count, start=start, form="delta", **more)

    def test_an_interval_begins_with_its_first_call(self):
        (count,) = counts(self.delta(300, 5_000, 2))
        assert (count.count, in_ms(count.begin), in_ms(count.time)) == (2, 300, 5_000)
        assert count.first_end == ms(300)

    def test_an_interval_that_begins_with_an_export_says_nothing_of_its_first_call(self):
        _, count = counts(self.delta(300, 5_000), self.delta(5_000, 10_000))
        assert count.first_end is None

    def test_after_a_pause_an_interval_begins_with_the_interval_before(self):
        _, count = counts(self.delta(300, 5_000), self.delta(7_000, 10_000))
        assert (in_ms(count.begin), in_ms(count.start)) == (5_000, 7_000)

    def test_of_overlapping_intervals_the_later_one_adds_what_it_counts_beyond(self):
        found = counts(
            self.delta(0, 5_000, 2, total=9, low=4, high=5), self.delta(0, 10_000, 3, total=9, low=1, high=5)
        )
        assert [(c.count, c.durations) for c in found] == [(2, (4 * MILLISECOND, 5 * MILLISECOND)), (1, ())]

    def test_a_histogram_without_a_sum_says_nothing_of_durations(self):
        (count,) = counts(self.delta(0, 5_000, 1, low=4, high=4))
        assert (count.durations, count.rest) == ((), None)


class TestInstruments:
    def test_only_the_instrument_that_counted_most_is_read(self):
        found = counts(point(10_000, 2, source="executions"), point(10_000, 3, source="duration", series="y"))
        assert [(c.source, c.count) for c in found] == [("duration cumulative", 3)]

    def test_of_two_that_counted_the_same_the_one_with_durations_is_read(self):
        found = counts(point(10_000, 1, source="z"), point(10_000, 1, source="a", series="y", total=5))
        assert [c.source for c in found] == ["a cumulative"]


def test_what_was_counted_when_the_session_closed_is_settled():
    first = session_of(point(10_000, 2))
    emitted = EmittedItems()
    emitted.add(ItemKind.SERIES, *first.series, EmittedRecord(ms(10_000), ms(50_000), usage=(2.0, -1, -1, -1)))
    found = counts(point(60_000, 3), emitted=emitted)
    assert [(c.count, c.settled, in_ms(c.time)) for c in found] == [(2, True, 50_000), (1, False, 60_000)]
