"""What a metric series says, whatever order its points come in: rises, durations, and totals from a moment to
another.
"""

from __future__ import annotations

import pytest

from receiver.core.counting import series, usage_totals
from receiver.core.counting.call_counts import known_durations, tallies
from receiver.core.counting.series import rises
from receiver.core.state.emitted import EmittedItems
from receiver.core.state.items import EmittedRecord
from receiver.core.state.session import Series, Session
from receiver.core.state.settings import MILLISECOND
from receiver.events import PointEvent
from tests.support.factories import NOON


def ms(time: int) -> int:
    return NOON + time * MILLISECOND


def point(time: int, amount: float, *, start: int = 100, form: str = "cumulative", **more) -> PointEvent:
    for name in ("total", "low", "high"):
        more[name] = more.get(name, -1) * (MILLISECOND if name in more else 1)
    known = {"what": "calls", "source": "tool.duration", "series": "x", "tool": "bash", "status": "completed"}
    return PointEvent(
        session="ses_a", form=form, start=ms(start), time=ms(time), amount=float(amount), **{**known, **more}
    )


def session(*points: PointEvent) -> Session:
    held: dict[str, Series] = {}
    for p in points:
        series.add(held, series.key_of(p, "k"), p, "k")
    return Session(id="ses_a", series=held)


def found(*points: PointEvent, emitted: EmittedRecord | None = None) -> list[tuple[int, int, float]]:
    """The rises as (begin, time, amount), in ms after NOON."""
    (only,) = session(*points).series.values()
    return [((r.begin - NOON) // MILLISECOND, (r.time - NOON) // MILLISECOND, r.amount) for r in rises(only, emitted)]


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
        assert series.is_told(point(60_000, 2), emitted)
        assert not series.is_told(point(60_000, 3), emitted)

    def test_many_values_are_bounded_and_the_count_stays_right(self):
        points = [point(1_000 + i, i + 1) for i in range(5_000)]
        held = session(*points)
        (only,) = held.series.values()
        assert len(only.readings) <= 2 * series.MOST_READINGS
        assert sum(r.amount for r in rises(only)) == 5_000
        assert rises(only) == rises(next(iter(session(*reversed(points)).series.values())))


class TestDurations:
    def timed(self, *points: PointEvent) -> list[tuple[tuple[int, ...], int | None]]:
        return [
            (tuple(d // MILLISECOND for d in t.durations), None if t.rest is None else t.rest // MILLISECOND)
            for t in tallies(session(*points), EmittedItems(), "bash")
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


class TestTotals:
    def used(self, *points: PointEvent, begin: int = 0, until: int = 1_000_000) -> dict[str, float]:
        return usage_totals.counted(session(*points), EmittedItems(), ms(begin), ms(until))

    def tokens(self, time: int, amount: float, what: str = "output_tokens", **more) -> PointEvent:
        return point(time, amount, what=what, tool="", status=None, **{"series": what, "source": "token.usage", **more})

    def test_a_counter_is_parted_by_the_times_of_its_points(self):
        points = (self.tokens(10_000, 5), self.tokens(90_000, 12))
        assert self.used(*points) == {"output_tokens": 12}
        assert self.used(*points, until=50_000) == {"output_tokens": 5}
        assert self.used(*points, begin=50_000) == {"output_tokens": 7}

    def test_models_and_agents_add_up(self):
        points = (self.tokens(10_000, 5), self.tokens(10_000, 7, series="another model"))
        assert self.used(*points) == {"output_tokens": 12}

    def test_input_includes_what_was_cached(self):
        kinds = {"fresh_tokens": 100, "cache_read_tokens": 40, "cache_creation_tokens": 2}
        found = self.used(*(self.tokens(10_000, n, what) for what, n in kinds.items()))
        assert found == {"input_tokens": 142, "cache_read_tokens": 40, "cache_creation_tokens": 2}

    def test_deltas_add_up_and_their_copies_do_not(self):
        points = [self.tokens(t, 5, start=t - 1_000, form="delta") for t in (10_000, 20_000, 20_000)]
        assert self.used(*points) == {"output_tokens": 10}

    def test_of_a_gauge_the_last_value_counts(self):
        points = [self.tokens(t, n, "lines_added", form="gauge") for t, n in ((10_000, 5), (20_000, 9), (90_000, 7))]
        assert self.used(*points) == {"lines_added": 7}
        assert self.used(*points, until=50_000) == {"lines_added": 9}
        assert self.used(*points, begin=50_000) == {"lines_added": 0}

    def test_two_instruments_of_one_thing_are_not_added_up(self):
        points = (
            self.tokens(10_000, 5, "lines_added", source="lines_of_code.count"),
            self.tokens(10_000, 7, "lines_added", form="gauge", source="lines_of_code.total"),
        )
        assert self.used(*points) == {"lines_added": 7}

    @pytest.mark.parametrize(
        ("told", "metered", "told_in_all", "in_all", "total"),
        [(10, 12, 10, 12, 12), (10, 8, 10, 8, 10), (None, 5, 0, 5, 5), (100, 200, 200, 200, 100)],
        ids=["more was counted", "less was counted", "nothing told", "only parted elsewhere"],
    )
    def test_the_larger_one_of_what_was_told_and_counted(self, told, metered, told_in_all, in_all, total):
        assert usage_totals.larger(told, metered, told_in_all, in_all) == total
