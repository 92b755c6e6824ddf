"""Assignment: match two sides one to one at the least total cost, and say where another matching is about as good.

Groups of usual size are solved exactly (the Hungarian method: shortest augmenting paths with potentials). Larger groups
are matched greedily in order of cost, and only pairs without a rival are kept, so that the work stays bounded.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")
MAX_EXACT = 24  # of either side: some 24 solutions of 24 rows by 48 columns, a fraction of a second
NEVER_ALONE = 1 << 70  # cost of being alone: no sum of costs comes near


def match(costs: Mapping[tuple[A, B], int], margin: int, alone: int = NEVER_ALONE) -> dict[A, B]:
    """The pairs of the best one-to-one matching over the pairs that `costs` (any unit) allows, where leaving a left
    side alone costs `alone`. A pair is left out if a matching that costs at most `margin` more pairs its left side
    otherwise. A negative `margin` asks for any of the best matchings."""
    found: dict[A, B] = {}
    for a, (first, *others) in alternatives(costs, margin, alone).items():
        if first is not None and not others:
            found[a] = first
    return found


def alternatives(
    costs: Mapping[tuple[A, B], int],
    margin: int | Mapping[A, int],
    alone: int = NEVER_ALONE,
    doubt: int = 0,
) -> dict[A, set[B | None]]:
    """For each left side, its partners in all matchings that cost at most `margin` (or its own margin) more than the
    best, and `doubt` percent of what its own pair costs there. None stands for being alone."""
    found: dict[A, set[B | None]] = {}
    for part in components(costs):
        lefts = sorted({a for a, _ in part}, key=repr)
        margins = {a: margin if isinstance(margin, int) else margin[a] for a in lefts}
        found.update(_alternatives(part, lefts, margins, alone, doubt))
    return found


def components(costs: Mapping[tuple[A, B], int]) -> Iterator[dict[tuple[A, B], int]]:
    """The pairs in groups that share neither side, so that each can be matched by itself."""
    by_left: dict[A, list[B]] = {}
    by_right: dict[B, list[A]] = {}
    for a, b in costs:
        by_left.setdefault(a, []).append(b)
        by_right.setdefault(b, []).append(a)
    for first in sorted(by_left, key=repr):
        group: dict[A, list[B]] = {}
        waiting = [first] if first in by_left else []
        while waiting:
            a = waiting.pop()
            if a in by_left:
                group[a] = by_left.pop(a)
                waiting.extend(x for b in group[a] for x in by_right[b])
        if group:
            yield {(a, b): costs[a, b] for a, bs in sorted(group.items(), key=repr) for b in sorted(bs, key=repr)}


def _alternatives(
    costs: Mapping[tuple[A, B], int], lefts: Sequence[A], margins: Mapping[A, int], alone: int, doubt: int
) -> dict[A, set[B | None]]:
    rights = sorted({b for _, b in costs}, key=repr)
    if len(lefts) > MAX_EXACT or len(rights) > MAX_EXACT:
        return _greedy(costs, lefts, max(margins.values()), alone)
    least, best = _solve(lefts, rights, costs, alone)
    found: dict[A, set[B | None]] = {a: {best.get(a)} for a in lefts}
    for a in lefts:
        if margins[a] < 0:
            continue
        most = least + margins[a] + (costs[a, best[a]] * doubt // 100 if a in best else 0)
        while len(found[a]) <= len(rights):
            price, other = _solve(lefts, rights, costs, alone, (a, found[a]))
            if price > most:
                break
            found[a].add(other.get(a))
    return found


def _solve(
    lefts: Sequence[A],
    rights: Sequence[B],
    costs: Mapping[tuple[A, B], int],
    alone: int,
    without: tuple[A, Collection[B | None]] | None = None,
) -> tuple[int, dict[A, B]]:
    """The least total cost and a matching that has it. `without` forbids one left side some partners; None is being
    alone, for which every left side has a column of its own. Rows and columns are counted from 1."""
    never = (alone + 1) * (len(lefts) + 1) * 4 + sum(costs.values())
    width = len(rights) + len(lefts)
    price = [[never] * (width + 1) for _ in range(len(lefts) + 1)]
    for i, a in enumerate(lefts, 1):
        forbidden = without[1] if without is not None and without[0] == a else ()
        for j, b in enumerate(rights, 1):
            if b not in forbidden:
                price[i][j] = costs.get((a, b), never)
        if None not in forbidden:
            price[i][len(rights) + i] = alone
    row_of = _augment(price, len(lefts), width)
    total = sum(price[i][j] for j, i in enumerate(row_of) if i and j)
    pairs = {lefts[i - 1]: rights[j - 1] for j, i in enumerate(row_of) if i and 0 < j <= len(rights)}
    return total, pairs


def _augment(price: Sequence[Sequence[int]], height: int, width: int) -> list[int]:
    """The Hungarian method: the row that each column is given to, 0 for none."""
    of_row, of_column = [0] * (height + 1), [0] * (width + 1)  # the potentials
    row_of = [0] * (width + 1)
    for row in range(1, height + 1):
        row_of[0] = row
        came_from, distance, done = [0] * (width + 1), [-1] * (width + 1), [False] * (width + 1)
        at = 0
        while row_of[at]:
            done[at] = True
            i, nearest, step = row_of[at], 0, -1
            for j in range(1, width + 1):
                if done[j]:
                    continue
                reduced = price[i][j] - of_row[i] - of_column[j]
                if distance[j] < 0 or reduced < distance[j]:
                    distance[j], came_from[j] = reduced, at
                if step < 0 or distance[j] < step:
                    nearest, step = j, distance[j]
            for j in range(width + 1):
                if done[j]:
                    of_row[row_of[j]] += step
                    of_column[j] -= step
                elif distance[j] >= 0:
                    distance[j] -= step
            at = nearest
        while at:
            row_of[at] = row_of[came_from[at]]
            at = came_from[at]
    row_of[0] = 0
    return row_of


def _greedy(costs: Mapping[tuple[A, B], int], lefts: Sequence[A], margin: int, alone: int) -> dict[A, set[B | None]]:
    cheapest_first = sorted(costs.items(), key=lambda kv: (kv[1], repr(kv[0])))
    by_left: dict[A, list[tuple[B, int]]] = {}
    by_right: dict[B, list[tuple[A, int]]] = {}
    for (a, b), price in cheapest_first:
        by_left.setdefault(a, []).append((b, price))
        by_right.setdefault(b, []).append((a, price))
    open_ = {a: {None, *(b for b, _ in of_left)} for a, of_left in by_left.items()}
    taken: dict[A, B] = {}
    given: set[B] = set()
    for (a, b), price in cheapest_first:
        if a in taken or b in given or price + max(margin, 0) > alone:
            continue
        rivals = (_cheapest(by_left[a], b, given), _cheapest(by_right[b], a, taken))
        if all(p is None or p > price + margin for p in rivals):
            taken[a] = b
            given.add(b)
    return {a: {taken[a]} if a in taken else open_[a] for a in lefts}


def _cheapest(sides: list[tuple[A, int]], own: A, gone: Container[A]) -> int | None:
    """The least price among partners that are still free, except one's own. Removes those that are gone."""
    at = 0
    while at < len(sides):
        side, price = sides[at]
        if side in gone:
            del sides[at]
        elif side == own:
            at += 1
        else:
            return price
    return None
