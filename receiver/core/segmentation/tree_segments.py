"""Tree segments: the segments of every session of a tree, and the trace that each belongs to (docs/contract.md 5.4).

A segment ends where a session pauses for long. That is decided by event time alone, so that arrival cannot change it.
A segment goes on as long as the session or anything below it does: each session for its own limit after its last
activity, `idle_timeout` if it had said that it is idle and `inactivity_timeout` otherwise. Rollover (age, number of
spans) ends a root's segment too, and divides everything below it. A child's segment lies within one segment of its
root, which decides the trace: if the root pauses, so does the child, by the same rule over fewer sessions.

With `child_sessions: linked` every session is at the top of traces of its own: its segments have their own numbers,
rollovers and traces. How long they go on is the same.

With `trace_mode: turn` a session's turns are its segments (core/segmentation/turns.py). A child's segment lies in the
turn of its parent in which it began, and that turn covers it however long it lasts, so that turns may overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

from receiver.core.segmentation import rollover, turns
from receiver.core.segmentation.segment import (
    ActivityRun,
    Boundary,
    Segment,
    activities_with_items,
    boundaries,
    closed_at,
    is_pinned_to,
    number_segments,
)
from receiver.core.state.forest import Forest
from receiver.core.state.forks import is_history
from receiver.core.state.ids import trace_id
from receiver.core.state.remote_parent import Remote, believed
from receiver.core.state.session import Closed, Session
from receiver.core.state.settings import BuilderSettings
from receiver.events import GUESSED


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a moment of a session belongs: its segment and the segment's trace. `at` (ns) is when the segment began,
    `start` when its span can begin. `late`: the span above is emitted, or began later than this. `above` is the
    placement of the session whose span is the parent.
    """

    session: Session
    segment: Segment | Closed | None
    trace: bytes
    root_segment: int
    at: int
    start: int
    late: bool
    above: Placement | None = field(default=None, compare=False, repr=False)

    @property
    def number(self) -> int:
        """The segment's number."""
        return self.segment.number if self.segment is not None else len(self.session.closed) + 1


