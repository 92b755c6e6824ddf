"""Segments: the parts that a session's activity is divided into, and their numbers.

What was emitted cannot be moved. A segment from which a span was emitted is pinned to its number and its trace. Late
records may ask for a segment before it; if no number is left for that, none is made and the records are late
(Placement.late in core/segmentation/tree_segments.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import NamedTuple

from msgspec import structs

from receiver.core.state.session import Activity, Closed, Session, merge_activity


@dataclass(slots=True)
class ActivityRun:
    """Activity of one session (ns, inclusive). `limit` is how long after it more may come; `work` is false for mere
    housekeeping (Activity.work in core/state/session.py)."""

    start: int
    end: int
    session: str
    limit: int
    work: bool


class Reason(Enum):
    """Why a segment begins or ends at a boundary."""

    PAUSE = 0  # activity begins after a pause, or ends before one
    ROLLOVER = 1  # the trace was full, or old
    TURN = 2  # the session's next turn begins
    PIN = 3  # spans were emitted on either side: they stay apart


class Boundary(NamedTuple):
    """A moment (ns) that divides a session's activity: what begins then or later is in the next segment."""

    time: int
    reason: Reason


@dataclass(slots=True)
class Segment:
    """One open segment (ns, inclusive). Activity up to `until` still belongs to it. `ended_by` is why it ends there.
    `start_guessed`: its begin is inferred. `named_only`: nothing but the calls that started the session shows it."""

    number: int
    start: int
    end: int
    until: int
    start_guessed: bool = False
    ended_by: Reason = Reason.PAUSE
    named_only: bool = False
    runs: list[ActivityRun] = field(default_factory=list)

    @property
    def rolled(self) -> bool:
        """Whether it was cut off, so that activity goes on after it."""
        return self.ended_by is not Reason.PAUSE

    @property
    def turned(self) -> bool:
        """Whether the session's next turn cut it off."""
        return self.ended_by is Reason.TURN

    @property
    def own_end(self) -> int:
        """The end of the session's own activity in it (ns). What a turn started below may last longer."""
        return min(self.end, self.until) if self.rolled else self.end


def boundaries(session: Session, segment: Segment, cuts: Iterable[int], turns: Iterable[int]) -> list[Boundary]:
    """The boundaries within a segment, its beginning and its end among them, in order of time. `cuts` and `turns` (ns)
    are where a rollover or a turn divides the session. Pinned segments stay apart, also if the pause between them turns
    out to be none."""
    reasons = dict.fromkeys(cuts, Reason.ROLLOVER) | dict.fromkeys(turns, Reason.TURN)
    inside = {time: reason for time, reason in reasons.items() if segment.start < time <= segment.end}
    edges = dict.fromkeys((segment.start, segment.end + 1), Reason.PAUSE)
    pinned = sorted(pin.start for pin in session.pins.values())
    for start, until in pairwise(sorted({*edges, *inside})):
        for time in [p for p in pinned if start <= p < until][1:]:
            inside.setdefault(time, Reason.PIN)
    return sorted((Boundary(*at) for at in (edges | inside).items()), key=lambda boundary: boundary.time)


def number_segments(session: Session, parts: list[Segment]) -> list[Segment]:
    """Number the segments in order of time. Pinned ones keep their number; a part that would need a number between two
    of them becomes no segment."""
    pins = sorted((pin.start, number) for number, pin in session.pins.items())
    taken: list[int | None] = [
        next((number for start, number in pins if part.start <= start <= part.own_end), None) for part in parts
    ]
    given: list[Segment] = []
    free = len(session.closed) + 1
    if session.closed:
        free = max(free, session.closed[-1].number + 1)
    for i, part in enumerate(parts):
        number = taken[i]
        if number is None:
            if any(n is not None and n <= free for n in taken[i + 1 :]):
                continue
            number = free
        part.number = number
        given.append(part)
        free = number + 1
    found = {part.number for part in given}
    given += [Segment(n, p.start, p.start, p.start) for n, p in session.pins.items() if n not in found]
    return sorted(given, key=lambda part: part.number)


def is_pinned_to(session: Session, segment: Segment, time: int) -> bool:
    """Whether a span that begins at a moment (ns) or later was emitted from this segment."""
    return any(pin.start <= segment.end and time <= pin.last for pin in session.pins.values())


def closed_at(session: Session, time: int, joint: int) -> Closed | None:
    """The closed segment that a moment (ns) belongs to."""
    for closed in session.closed:
        if closed.start - joint <= time <= closed.end + closed.limit:
            return closed
    return None


def activities_with_items(session: Session, joint: int) -> list[Activity]:
    """The activity of a session with its pending calls, requests and permissions. Each of these is activity from begin
    to end, also if separate records report the two."""
    long = [
        item
        for items in (session.calls, session.requests, session.permissions)
        for item in items.values()
        if item.end > item.start > 0
        and not any(s.start <= item.start and item.end <= s.end for s in session.activities)
        and not any(c.start <= item.start <= c.end for c in session.closed)
    ]
    if not long:
        return session.activities
    merged = [structs.replace(s) for s in session.activities]
    for item in long:
        merge_activity(merged, Activity(start=item.start, end=item.end, work=True), joint)
    return merged
