"""Segments: the parts that a session's activity is divided into, and their numbers.

What was emitted cannot be moved. A segment from which a span was emitted is pinned to its number and its trace. Late
records may ask for a segment before it; if no number is left for that, none is made and the records are late
(Placement.late in core/segmentation/tree_segments.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from receiver.core.state.session import Activity, Closed, Session, merge_activity


@dataclass(slots=True)
class Run:
    """Activity of one session (ns, inclusive). `limit` is how long after it more may come; `work` is false for mere
    housekeeping (Activity.work in core/state/session.py)."""

    start: int
    end: int
    session: str
    limit: int
    work: bool


@dataclass(slots=True)
class Segment:
    """One open segment (ns, inclusive). Activity up to `until` still belongs to it. `rolled`: a rollover or the next
    turn ended it there; `turned`: it was the next turn. `start_guessed`: its begin is inferred. `named_only`: nothing
    but the calls that started the session shows it."""

    number: int
    start: int
    end: int
    until: int
    start_guessed: bool = False
    rolled: bool = False
    turned: bool = False
    named_only: bool = False
    runs: list[Run] = field(default_factory=list)

    @property
    def own_end(self) -> int:
        """The end of the session's own activity in it (ns). What a turn started below may last longer."""
        return min(self.end, self.until) if self.rolled else self.end


def numbered_parts(session: Session, parts: list[Segment]) -> list[Segment]:
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


def with_items(session: Session, joint: int) -> list[Activity]:
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
    merged = [
        Activity(start=s.start, end=s.end, busy=s.busy, idle=s.idle, work=s.work, facts=s.facts)
        for s in session.activities
    ]
    for item in long:
        merge_activity(merged, Activity(start=item.start, end=item.end, work=True), joint)
    return merged
