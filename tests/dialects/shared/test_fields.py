"""Readers of fields accept unexpected types, and never raise."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.dialects.shared.fields import (
    CLOCK_TOLERANCE,
    MAX_ID_LENGTH,
    MAX_TIME,
    MS,
    as_bool,
    as_cost,
    as_count,
    as_duration,
    as_id,
    as_id_unless_unknown,
    as_map,
    as_number,
    as_text,
    event_name,
    first_set,
    from_json,
    iso_time,
    ms_time,
    record_time,
    to_json,
)
from receiver.model import LogRecord, Resource, Scope

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
VALUES = st.recursive(SCALARS, lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=5)
SECOND = 1_000_000_000


def record(time: int = 0, observed: int = 0, name: str = "", **attributes: object) -> LogRecord:
    return LogRecord(Resource({}), Scope(), time, observed, name, attributes, None)


@given(VALUES)
def test_no_value_makes_a_reader_raise(value):
    for read in (
        as_text,
        as_id,
        as_number,
        as_count,
        as_cost,
        as_duration,
        as_bool,
        as_map,
        from_json,
        ms_time,
        iso_time,
    ):
        read(value)


def test_as_text(subtests):
    for value, text in [
        ("a", "a"),
        ("", None),
        (3, "3"),
        (1.5, "1.5"),
        (True, None),
        (None, None),
        ([], None),
        (b"a", None),
    ]:
        with subtests.test(value=value, text=text):
            assert as_text(value) == text


def test_as_text_cuts_long_texts():
    assert as_text("abc", 2) == "ab"


def test_as_id(subtests):
    for value, found in [
        (" ses_a\n", "ses_a"),
        ("", None),
        ("  ", None),
        (7, None),
        (None, None),
        ("x" * MAX_ID_LENGTH, "x" * MAX_ID_LENGTH),
        ("x" * (MAX_ID_LENGTH + 1), None),
    ]:
        with subtests.test(value=value, found=found):
            assert as_id(value) == found


def test_as_id_unless_unknown(subtests):
    for value, found in [("ses_a", "ses_a"), (" unknown ", None), ("", None), (None, None)]:
        with subtests.test(value=value, found=found):
            assert as_id_unless_unknown(value) == found


def test_numbers_may_be_text(subtests):
    for value, number in [
        (3, 3),
        (1.5, 1.5),
        ("12", 12),
        ("1.5", 1.5),
        ("many", None),
        (True, None),
        (None, None),
        (math.inf, None),
        ("nan", None),
        (10**400, None),
        ({}, None),
    ]:
        with subtests.test(value=value, number=number):
            assert as_number(value) == number


def test_as_count(subtests):
    for value, count in [(3, 3), (3.9, 3), ("4", 4), (0, 0), (-1, None), (1 << 53, None), (None, None)]:
        with subtests.test(value=value, count=count):
            assert as_count(value) == count


def test_as_cost(subtests):
    for value, cost in [(0, 0.0), (1.5, 1.5), ("2", 2.0), (-0.1, None), (1e308, None), (10**400, None), ("free", None)]:
        with subtests.test(value=value, cost=cost):
            assert as_cost(value) == cost


def test_as_duration(subtests):
    for value, time in [(0, 0), (1.5, 1_500_000), ("2", 2 * MS), (-1, None), (1e12, None), (math.nan, None)]:
        with subtests.test(value=value, time=time):
            assert as_duration(value) == time


def test_booleans_may_be_text(subtests):
    for value, found in [(True, True), ("true", True), ("False", False), ("yes", None), (1, None), (None, None)]:
        with subtests.test(value=value, found=found):
            assert as_bool(value) is found


def test_as_map():
    assert as_map({"a": 1}) == {"a": 1}
    assert as_map([1]) == as_map("a") == as_map(None) == {}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ('{"a": 1}', {"a": 1}),
        (b'{"a": 1}', {"a": 1}),
        ({"a": 1}, {"a": 1}),
        ('{"a": 1', {}),
        ("[1]", {}),
        ("", {}),
        (None, {}),
        pytest.param("[" * 100_000, {}, id="deep"),
        (b"\xff", {}),
    ],
)
def test_from_json(value, found):
    assert from_json(value) == found


def test_to_json_sorts_keys():
    assert to_json({"b": [{"d": 1, "c": 2}], "a": 3}) == '{"a":3,"b":[{"c":2,"d":1}]}'


def test_to_json_reads_back():
    value = {"a": [1, {"b": None}], "c": "é"}
    assert from_json(to_json(value)) == value


def test_ms_time(subtests):
    for value, time in [
        (5, 5 * MS),
        ("5", 5 * MS),
        (1.5, 1_500_000),
        (0, None),
        (-1, None),
        (None, None),
        (MAX_TIME // MS + 1, None),
    ]:
        with subtests.test(value=value, time=time):
            assert ms_time(value) == time


def test_iso_time(subtests):
    for value, time in [
        ("1970-01-01T00:00:01Z", SECOND),
        ("1970-01-01T00:00:01.5+00:00", 1_500_000_000),
        ("1970-01-01T02:00:01+02:00", SECOND),
        ("1970-01-01T00:00:01", SECOND),
        ("1970-01-01T00:00:00Z", None),
        ("1960-01-01T00:00:00Z", None),
        ("2200-01-01T00:00:00Z", None),
        ("yesterday", None),
        (5, None),
    ]:
        with subtests.test(value=value, time=time):
            assert iso_time(value) == time


def test_iso_time_is_exact_to_the_microsecond():
    assert iso_time("2026-11-20T12:34:05.069123Z") % SECOND == 69_123_000


def test_record_time(subtests):
    for time, observed, believed in [
        (5 * SECOND, 0, 5 * SECOND),
        (5 * SECOND, 6 * SECOND, 5 * SECOND),
        (0, 6 * SECOND, 6 * SECOND),
        (6 * SECOND + CLOCK_TOLERANCE, 6 * SECOND, 6 * SECOND + CLOCK_TOLERANCE),
        (6 * SECOND + CLOCK_TOLERANCE + 1, 6 * SECOND, 6 * SECOND),
        (0, 0, None),
        (MAX_TIME, 0, None),
        (MAX_TIME, MAX_TIME, None),
    ]:
        with subtests.test(time=time, observed=observed, believed=believed):
            assert record_time(record(time, observed)) == believed


def test_event_name():
    assert event_name(record(name="own", **{"event.name": "attribute"})) == "own"
    assert event_name(record(**{"event.name": "attribute"})) == "attribute"
    assert event_name(record(**{"event.name": 3})) == event_name(record()) == ""


def test_first_set():
    assert first_set({"a": None, "b": 0, "c": 1}, "a", "b", "c") == 0
    assert first_set({}, "a") is None
