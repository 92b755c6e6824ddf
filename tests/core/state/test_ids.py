"""Ids are derived. The values here stay the same, so that two versions can run side by side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.core.state.ids import creation_time, item_span_id, session_span_id, trace_id
from receiver.core.state.settings import MILLISECOND, SECOND
from tests.support.factories import NOON, at, session_id

NEAR = 1_795_180_000 * SECOND
PERIOD = (1 << 36) * MILLISECOND
TEXT = st.text(st.characters(), max_size=20)


def test_ids_have_these_values_in_every_version():
    assert trace_id("ses_a", 1).hex() == "98ab7417140b50991e74637fc32a88dd"
    assert trace_id("ses_a", 2).hex() == "7dfbeabb2c28429316c1cd07f7b6446c"
    assert session_span_id("ses_a", 1).hex() == "f4b3c4645effc89e"
    assert item_span_id("call", "ses_a", "call_1").hex() == "65c909c2df84bebe"
    assert item_span_id("request", "ses_a", "call_1").hex() == "9546d07ac85cc5c6"


@given(TEXT, TEXT, TEXT)
def test_have_the_sizes_of_otlp_and_are_never_zero(kind, session, key):
    for found, size in (
        (trace_id(session, 1), 16),
        (session_span_id(session, 1), 8),
        (item_span_id("call", kind, key), 8),
    ):
        assert len(found) == size
        assert any(found)


def test_ids_of_parts_that_concatenate_alike_differ():
    assert item_span_id("call", "ses_a", "b") != item_span_id("call", "ses_", "ab")
    assert session_span_id("ses_1", 11) != session_span_id("ses_11", 1)


def test_an_id_of_a_lone_surrogate_can_be_made():
    assert trace_id("\ud800", 1) != trace_id("\ud801", 1)


class TestCreationTime:
    @pytest.mark.parametrize(
        ("identifier", "ms"),
        [
            ("ses_e06fa91f3ffekC7N0UUy3fpf42", 1_795_179_245_069),
            ("ses_e06fb98f9ffezWFUdV4fkmC6ly", 1_795_179_177_735),
            ("msg_1f90470800013aLzijYugOHnZM", 1_795_179_180_160),
            ("msg_1f9047a47001T0M6HJ4VXN5hGi", 1_795_179_182_663),
        ],
    )
    def test_creation_time_of_recorded_ids(self, identifier, ms):
        """The agent makes the id, then takes the time: up to a millisecond later."""
        assert ms - creation_time(identifier, NEAR) // MILLISECOND in (0, 1)

    def test_creation_time_is_exact_to_the_millisecond(self):
        assert creation_time("ses_e06fa91f3ffekC7N0UUy3fpf42", NEAR) == 1_795_179_245_068 * MILLISECOND

    @pytest.mark.parametrize(
        "identifier",
        ["", "ses_a", "call_1", "ses_zzzzzzzzzzzzkC7N0UUy3fpf42", "e06fa91f3ffekC7N0UUy3fpf42", "ses_e06fa91f3ffe"],
    )
    def test_other_ids_have_no_creation_time(self, identifier):
        assert creation_time(identifier, NEAR) is None

    def test_creation_time_needs_a_time_near_it(self):
        assert creation_time("ses_e06fa91f3ffekC7N0UUy3fpf42", 0) is None

    @given(st.integers(0, 10**9), st.integers(0, 4095), st.integers(-(2**34), 2**34))
    def test_is_the_possibility_that_is_nearest(self, seconds, counter, off):
        made = at(seconds)
        assert creation_time(session_id(seconds, counter), made + off * MILLISECOND) == made

    @given(st.integers(NOON, NOON + 20 * PERIOD))
    def test_is_never_further_away_than_half_a_period(self, near):
        found = creation_time("ses_e06fa91f3ffekC7N0UUy3fpf42", near)
        assert abs(found - near) <= PERIOD // 2 + MILLISECOND
