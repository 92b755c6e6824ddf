"""Durations in Go's syntax."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.config.model import duration


def test_a_duration_is_parsed_exactly(subtests: pytest.Subtests) -> None:
    for text, nanoseconds in [
        ("60s", 60 * 10**9),
        ("10m", 600 * 10**9),
        ("1h30m", 5400 * 10**9),
        ("250ms", 250 * 10**6),
        ("1.5h", 5400 * 10**9),
        (".5s", 5 * 10**8),
        ("1.s", 10**9),
        ("+2us", 2000),
        ("2µs", 2000),
        ("7ns", 7),
        ("1m0s", 60 * 10**9),
        ("720h", 720 * 3600 * 10**9),
        ("0.1s", 10**8),
        ("0", 0),
        (0, 0),
        ("0s", 0),
    ]:
        with subtests.test(text=text, nanoseconds=nanoseconds):
            assert duration.parse(text) == nanoseconds


def test_an_invalid_duration_is_refused_with_a_remedy(subtests: pytest.Subtests) -> None:
    for wrong in ["", "s", "10", "10 s", "1d", "1h30", "-1s", "1e3s", ".s", "1,5s", "٣s", "9999999h"]:
        refused = pytest.raises(ValueError, match=r"write a number with a unit|0 or longer|292 years")
        with subtests.test(wrong=wrong), refused:
            duration.parse(wrong)


def test_a_duration_without_a_unit_is_refused_with_seconds_as_remedy() -> None:
    with pytest.raises(ValueError, match="write 10s for seconds"):
        duration.parse(10)


def test_a_duration_of_another_type_is_refused(subtests: pytest.Subtests) -> None:
    for wrong in [None, True, False, [], {}]:
        with subtests.test(wrong=wrong), pytest.raises(ValueError, match="must be a duration"):
            duration.parse(wrong)


def test_a_duration_is_rendered_as_the_shortest_text(subtests: pytest.Subtests) -> None:
    for nanoseconds, text in [
        (0, "0s"),
        (60 * 10**9, "1m"),
        (5400 * 10**9, "1h30m"),
        (1_500_000_000, "1s500ms"),
        (7, "7ns"),
    ]:
        with subtests.test(nanoseconds=nanoseconds, text=text):
            assert duration.render(nanoseconds) == text


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_a_rendered_duration_parses_to_the_same_number(nanoseconds: int) -> None:
    assert duration.parse(duration.render(nanoseconds)) == nanoseconds
