"""Durations in Go's syntax."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.config.model import duration


def test_is_read_exactly(subtests: pytest.Subtests) -> None:
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


def test_anything_else_is_refused_with_a_remedy(subtests: pytest.Subtests) -> None:
    for wrong in ["", "s", "10", "10 s", "1d", "1h30", "-1s", "1e3s", ".s", "1,5s", "٣s", "9999999h"]:
        refused = pytest.raises(ValueError, match=r"write a number with a unit|0 or longer|292 years")
        with subtests.test(wrong=wrong), refused:
            duration.parse(wrong)


def test_a_bare_number_is_refused_with_the_unit_that_was_probably_meant() -> None:
    with pytest.raises(ValueError, match="write 10s for seconds"):
        duration.parse(10)


@pytest.mark.parametrize("wrong", [None, True, False, [], {}])
def test_other_types_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        duration.parse(wrong)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "0s"), (60 * 10**9, "1m"), (5400 * 10**9, "1h30m"), (1_500_000_000, "1s500ms"), (7, "7ns")],
)
def test_is_written_short(nanoseconds: int, text: str) -> None:
    assert duration.render(nanoseconds) == text


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_what_is_written_is_read_back(nanoseconds: int) -> None:
    assert duration.parse(duration.render(nanoseconds)) == nanoseconds
