"""Matching one to one at the least total cost, and saying whether another matching is as good.

For a handful of parallel calls: exact, by trying pairs in depth-first order with pruning. Larger groups are matched
greedily in order of cost and only unambiguous pairs are kept, so that the work stays bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")
_EXACT = 7  # 7! leaves at most 5,040 matchings to look at


def match(costs: Mapping[tuple[A, B], int], margin: int) -> dict[A, B]:
    """Pairs of the best one-to-one matching over the pairs that `costs` (any unit) allows: as many pairs as possible,
    then the least total. A pair is left out if some matching with as many pairs, not dearer by more than `margin`,
    pairs its left side otherwise."""
    found: dict[A, B] = {}
    for part in _components(costs):
        found.update(_match_part(part, margin))
    return found


def _components(costs: Mapping[tuple[A, B], int]) -> Iterator[dict[tuple[A, B], int]]:
    """The pairs in groups that share neither side: what is far away has no say in what is matched here."""
    by_left: dict[A, list[B]] = {}
    by_right: dict[B, list[A]] = {}
    for a, b in costs:
        by_left.setdefault(a, []).append(b)
        by_right.setdefault(b, []).append(a)
    while by_left:
        group: dict[A, list[B]] = {}
        waiting = [min(by_left, key=repr)]
        while waiting:
            a = waiting.pop()
            if a in by_left:
                group[a] = by_left.pop(a)
                waiting.extend(x for b in group[a] for x in by_right[b])
        yield {(a, b): costs[a, b] for a, bs in sorted(group.items(), key=repr) for b in bs}


def _match_part(costs: Mapping[tuple[A, B], int], margin: int) -> dict[A, B]:
    lefts = sorted({a for a, _ in costs}, key=repr)
    rights = {b for _, b in costs}
    if len(lefts) > _EXACT or len(rights) > _EXACT:
        return _greedy(costs, margin)
    found: list[tuple[int, int, dict[A, B]]] = []
    _walk(lefts, 0, {}, 0, costs, found)
    most = max(size for size, _, _ in found)
    least = min(cost for size, cost, _ in found if size == most)
    good = [pairs for size, cost, pairs in found if size == most and cost <= least + margin]
    best = min((pairs for size, cost, pairs in found if size == most and cost == least), key=repr)
    return {a: b for a, b in best.items() if all(other.get(a) == b for other in good)}


def _walk(
    lefts: list[A],
    at: int,
    pairs: dict[A, B],
    cost: int,
    costs: Mapping[tuple[A, B], int],
    found: list[tuple[int, int, dict[A, B]]],
) -> None:
    if at == len(lefts):
        found.append((len(pairs), cost, dict(pairs)))
        return
    left = lefts[at]
    for (a, b), price in costs.items():
        if a == left and b not in pairs.values():
            pairs[a] = b
            _walk(lefts, at + 1, pairs, cost + price, costs, found)
            del pairs[a]
    _walk(lefts, at + 1, pairs, cost, costs, found)


def _greedy(costs: Mapping[tuple[A, B], int], margin: int) -> dict[A, B]:
    taken: dict[A, B] = {}
    for (a, b), price in sorted(costs.items(), key=lambda kv: (kv[1], repr(kv[0]))):
        if a in taken or b in taken.values():
            continue
        rivals = [
            p for (x, y), p in costs.items() if (x == a) != (y == b) and x not in taken and y not in taken.values()
        ]
        if all(p > price + margin for p in rivals):
            taken[a] = b
    return taken
