"""Matching against brute force: every one-to-one matching is tried."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from receiver.core.linking.assignment import match

LEFTS, RIGHTS = "abcd", "wxyz"
COSTS = st.dictionaries(st.tuples(st.sampled_from(LEFTS), st.sampled_from(RIGHTS)), st.integers(0, 40), max_size=12)


def all_matchings(costs):
    """Every matching of the lefts that occur, as (size, cost, pairs)."""
    lefts = sorted({a for a, _ in costs})
    found = {}
    for order in permutations([*RIGHTS, *[None] * len(lefts)], len(lefts)):
        pairs = {a: b for a, b in zip(lefts, order, strict=True) if b is not None and (a, b) in costs}
        found[tuple(sorted(pairs.items()))] = (len(pairs), sum(costs[p] for p in pairs.items()), pairs)
    return list(found.values())


def brute_force(costs, margin):
    tried = all_matchings(costs)
    most = max(size for size, _, _ in tried)
    least = min(cost for size, cost, _ in tried if size == most)
    good = [pairs for size, cost, pairs in tried if size == most and cost <= least + margin]
    return {(a, b) for a, b in good[0].items() if all(other.get(a) == b for other in good)}


def is_one_to_one(found):
    return len(set(found.values())) == len(found)


@given(
    st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from(RIGHTS)), st.integers(0, 40), max_size=9),
    st.integers(0, 25),
)
def test_keeps_the_pairs_that_all_good_matchings_share(costs, margin):
    found = match(costs, margin)
    assert set(found.items()) == brute_force(costs, margin)
    assert is_one_to_one(found)


@given(COSTS)
def test_the_order_of_the_costs_does_not_matter(costs):
    backwards = dict(reversed(costs.items()))
    for margin in (-1, 0, 5):
        assert match(costs, margin) == match(backwards, margin)


@given(COSTS)
def test_without_a_margin_one_of_the_best_is_given_whole(costs):
    """A margin below zero asks for any of the best: no other is as good."""
    tried = all_matchings(costs) if len({a for a, _ in costs}) <= 3 else []
    found = match(costs, -1)
    assert is_one_to_one(found)
    assert all(pair in costs for pair in found.items())
    if tried:
        assert len(found) == max(size for size, _, _ in tried)
        assert sum(costs[p] for p in found.items()) == min(c for s, c, _ in tried if s == len(found))


@given(
    st.dictionaries(st.tuples(st.integers(0, 14), st.integers(0, 14)), st.integers(0, 1000), max_size=60),
    st.integers(0, 20),
)
def test_large_groups_give_pairs_that_are_allowed_and_one_to_one(costs, margin):
    found = match(costs, margin)
    assert is_one_to_one(found)
    assert all(pair in costs for pair in found.items())


def test_a_large_group_without_rivals_is_matched_whole():
    costs = {(n, n): n for n in range(20)}
    assert match(costs, 5) == {n: n for n in range(20)}


def test_as_many_pairs_as_possible_beat_the_least_cost():
    assert match({("a", "x"): 0, ("a", "y"): 90, ("b", "x"): 90}, 5) == {"a": "y", "b": "x"}


def test_two_that_fit_equally_are_left_out():
    assert match({("a", "x"): 10, ("a", "y"): 12, ("b", "x"): 10, ("b", "y"): 12}, 5) == {}


def test_nothing_to_match():
    assert match({}, 5) == {}
