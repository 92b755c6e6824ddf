"""Tokens, cost and lines of a session by its metrics, and how they go together with what events report."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.core.counting import usage_totals
from receiver.core.state.emitted import EmittedItems
from receiver.events import PointEvent
from tests.support.series_points import ms, point, session_of


class TestTotals:
    def used(self, *points: PointEvent, begin: int = 0, until: int = 1_000_000) -> dict[str, float]:
        return usage_totals.totals_between(session_of(*points), EmittedItems(), ms(begin), ms(until))

    def tokens(self, time: int, amount: float, what: str = "output_tokens", **more) -> PointEvent:
        return point(time, amount, what=what, tool="", status=None, **{"series": what, "source": "token.usage", **more})

    def test_a_counter_is_divided_by_the_times_of_its_points(self):
        points = (self.tokens(10_000, 5), self.tokens(90_000, 12))
        assert self.used(*points) == {"output_tokens": 12}
        assert self.used(*points, until=50_000) == {"output_tokens": 5}
        assert self.used(*points, begin=50_000) == {"output_tokens": 7}

    def test_models_and_agents_add_up(self):
        points = (self.tokens(10_000, 5), self.tokens(10_000, 7, series="another model"))
        assert self.used(*points) == {"output_tokens": 12}

    def test_input_tokens_include_cached_ones(self):
        kinds = {"fresh_tokens": 100, "cache_read_tokens": 40, "cache_creation_tokens": 2}
        found = self.used(*(self.tokens(10_000, n, what) for what, n in kinds.items()))
        assert found == {"input_tokens": 142, "cache_read_tokens": 40, "cache_creation_tokens": 2}

    def test_deltas_add_up_and_their_copies_do_not(self):
        points = [self.tokens(t, 5, start=t - 1_000, form="delta") for t in (10_000, 20_000, 20_000)]
        assert self.used(*points) == {"output_tokens": 10}

    def test_a_gauge_counts_with_its_last_value(self):
        points = [self.tokens(t, n, "lines_added", form="gauge") for t, n in ((10_000, 5), (20_000, 9), (90_000, 7))]
        assert self.used(*points) == {"lines_added": 7}
        assert self.used(*points, until=50_000) == {"lines_added": 9}
        assert self.used(*points, begin=50_000) == {"lines_added": 0}

    def test_two_instruments_that_count_the_same_are_not_added_up(self):
        points = (
            self.tokens(10_000, 5, "lines_added", source="lines_of_code.count"),
            self.tokens(10_000, 7, "lines_added", form="gauge", source="lines_of_code.total"),
        )
        assert self.used(*points) == {"lines_added": 7}

    @pytest.mark.parametrize(
        ("told", "metered", "told_in_all", "in_all", "total"),
        [(10, 12, 10, 12, 12), (10, 8, 10, 8, 10), (None, 5, 0, 5, 5), (100, 200, 200, 200, 100)],
        ids=["more was counted", "less was counted", "no events", "only divided otherwise"],
    )
    def test_a_total_is_the_larger_one_of_events_and_metric(self, told, metered, told_in_all, in_all, total):
        assert usage_totals.segment_total(told, metered, told_in_all, in_all) == total

    @given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9)), min_size=1), st.lists(st.integers(0, 60)))
    def test_parts_of_the_time_add_up_to_the_whole(self, steps, divisions):
        points, time, amount = [], 0, 0
        for pause, more in steps:
            time, amount = time + pause, amount + more
            points.append(self.tokens(time, amount, start=0))
        bounds = [0, *sorted(divisions), 10**6]
        parts = [self.used(*points, begin=a, until=b) for a, b in pairwise(bounds)]
        assert sum(p.get("output_tokens", 0) for p in parts) == amount

    @given(*[st.integers(0, 99)] * 4)
    def test_no_segment_adds_more_than_was_counted_beyond_all_events(self, told, metered, told_elsewhere, elsewhere):
        in_all = told + told_elsewhere, metered + elsewhere
        total = usage_totals.segment_total(told, metered, *in_all)
        assert told <= total <= told + max(0, in_all[1] - in_all[0])
