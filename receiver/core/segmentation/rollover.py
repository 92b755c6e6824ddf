"""Cuts: the moments (ns) at which the trace of a session at its top is full, or old, and goes on in the next one.

A cut divides by beginnings: what began before it stays in the trace before it, however long it goes on, and every later
look says the same. So a cut lies after the beginning of all that has left, and is kept (Session.cuts) once something
has left beyond it, or the trace before it is closed. One by number falls after the last thing that has left, and is
kept at once. One by age falls `max_trace_age` after its trace began; the next begins with what happens then or next.
Time in which nothing begins makes no trace of its own, however long it is: a clock that is absurd costs nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from receiver.core.segmentation import turns
from receiver.core.segmentation.segment import Run
from receiver.core.state.emitted import EmittedItems
from receiver.core.state.session import Session


def by_number(top: Session) -> int:
    """Where a trace goes on that is full now: after the ends of all that has left, and the beginnings of what is above
    or announces them."""
    return max([top.reach, *(pin.last for pin in top.pins.values())]) + 1


def by_age(
    top: Session, runs: Sequence[Run], beginnings: Sequence[int], bounds: Iterable[int], age: int
) -> Iterator[int]:
    """Where what lies between two of some `bounds` gets too old; each of them begins a trace. `beginnings` (ns, sorted)
    are all that may have a span."""
    soonest = max((pin.last for pin in top.pins.values()), default=0) + 1
    for bound, until in pairwise(bounds):
        begun = _active(runs, bound)
        while begun is not None:
            cut = max(begun + age, soonest)
            following = _next(beginnings, cut, until)
            cut = following if following >= cut + age else cut
            begun = _active(runs, cut)
            if begun is None or begun >= until or following >= until:
                break
            yield cut


def beginnings(runs: Iterable[Run], members: Sequence[tuple[Session, EmittedItems]]) -> list[int]:
    """When something began (ns, in order) that has a span, in some sessions of which this much has left."""
    known = {session.id for session, _ in members}
    found = {run.start for run in runs if run.work and run.session in known}
    for session, emitted in members:
        found.update(start for start, _ in turns.items(session, emitted))
    return sorted(found)


def keep(top: Session, cuts: Iterable[int], start: int) -> None:
    """Something leaves from a trace that began at a moment (ns): no cut before that moves any more."""
    top.cuts = sorted({*top.cuts, *(cut for cut in cuts if cut <= start)})


def _active(runs: Sequence[Run], time: int) -> int | None:
    """The first moment from a given one on (ns) at which somebody works."""
    return min((max(run.start, time) for run in runs if run.work and run.end >= time), default=None)


def _next(beginnings: Sequence[int], time: int, otherwise: int) -> int:
    at = bisect_left(beginnings, time)
    return beginnings[at] if at < len(beginnings) else otherwise
