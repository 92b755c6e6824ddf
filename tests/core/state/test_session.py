"""Merging is commutative, associative and idempotent: neither order nor repetition of records can matter."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.core.state.items import EARLIEST, Item, learn
from receiver.core.state.session import Activity, merge_activity
from receiver.events import EXACT, PARTIAL, SPAN

TOLD = st.lists(st.tuples(st.sampled_from(["start", "end", "tool"]), st.integers(0, 4), st.integers(0, 5)), max_size=12)
STRETCHES = st.lists(
    st.builds(
        lambda start, length, busy, idle, work, value: (start, start + length, busy, idle, work, value),
        st.integers(0, 120),
        st.integers(0, 15),
        st.integers(0, 120),
        st.integers(0, 120),
        st.booleans(),
        st.integers(0, 3),
    ),
    max_size=10,
)
JOINT = 10


def learned(told):
    registers = {}
    for field, rank, value in told:
        learn(registers, field, rank, value)
    return registers


def merged(told):
    activities = []
    for start, end, busy, idle, work, value in told:
        new = Activity(start=start, end=end, busy=busy, idle=idle, work=work, facts={"title": (-start, value)})
        merge_activity(activities, new, JOINT)
    return activities


class TestRegisters:
    @given(TOLD, st.randoms(use_true_random=False))
    def test_order_and_repetition_do_not_matter(self, told, chance: random.Random):
        again = told + chance.sample(told, len(told) // 2)
        chance.shuffle(again)
        assert learned(again) == learned(told)

    @given(TOLD, TOLD)
    def test_two_that_learned_apart_are_joined(self, these, those):
        joined = learned(these)
        for field, (rank, value) in learned(those).items():
            learn(joined, field, rank, value)
        assert joined == learned(these + those)

    @given(TOLD)
    def test_says_truly_whether_it_was_news(self, told):
        registers = {}
        for field, rank, value in told:
            before = dict(registers)
            assert learn(registers, field, rank, value) == (registers != before)

    def test_the_lower_rank_is_believed(self):
        assert learned([("tool", SPAN, 1), ("tool", EXACT, 2), ("tool", PARTIAL, 3)]) == {"tool": (EXACT, 2)}

    @pytest.mark.parametrize("field", sorted(EARLIEST))
    def test_of_equal_witnesses_the_earlier_beginning_is_believed(self, field):
        assert learned([(field, SPAN, 3), (field, SPAN, 2), (field, SPAN, 4)])[field][1] == 2

    @pytest.mark.parametrize("field", ["end", "replied", "tool"])
    def test_of_equal_witnesses_the_larger_is_believed_otherwise(self, field):
        assert learned([(field, SPAN, 3), (field, SPAN, 4), (field, SPAN, 2)])[field][1] == 4

    def test_a_fact_that_nothing_told_is_none(self):
        assert Item().get("tool") is None


class TestActivities:
    @given(STRETCHES, st.randoms(use_true_random=False))
    def test_order_and_repetition_do_not_matter(self, told, chance: random.Random):
        again = told + chance.sample(told, len(told) // 2)
        chance.shuffle(again)
        assert merged(again) == merged(told)

    @given(STRETCHES)
    def test_are_sorted_and_further_apart_than_the_joint(self, told):
        activities = merged(told)
        assert all(later.start - earlier.end > JOINT for earlier, later in pairwise(activities))

    @given(STRETCHES)
    def test_cover_everything_that_was_told(self, told):
        activities = merged(told)
        for start, end, *_ in told:
            assert any(s.start <= start and end <= s.end for s in activities)

    def test_activities_exactly_one_joint_apart_are_one(self):
        assert len(merged([(0, 5, 0, 0, False, 1), (15, 20, 0, 0, False, 1)])) == 1
        assert len(merged([(0, 5, 0, 0, False, 1), (16, 20, 0, 0, False, 1)])) == 2

    @pytest.mark.parametrize(
        ("busy", "idle", "rests"), [(0, 0, False), (0, 5, True), (5, 5, True), (6, 5, False), (5, 0, False)]
    )
    def test_rests_once_it_said_so_and_nothing_of_a_new_turn_since(self, busy, idle, rests):
        assert Activity(start=0, end=10, busy=busy, idle=idle).says_idle is rests