class TreeView:
    """The segments of every session of one tree, computed once for one look at the tree."""

    def __init__(self, forest: Forest, root: Session, settings: BuilderSettings) -> None:
        self.root = root
        self.members = list(forest.below(root.id))
        self._forest = forest
        self._settings = settings
        self._runs: dict[str, list[ActivityRun]] = {}
        self._guessed: set[str] = set()
        self._segments: dict[str, list[Segment]] = {}
        self._remotes: dict[int, Remote | None] = {}
        self._traces = {c.trace for c in root.closed} | {p.trace for p in root.pins.values()}
        for member in reversed(self.members):
            runs = self._own_runs(member)
            for child in forest.children(member.id):
                runs.extend(self._runs.get(child.id, ()))
                runs.extend(self._left_runs(child))
            runs.sort(key=lambda r: (r.start, r.end, r.session))
            self._runs[member.id] = runs
        self._cuts: dict[str, list[int]] = {}
        if settings.trace_mode == "turn":
            for member in reversed(self.members):
                self._cover(member)

    def top(self, session: Session) -> Session:
        """The session whose span is the first of a session's trace."""
        return session if self._settings.child_sessions == "linked" else self.root

    def segments(self, session: Session) -> list[Segment]:
        """The open segments of a session, in order of time."""
        if session.id not in self._segments:
            found = self._gaps(session)
            if not found and not session.closed:
                found = self._named_only(session)
            self._segments[session.id] = self._split(session, found)
        return self._segments[session.id]

    def at(self, session: Session, time: int) -> Segment | Closed | None:
        """The segment that a moment (ns) belongs to. What should have been in a closed segment belongs to that."""
        if (closed := closed_at(session, time, self._settings.joint)) is not None:
            return closed
        segments = self.segments(session)
        if not segments:
            return session.closed[-1] if session.closed else None
        return next((s for s in reversed(segments) if s.start <= time), segments[0])

    def trace(self, time: int) -> tuple[bytes, int]:
        """The trace that a moment (ns) of this tree belongs to, and the number of its root's segment."""
        segment = self.at(self.root, time)
        if segment is None:
            return trace_id(self.root.id, 1), 1
        return self._trace_of(self.root, segment, time)

    def remote(self, segment: Segment) -> Remote | None:
        """The remote parent that was stated in an open segment of the root."""
        if segment.number not in self._remotes:
            stated = {
                name: fact
                for name, fact in self.root.remotes.items()
                if isinstance(here := self.at(self.root, fact[1]), Segment) and here.number == segment.number
            }
            self._remotes[segment.number] = believed(stated)
        return self._remotes[segment.number]

    def remote_parent(self, segment: Segment) -> Remote | None:
        """The remote parent of the root's span in a segment. It stays what it was once something is emitted."""
        if (pin := self.root.pins.get(segment.number)) is not None:
            return Remote(pin.trace, pin.remote) if pin.remote else None
        return self.remote(segment) if self._settings.remote_parent == "child" else None

    def placement(self, session: Session, time: int) -> Placement:
        """Where something that began at a moment (ns) belongs."""
        return self.placement_in(session, self.at(session, time), time)

    def placement_of(self, session: Session, time: int, number: int) -> Placement:
        """The same for what was emitted in the segment `number`, or must be (0: none yet): nothing moves it."""
        placed: list[Segment | Closed] = [*session.closed, *self.segments(session)] if number else []
        return self.placement_in(session, next((s for s in placed if s.number == number), self.at(session, time)), time)

    def placement_of_call(self, session: Session, call: str, start: int) -> Placement:
        """Where the span of a call is, or will be, if it began at `start` (ns) as far as is known."""
        if (pending := session.calls.get(call)) is not None:
            return self.placement_of(session, pending.start, pending.segment)
        emitted = self._forest.emitted_of(session.id).calls.get(call)
        return self.placement_of(session, start, emitted.segment if emitted is not None else 0)

    def line(self, placement: Placement | None) -> Iterator[Placement]:
        """A placement, and those above it, up to the trace's top."""
        while placement is not None:
            yield placement
            placement = placement.above

    def placement_in(self, session: Session, segment: Segment | Closed | None, time: int) -> Placement:
        """The placement of a moment (ns) in a known segment. A loop, not recursion: sessions may nest to any depth."""
        trace, root_segment = self._trace_of(session, segment, time)
        begun = time if segment is None else segment.start
        line = [(session, segment, trace, root_segment, begun, time)]
        while (above := self._above(session, trace, begun)) is not None:
            session, here, time = above
            trace, root_segment = self._trace_of(session, here, time)
            begun = here.start
            line.append((session, here, trace, root_segment, begun, time))
        placement, start, late = None, 0, False
        for session, segment, trace, root_segment, begun, time in reversed(line):
            start = max(begun, start)
            late = late or isinstance(segment, Closed) or time < start
            placement = Placement(session, segment, trace, root_segment, begun, start, late, placement)
        assert placement is not None
        return placement

    def placement_above(self, session: Session, trace: bytes, time: int) -> Placement | None:
        """The placement of the nearest session above that has a segment in a trace; None at the trace's top."""
        above = self._above(session, trace, time)
        return self.placement_in(*above) if above is not None else None

    def _above(self, session: Session, trace: bytes, time: int) -> tuple[Session, Segment | Closed, int] | None:
        while session is not self.top(session):
            parent = self._forest.get(session.parent) if session.parent else None
            if parent is None:
                return None
            here = self.at(parent, time)
            if here is None or self._trace_of(parent, here, time)[0] != trace:
                inside: list[Segment | Closed] = [*parent.closed, *self.segments(parent)]
                inside = [s for s in inside if self._trace_of(parent, s, s.start)[0] == trace]
                here = min(inside, key=lambda s: (abs(s.start - time), s.number), default=None)
            if here is not None:
                return parent, here, max(time, here.start)
            session = parent
        return None

    def _trace_of(self, session: Session, segment: Segment | Closed | None, time: int) -> tuple[bytes, int]:
        if isinstance(segment, Closed):
            return segment.trace, segment.root_segment
        top = self.top(session)
        if segment is None:
            return self.trace(time) if session is not top else (trace_id(session.id, 1), 1)
        if (pin := session.pins.get(segment.number)) is not None:
            return pin.trace, pin.root_segment
        if session is not top:
            return self._trace_around(session, segment)
        remote = self.remote_parent(segment) if session is self.root else None
        return remote.trace if remote is not None else trace_id(session.id, segment.number), segment.number

    def _trace_around(self, session: Session, segment: Segment) -> tuple[bytes, int]:
        """The trace of a child's segment: that of its root at the time, or of the turn in which it began."""
        parent = self._forest.get(session.parent) if session.parent else None
        if self._settings.trace_mode == "session" or parent is None:
            return self.trace(segment.start)
        return self._trace_of(parent, self.at(parent, segment.start), segment.start)

    # activity

    def _own_runs(self, session: Session) -> list[ActivityRun]:
        activities = activities_with_items(session, self._settings.joint)
        created_rank, created = session.facts.get("created", (0, 0))
        idle, inactive = self._settings.idle_timeout, self._settings.inactivity_timeout
        runs = [
            ActivityRun(s.start, s.end, session.id, idle if session.is_resting(s) else inactive, s.work)
            for s in activities
            if s.end >= created or any(s.start <= pin.start <= s.end for pin in session.pins.values())
        ]
        if not runs:
            return runs
        if "ended" in session.facts:
            runs[-1].limit = idle
        if session.closed:
            return runs
        runs[0].work = True  # a session's first sign of life is the beginning of its first segment
        if runs[0].start < created:  # what was copied into a fork lies before it
            runs[0].start = min([created, *self._begun_before(session, runs[0].start, created)])
        elif created_rank < GUESSED or self._settings.infer:
            before = runs[0].start - created
            if created and 0 < before <= max(self._settings.joint, 1):
                runs[0].start = created
                if created_rank == GUESSED:
                    self._guessed.add(session.id)
            elif not before and created_rank == GUESSED and session.get("guessed") == created:
                self._guessed.add(session.id)  # nothing but its live marker was then
        return runs

    def _left_runs(self, session: Session) -> Iterable[ActivityRun]:
        """The closed segments of a session in this tree: the sessions above it still cover them."""
        for closed in session.closed:
            if self._is_in_tree(session, closed):
                end, limit = closed.end + min(closed.limit, 0), max(closed.limit, 0)
                yield ActivityRun(closed.start, end, session.id, limit, True)

    def _is_in_tree(self, session: Session, closed: Closed) -> bool:
        ours = closed.trace in self._traces or closed.trace == trace_id(self.root.id, closed.root_segment)
        return ours or session is self.top(session)

    def _begun_before(self, session: Session, start: int, created: int) -> Iterable[int]:
        """When things began before a session's creation that are no copies of another session's: items that go on after
        it, since clocks differ a little, and what was emitted, here or below, before the creation was known."""
        for items in (session.calls, session.requests, session.permissions):
            yield from (i.start for i in items.values() if start <= i.start < created <= i.end)
        emitted = self._forest.emitted_of(session.id).spans()
        yield from (r.start for _, r in emitted if start <= r.start < created)
        yield from (pin.start for pin in session.pins.values() if start <= pin.start < created)

    def _gaps(self, session: Session) -> list[Segment]:
        found: list[Segment] = []
        open_until: dict[str, int] = {}
        for run in self._not_closed(session):
            last = found[-1] if found else None
            if last is not None and (run.start <= last.until or is_pinned_to(session, last, run.start)):
                last.end = max(last.end, run.end)
            elif not run.work and (found or session.closed):
                continue  # housekeeping long after the last turn begins no segment of its own
            else:
                open_until = {}
                last = Segment(0, run.start, run.end, 0)
                found.append(last)
            last.runs.append(run)
            open_until[run.session] = run.end + run.limit
            last.until = max(open_until.values())
        if found and session.id in self._guessed:
            found[0].start_guessed = found[0].start == session.get("created")
        return found

    def _not_closed(self, session: Session) -> Iterable[ActivityRun]:
        """The activity after closed segments. Late activity that reaches beyond one goes on in the next segment."""
        if not session.closed:
            return self._runs[session.id]
        after: list[ActivityRun] = []
        for run in self._runs[session.id]:
            start = run.start
            while (closed := closed_at(session, start, self._settings.joint)) is not None and start <= run.end:
                start = closed.end + closed.limit + 1
            if start <= run.end:
                after.append(replace(run, start=start))
        return sorted(after, key=lambda r: (r.start, r.end, r.session))

    def _named_only(self, session: Session) -> list[Segment]:
        """The segment of a session that only the calls that started it show: it lasts as long as the first of them."""
        parent = self._forest.get(session.parent) if session.parent else None
        if parent is None or not self._settings.infer:
            return []
        found: Segment | None = None
        for start, end in _naming(self._forest, parent, session.id):
            if found is None:
                found = Segment(1, start, end, end, start_guessed=True, named_only=True)
            elif start <= found.end + self._settings.idle_timeout:
                found.end = max(found.end, end)
        return [found] if found is not None else []

    # rollovers and turns

    def _cuts_of(self, top: Session) -> list[int]:
        if top.id not in self._cuts:
            self._cuts[top.id] = sorted(set(top.cuts) | self._cuts_by_age(top))
        return self._cuts[top.id]

    def rolled_over(self, session: Session, since: int, time: int) -> bool:
        """Whether a rollover, and no turn, divides what begins at `time` from what began at `since` (ns)."""
        return any(since < t <= time for t in self._cuts_of(self.top(session))) and not turns.starts_turn(session, time)

    def keep_rollovers(self, top: Session, start: int) -> None:
        """Keep the rollovers of a top session up to a moment (ns): something after it is emitted."""
        rollover.keep(top, self._cuts_of(top), start)
        self._forest.dirty.add(top.id)

    def _cuts_by_age(self, top: Session) -> set[int]:
        """Rollovers by age: a trace older than `max_trace_age` goes on in the next one, with the next activity."""
        found: set[int] = set()
        for segment in self._gaps(top) if self._settings.max_trace_age > 0 else ():
            if segment.end - segment.start < self._settings.max_trace_age:
                continue
            bounds = [b.time for b in boundaries(top, segment, top.cuts, self._turns(top, segment))]
            members = [(m, self._forest.emitted_of(m.id)) for m in self.members if self.top(m) is top]
            begun = rollover.all_starts(segment.runs, members)
            found.update(rollover.by_age(top, segment.runs, begun, bounds, self._settings.max_trace_age))
        return found

    def _turns(self, session: Session, segment: Segment) -> list[int]:
        if self._settings.trace_mode != "turn":
            return []
        return turns.turn_starts(session, self._forest.emitted_of(session.id), segment.start, segment.end)

    def _cover(self, session: Session) -> None:
        """Let each turn last as long as everything that began in it, in sessions below too."""
        for child in self._forest.children(session.id):
            if child is self.root:
                continue
            closed = [c for c in child.closed if self._is_in_tree(child, c)]
            for start, end in [(s.start, s.end) for s in self.segments(child)] + [(c.start, c.end) for c in closed]:
                if isinstance(here := self.at(session, start), Segment):
                    here.end = max(here.end, end)

    def _split(self, session: Session, segments: list[Segment]) -> list[Segment]:
        parts: list[Segment] = []
        for segment in segments:
            if segment.named_only:
                parts.append(segment)
                continue
            cuts, begun = self._cuts_of(self.top(session)), self._turns(session, segment)
            for start, until in pairwise(boundaries(session, segment, cuts, begun)):
                if (part := self._part(session, segment, start.time, until)) is not None:
                    parts.append(part)
        return number_segments(session, parts)

    def _part(self, session: Session, segment: Segment, start: int, boundary: Boundary) -> Segment | None:
        """The part of a segment from `start` (ns) up to a boundary."""
        until = boundary.time
        runs = [r for r in segment.runs if start <= r.end and r.start < until]
        if not runs:
            return None
        part = Segment(0, max(start, min(r.start for r in runs)), min(until - 1, max(r.end for r in runs)), 0)
        part.ended_by = boundary.reason
        part.until = until - 1 if part.rolled else segment.until
        part.start_guessed = segment.start_guessed and start == segment.start
        if self._settings.trace_mode == "turn":  # what goes on below is covered by the turn that it began in
            own = [r.end for r in runs if r.session == session.id]
            part.end = min(until - 1, max([part.start, *own]))
            if part.rolled:
                part.end = turns.last_end(session, self._forest.emitted_of(session.id), part.start, until)
        return part


def _naming(forest: Forest, parent: Session, child: str) -> list[tuple[int, int]]:
    """The times (ns) of the calls of a session that name a child, in order."""
    calls = [c for c in parent.calls.values() if c.get("child") == child and c.start]
    pending = [(c.start, c.end or c.start) for c in calls if not is_history(parent, c.end or c.start)]
    emitted = [(r.start, r.end) for r in forest.emitted_of(parent.id).task_calls.values() if r.child == child]
    return sorted(pending + emitted)


def ended_at(session: Session) -> tuple[int, str] | None:
    """When (ns) and why a session ended for good, if that was reported: `deleted` or `archived`."""
    ended = session.facts.get("ended")
    return (-ended[0], str(ended[1])) if ended is not None else None
