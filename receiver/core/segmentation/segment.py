"""Parts: what a session's activity is divided into, and the numbers that they have.

What has left cannot be moved. A part from which a span has left is pinned to its number and its trace; where stragglers
would make parts that no number is left for, none is made, and they are late (core/segmentation/tree_segments.py,
Seat.late).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import structs

from receiver.core.state.session import Activity, Closed, Session, merge_activity


@dataclass(slots=True)
class Run:
    """Activity of one session, as far as segments care. `limit` (ns) is how long after it more may come."""

    start: int
    end: int
    session: str
    limit: int
    work: bool


@dataclass(slots=True)
class Segment:
    """One open segment (ns, inclusive). `until` is how long activity would still belong to it; `rolled` says that it
    was cut off there, `turned` that the session's next turn did so."""

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
        """The end of what the session itself does in it (ns): a turn may be outlived by what it began below."""
        return min(self.end, self.until) if self.rolled else self.end


def numbered_parts(session: Session, parts: list[Segment]) -> list[Segment]:
    """Give numbers in order of time. Pinned ones have theirs; a part that would need one between them is no segment."""
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
    """Whether a span has left, from the segment that began here, that begins no sooner than a moment (ns)."""
    return any(pin.start <= segment.end and time <= pin.last for pin in session.pins.values())


def closed_at(session: Session, time: int, joint: int) -> Closed | None:
    """The segment that has left which a moment (ns) should have been in."""
    for closed in session.closed:
        if closed.start - joint <= time <= closed.end + closed.limit:
            return closed
    return None


def with_items(session: Session, joint: int) -> list[Activity]:
    """The stretches of a session with the calls, requests and permissions that are held: each is activity all along,
    also if its beginning and its end were told apart."""
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
