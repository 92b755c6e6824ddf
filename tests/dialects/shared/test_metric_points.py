"""Which metric points can be counted, and which series a point belongs to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.dialects.shared.metric_points import amount, begin, durations_of, problem, series_of
from receiver.model import TEMPORALITY_CUMULATIVE, TEMPORALITY_DELTA, MetricPoint, Resource, Scope
from tests.support.factories import at

SUM = MetricPoint(Resource({}, b""), Scope("s"), "calls", "", "sum", TEMPORALITY_DELTA, True, {}, at(1), at(6), 1.0)
HISTOGRAM = replace(SUM, kind="histogram", value=None, count=2, sum=30.0, min=10.0, max=20.0, bucketed=2)


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        (SUM, None),
        (HISTOGRAM, None),
        (replace(SUM, kind="gauge", temporality=0, monotonic=False), None),
        (replace(SUM, kind="other"), "malformed"),
        (replace(SUM, temporality=0), "malformed"),
        (replace(SUM, time=0), "no_time"),
        (replace(SUM, recorded=False), "empty"),
        (replace(SUM, monotonic=False), "not_monotonic"),
        (replace(SUM, value=-1), "inconsistent"),
        (replace(SUM, value=float("nan")), "inconsistent"),
        (replace(HISTOGRAM, bucketed=3), "inconsistent"),
        (replace(HISTOGRAM, min=30.0), "inconsistent"),
        (replace(HISTOGRAM, sum=41.0), "inconsistent"),
        (replace(HISTOGRAM, sum=19.0), "inconsistent"),
    ],
)
def test_a_point_that_cannot_be_counted_has_a_reason(point, reason):
    assert problem(point) == reason


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=20))
def test_every_histogram_that_an_sdk_makes_can_be_counted(values):
    numbers = {"count": len(values), "sum": sum(values), "min": min(values), "max": max(values)}
    assert problem(replace(HISTOGRAM, bucketed=len(values), **numbers)) is None


def test_a_start_up_to_a_second_after_the_time_is_the_time():
    assert [begin(replace(SUM, start=start)) for start in (0, at(1), at(7), at(7) + 1)] == [0, at(1), at(6), 0]


def test_a_delta_without_a_start_begins_when_it_ends_and_a_cumulative_one_at_an_unknown_time():
    delta = amount(replace(SUM, start=0), "ses_a", "cost", "s")
    cumulative = amount(replace(SUM, start=0, temporality=TEMPORALITY_CUMULATIVE), "ses_a", "cost", "s")
    assert (delta.form, delta.start) == ("delta", at(6))
    assert (cumulative.form, cumulative.start) == ("cumulative", 0)


def test_a_series_is_known_by_scope_name_and_attributes_in_any_order():
    one = series_of(replace(SUM, attributes={"a": 1, "b": [True]}))
    assert one == series_of(replace(SUM, attributes={"b": [True], "a": 1}, time=at(9), value=7.0))
    others = [replace(SUM, name="x"), replace(SUM, scope=Scope("x")), replace(SUM, attributes={"a": 1})]
    assert len({one, *map(series_of, others)}) == 4


def test_durations_are_nanoseconds_and_missing_ones_are_none():
    assert durations_of(HISTOGRAM) == (30_000_000, 10_000_000, 20_000_000)
    assert durations_of(replace(HISTOGRAM, min=None, max=None)) == (30_000_000, -1, -1)
    assert durations_of(SUM) == (-1, -1, -1)
