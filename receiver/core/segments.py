"""Segments: where a session pauses for so long that what follows is another part of it (contract 5.4).

Decided by event time alone, so that arrival cannot change them. A session is cut where everything in it and below it
was quiet for longer than the limit: `idle_timeout` if all that had been active said that they are idle,
`inactivity_timeout` otherwise. A root's cuts also come from roll-over (age, number of spans), and cut all below it.
A child's segment always lies within one segment of its root, which decides the trace: if the root pauses, so does
the child, by the same rule over fewer sessions.
"""

from __future__ import annotations

from dataclasses import dataclass

from receiver.core.facts import Closed, Session, known
from receiver.core.forest import Forest
from receiver.core.ids import trace_id
from receiver.core.settings import BuilderSettings
from receiver.events import GUESSED


@dataclass(slots=True)
class Segment:
    """One open segment (ns, inclusive). `limit` is the quiet that ends it; `rests` whether all in it said idle."""

    number: int
    start: int
    end: int
    limit: int
    rests: bool
    start_guessed: bool = False
    rolled: bool = False


@dataclass(slots=True)
class _Run:
    """Activity of one session, as far as segments care."""

    start: int
    end: int
    session: str
    rests: bool
    work: bool


class TreeView:
    """The segments of every session below one root, computed once for one look at the tree."""

    def __init__(self, forest: Forest, root: Session, settings: BuilderSettings) -> None:
        self.root = root
        self.members = list(forest.below(root.id))
        self._forest = forest
        self._settings = settings
        self._runs: dict[str, list[_Run]] = {}
        self._segments: dict[str, list[Segment]] = {}
        for member in reversed(self.members):
            runs = self._own_runs(member)
            for child in forest.children(member.id):
                runs.extend(self._runs.get(child.id, ()))
            runs.sort(key=lambda r: (r.start, r.end, r.session))
            self._runs[member.id] = runs
        self._cuts = sorted(set(root.cuts) | self._cuts_by_age())

    def segments(self, session: Session) -> list[Segment]:
        """The open segments of a session, in order of time."""
        if session.id not in self._segments:
            self._segments[session.id] = self._split(session, self._gaps(session))
        return self._segments[session.id]

    def at(self, session: Session, time: int) -> Segment | Closed | None:
        """The segment that a moment (ns) belongs to; closed ones take what should have been in them."""
        if (closed := _closed_at(session, time, self._settings.joint)) is not None:
            return closed
        segments = self.segments(session)
        if not segments:
            return session.closed[-1] if session.closed else None
        for segment in segments:
            if time <= segment.end:
                return segment
        return segments[-1]

    def trace(self, time: int) -> tuple[bytes, int]:
        """The trace that a moment (ns) of this tree belongs to, and the number of its root's segment."""
        segment = self.at(self.root, time)
        if isinstance(segment, Closed):
            return segment.trace, segment.root_segment
        number = segment.number if segment is not None else 1
        return trace_id(self.root.id, number), number

    def _own_runs(self, session: Session) -> list[_Run]:
        created_rank, created = session.facts.get("created", (0, 0))
        runs = [_Run(s.start, s.end, session.id, s.rests, s.work) for s in session.stretches if s.end >= created]
        if runs and "ended" in session.facts:
            runs[-1].rests = True
        if runs and not session.closed and (created_rank < GUESSED or self._settings.infer):
            before = runs[0].start - created
            if created and 0 < before <= max(self._settings.joint, 1):
                runs[0].start = created
        return runs

    def _gaps(self, session: Session) -> list[Segment]:
        found: list[Segment] = []
        resting: dict[str, bool] = {}
        for run in self._runs[session.id]:
            if _closed_at(session, run.start, self._settings.joint) is not None:
                continue
            last = found[-1] if found else None
            if last is not None and run.start - last.end <= last.limit:
                last.end = max(last.end, run.end)
            elif not run.work and (found or session.closed):
                continue  # housekeeping long after the last turn begins no segment of its own
            else:
                resting = {}
                last = Segment(0, run.start, run.end, 0, False)
                found.append(last)
            resting[run.session] = run.rests
            last.rests = all(resting.values())
            last.limit = self._settings.idle_timeout if last.rests else self._settings.inactivity_timeout
        if found and not session.closed:
            rank, created = session.facts.get("created", (0, 0))
            found[0].start_guessed = rank == GUESSED and created == found[0].start
        return found

    def _cuts_by_age(self) -> set[int]:
        """Roll-over by age: a trace older than `max_trace_age` goes on in the next one."""
        age = self._settings.max_trace_age
        cuts: set[int] = set()
        if age <= 0:
            return cuts
        for segment in self._gaps(self.root):
            cuts.update(range(segment.start + age, segment.end + 1, age))
        return cuts

    def _split(self, session: Session, segments: list[Segment]) -> list[Segment]:
        parts: list[Segment] = []
        for segment in segments:
            inner = [t for t in self._cuts if segment.start < t <= segment.end]
            starts = [segment.start, *inner]
            ends = [*(t - 1 for t in inner), segment.end]
            for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
                rolled = i < len(inner)
                limit = 0 if rolled else segment.limit
                guessed = segment.start_guessed and i == 0
                parts.append(Segment(0, start, end, limit, segment.rests, guessed, rolled))
        for number, part in enumerate(parts, start=len(session.closed) + 1):
            part.number = number
        return parts


def _closed_at(session: Session, time: int, joint: int) -> Closed | None:
    for closed in session.closed:
        if closed.start - joint <= time <= closed.end + closed.limit:
            return closed
    return None


def ended_reason(session: Session) -> str | None:
    """`deleted` or `archived`, if the session said so."""
    reason = known(session.facts, "ended")
    return str(reason) if reason else None
