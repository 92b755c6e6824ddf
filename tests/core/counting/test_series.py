"""What a metric series counts, whatever order its points come in."""

from __future__ import annotations

from receiver.core.counting import series
from receiver.core.counting.series import increases
from receiver.core.state.items import EmittedRecord
from receiver.core.state.session import Series
from receiver.core.state.settings import MILLISECOND
from receiver.events import PointEvent
from tests.support.factories import NOON
from tests.support.series_points import ms, point, session_of


def found(*points: PointEvent, emitted: EmittedRecord | None = None) -> list[tuple[int, int, float]]:
    """The increases as (begin, time, amount), in ms after NOON."""
    (only,) = session_of(*points).series.values()
    found = increases(only, emitted)
    return [((i.begin - NOON) // MILLISECOND, (i.time - NOON) // MILLISECOND, i.amount) for i in found]


class TestRises:
    def test_the_first_lies_between_the_start_and_the_first_sight(self):
        assert found(point(10_000, 2)) == [(100, 10_000, 2)]

    def test_the_next_lies_between_the_last_sight_of_one_value_and_the_first_of_the_next(self):
        points = [point(10_000, 2), point(20_000, 2), point(30_000, 3), point(40_000, 3)]
        assert found(*points) == [(100, 10_000, 2), (20_000, 30_000, 1)]
        assert found(*reversed(points)) == found(*points)

    def test_a_copy_is_no_news(self):
        held: dict[str, Series] = {}
        told = point(10_000, 2)
        assert series.add(held, "x", told, "k") is None
        assert series.add(held, "x", told, "k") == "already_told"
        assert series.add(held, "x", point(20_000, 2), "k") == "already_told"

    def test_a_fall_is_a_reset(self):
        assert found(point(10_000, 5), point(20_000, 1)) == [(100, 10_000, 5), (10_000, 20_000, 1)]

    def test_after_the_session_closed_only_what_goes_beyond_is_new(self):
        emitted = EmittedRecord(ms(10_000), ms(50_000), usage=(2.0, -1, -1, -1))
        assert found(point(60_000, 3), emitted=emitted) == [(50_000, 60_000, 1)]
        assert series.is_counted(point(60_000, 2), "x", {"x": emitted})
        assert not series.is_counted(point(60_000, 3), "x", {"x": emitted})

    def test_many_values_are_bounded_and_the_count_stays_right(self):
        points = [point(1_000 + i, i + 1) for i in range(5_000)]
        held = session_of(*points)
        (only,) = held.series.values()
        assert len(only.readings) <= 2 * series.MAX_READINGS
        assert sum(r.amount for r in increases(only)) == 5_000
        assert increases(only) == increases(next(iter(session_of(*reversed(points)).series.values())))


class TestDeltasThatCountCalls:
    """Each interval is kept and remembered by itself."""

    def delta(self, start: int, time: int, count: int = 1, **more) -> PointEvent:
        return point(time, count, start=start, form="delta", **more)

    def counted(self, *points: PointEvent) -> list[tuple[int, int, float]]:
        found = series.call_deltas(session_of(*points), "bash")
        return [((r.first - NOON) // MILLISECOND, (r.last - NOON) // MILLISECOND, r.amount) for _, r in found]

    def test_an_interval_that_came_twice_counts_once_with_the_larger_number(self):
        points = (self.delta(0, 10, 2, total=7), self.delta(0, 10, 3, total=5), self.delta(0, 10, 2, total=7))
        assert self.counted(*points) == self.counted(*reversed(points)) == [(0, 10, 3)]

    def test_an_interval_that_came_with_two_resources_counts_once(self):
        held = session_of(self.delta(0, 10))
        for p in (self.delta(0, 10), self.delta(10, 20)):
            series.add(held.series, series.key_of(p, "collector"), p, "collector")
        assert sorted(r.last - NOON for _, r in series.call_deltas(held, "bash")) == [ms(10) - NOON, ms(20) - NOON]

    def test_after_the_session_closed_an_older_interval_is_still_new(self):
        ((key, held),) = session_of(self.delta(10, 20)).series.items()
        emitted = dict(series.records(key, held, {}))
        assert series.is_counted(self.delta(10, 20), key, emitted)
        assert not series.is_counted(self.delta(0, 10), key, emitted)

    def test_of_too_many_intervals_the_earliest_are_kept_in_any_order(self):
        points = [self.delta(i, i + 1, series=str(i % 3)) for i in range(series.MAX_CALL_DELTAS + 2_000)]
        earliest = set(self.counted(*points[: series.MAX_CALL_DELTAS]))
        assert set(self.counted(*points)) == set(self.counted(*reversed(points))) == earliest

    def test_many_series_of_intervals_leave_room_for_other_series(self):
        points = [self.delta(i, i + 1, series=f"a{i}") for i in range(2 * series.MAX_SERIES)]
        totals = [point(10, 1, what="cost", series=f"z{i}") for i in range(series.MAX_SERIES)]
        assert len(session_of(*points, *totals).series) == 3 * series.MAX_SERIES
