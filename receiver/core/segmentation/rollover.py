"""Rollover: the moments (ns) at which a trace is full or old, so that its top session goes on in a linked trace.

A rollover divides by beginnings: what began before it stays in the trace before it, however long it lasts, and every
later look gives the same answer. So a rollover lies after the beginning of everything that was emitted. It is kept
(Session.cuts) once something beyond it is emitted, or the trace before it is closed.

A rollover by number of spans lies after the last emitted span and is kept at once. A rollover by age lies
`max_trace_age` after its trace began; the next trace begins with what happens then or next. Time in which nothing
begins makes no trace of its own, so that a clock that jumps by years makes no traces.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from receiver.core.segmentation import turns
from receiver.core.segmentation.segment import ActivityRun
from receiver.core.state.emitted import EmittedItems
from receiver.core.state.session import Session


def by_number(top: Session) -> int:
    """Where a trace rolls over that is full now: after the ends of all emitted spans, and after the beginnings of the
    open spans above them."""
    return max([top.reach, *(pin.last for pin in top.pins.values())]) + 1


def by_age(
    top: Session, runs: Sequence[ActivityRun], beginnings: Sequence[int], bounds: Iterable[int], age: int
) -> Iterator[int]:
    """Where traces get older than `age` (ns). Each of `bounds` but the last begins a trace; `beginnings` (ns, sorted)
    are those of everything that may have a span."""
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


def all_starts(runs: Iterable[ActivityRun], members: Sequence[tuple[Session, EmittedItems]]) -> list[int]:
    """When everything began (ns, in order) that has a span, pending or emitted, in some sessions."""
    known = {session.id for session, _ in members}
    found = {run.start for run in runs if run.work and run.session in known}
    for session, emitted in members:
        found.update(start for start, _ in turns.item_times(session, emitted))
    return sorted(found)


def keep(top: Session, cuts: Iterable[int], start: int) -> None:
    """Keep the rollovers up to the begin (ns) of a trace from which something is emitted: they can move no more."""
    top.cuts = sorted({*top.cuts, *(cut for cut in cuts if cut <= start)})


def _active(runs: Sequence[ActivityRun], time: int) -> int | None:
    """The first moment from `time` on (ns) at which a session works."""
    return min((max(run.start, time) for run in runs if run.work and run.end >= time), default=None)


def _next(beginnings: Sequence[int], time: int, otherwise: int) -> int:
    at = bisect_left(beginnings, time)
    return beginnings[at] if at < len(beginnings) else otherwise
