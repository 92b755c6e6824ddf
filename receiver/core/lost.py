"""Sessions that may be children without a call that names them, and task calls that name no child: times must tell who
belongs to whom (core/links.py), and times are complete only when both are quiet. So they wait for each other, and those
that may belong to one another are decided together.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from operator import itemgetter

from receiver.core import links
from receiver.core.candidates import counted_tasks, task_calls, task_reports, turns
from receiver.core.counted import missing_calls
from receiver.core.facts import Session
from receiver.core.forest import Forest
from receiver.core.unnamed import same_calls


def lost_children(forest: Forest, session: Session) -> list[Session]:
    """The children of a session that none of its calls names."""
    named = {c.child for c in task_calls(forest, session) if c.child}
    return [c for c in forest.children(session.id) if c.id not in named and not c.closed and c.stretches]


def undecided(forest: Forest, producer: str) -> list[Session]:
    """A producer's sessions that neither are said to be a root or somebody's child nor have left as one."""
    return [
        other
        for _, other in sorted(forest.sessions.items())
        if other.producer == producer
        and other.stretches
        and not (other.is_stated_root or other.parent or other.closed or other.pins)
    ]


def parallel(children: Iterable[Session]) -> Iterator[list[Session]]:
    """Children in groups of those that were active at the same time."""
    group: list[Session] = []
    until = 0
    for child in sorted(children, key=lambda c: (c.stretches[0].start, c.id)):
        if group and child.stretches[0].start > until:
            yield group
            group, until = [], 0
        group.append(child)
        until = max(until, child.stretches[-1].end + links.AFTER_ABORT)
    if group:
        yield group


def may_start(forest: Forest, call: links.TaskCall, child: Session) -> bool:
    """Whether a task call that names no child may turn out to have started a session."""
    return not call.child and any(links.cost(turn, call) is not None for turn in turns(forest, child))


def has_free_task(forest: Forest, session: Session) -> bool:
    """Whether a session has a task call, or what may turn out to be one, that names no child."""
    if any(u.tool in links.MAYBE_TASKS for u in session.unnamed.values()):
        return True
    if links.TASK in {p.tool for p in session.counted.values()} | {s.tool for s in session.series.values()}:
        return True
    return any(not c.child for c in task_calls(forest, session))


class Starts:
    """Whose anything started at what time (ns)."""

    def __init__(self, starts: Iterable[tuple[int, str]]) -> None:
        self._starts = sorted(starts)

    def between(self, first: int, last: int) -> set[str]:
        """The sessions of which anything started between these, and at these."""
        begin = bisect_left(self._starts, first, key=itemgetter(0))
        until = bisect_right(self._starts, last, key=itemgetter(0))
        return {session for _, session in self._starts[begin:until]}


class Lost:
    """The sessions without a place, by producer, as they are until something changes."""

    def __init__(self, forest: Forest) -> None:
        self._forest = forest
        self._unplaced: dict[str, Unplaced] = {}

    def unplaced(self, producer: str) -> Unplaced:
        """Those of one producer."""
        if producer not in self._unplaced:
            self._unplaced[producer] = Unplaced(self._forest, producer)
        return self._unplaced[producer]

    def changed(self, *sessions: Session) -> None:
        """More is known of these."""
        for session in sessions:
            if session.producer in self._unplaced:
                self._unplaced[session.producer].changed(session)

    def placed(self, session: Session) -> None:
        """This one has found its place."""
        if session.producer in self._unplaced:
            self._unplaced[session.producer].placed(session)


class Unplaced:
    """The sessions of one producer that have no place yet, and the calls that may have started them. Who may belong to
    whom is looked up by when it started, since a busy producer has thousands of both; what is known of one session is
    kept until that session changes."""

    def __init__(self, forest: Forest, producer: str) -> None:
        self._forest = forest
        self._producer = producer
        self._calls: dict[str, list[links.TaskCall]] = {}
        self._turns: dict[str, list[links.Child]] = {}
        self._rivals: dict[str, list[Session]] = {}
        self._waits: dict[str, list[Session]] = {}
        self._parents: dict[str, dict[str, str]] = {}
        self._look()

    def _look(self) -> None:
        self.sessions = undecided(self._forest, self._producer)
        self._waits.clear()
        self._places = {s.id: place for place, s in enumerate(self.sessions)}
        self._by_turn: Starts | None = None
        self._by_call: Starts | None = None

    def changed(self, session: Session) -> None:
        """More is known of one: it may belong to others than before."""
        self._calls.pop(session.id, None)
        self._turns.pop(session.id, None)
        self._rivals.clear()
        self._parents.clear()
        self._look()

    def placed(self, session: Session) -> None:
        """One has found its place, which matters to its rivals only."""
        self._turns.pop(session.id, None)
        for rival in self._rivals.get(session.id, ()):
            self._rivals.pop(rival.id, None)
            self._parents.pop(rival.id, None)
        self._look()

    def callers(self, child: Session) -> list[Session]:
        """The sessions that have a call which may have started this one."""
        if not self.sessions:
            return []
        if self._by_call is None:
            every = (s.id for s in self._forest.sessions.values() if s.producer == self._producer)
            self._by_call = Starts((c.start, s) for s in every for c in self._calls_of(self._forest.sessions[s]))
        near: set[str] = set()
        for turn in self._turns_of(child):
            near.update(self._by_call.between(turn.start - links.AFTER_START, turn.start + links.BEFORE_START))
        found = (self._forest.sessions[s] for s in sorted(near))
        return [s for s in found if self._may_start(s, child)]

    def rivals(self, child: Session) -> list[Session]:
        """This session and those that are decided with it: they may belong to the same calls, or to the same as one
        that may belong to the same calls, and so on."""
        if child.id not in self._rivals:
            found, waiting, asked = {child.id: child}, [child], set[str]()
            while waiting:
                callers = [s for s in self.callers(waiting.pop()) if s.id not in asked]
                asked.update(s.id for s in callers)
                for caller in callers:
                    lost = (c for c in lost_children(self._forest, caller) if self._may_start(caller, c))
                    new = {s.id: s for s in (*self.started_by(caller), *lost) if s.id not in found}
                    found.update(new)
                    waiting.extend(new.values())
            together = [session for _, session in sorted(found.items())]
            self._rivals.update(dict.fromkeys(found, together))
        return self._rivals[child.id]

    def started_by(self, caller: Session) -> list[Session]:
        """The sessions without a place that a call of this one may have started."""
        near = {s for call in self._calls_of(caller) for s in self._near(call)}
        found = (self.sessions[self._places[s]] for s in sorted(near))
        return [s for s in found if self._may_start(caller, s)]

    def waits_for(self, session: Session) -> list[Session]:
        """The sessions that must be quiet before this one may close: those that it may have started, the rivals of
        these and its own, and so on below them."""
        if session.id not in self._waits:
            found: dict[str, Session] = {session.id: session}
            waiting = [session]
            while waiting:
                at = waiting.pop()
                rivals = self.rivals(at) if at.id in self._places else []
                started = [s for below in self._forest.below(at.id) for s in self.started_by(below)]
                new = {s.id: s for s in (*rivals, *started) if s.id not in found}
                found.update(new)
                waiting.extend(new.values())
            self._waits[session.id] = [s for key, s in sorted(found.items()) if key != session.id]
        return self._waits[session.id]

    def near(self, call: links.TaskCall) -> list[Session]:
        """The sessions without a place that began, or went on, at a time at which this call may have started them."""
        return [self.sessions[self._places[s]] for s in sorted(self._near(call))]

    def parent(self, child: Session) -> str | None:
        """The session whose call started this one, where the times decide it."""
        rivals = self.rivals(child)
        if child.id not in self._parents:
            callers = {s.id: s for rival in rivals for s in self.callers(rival)}
            children = [turn for rival in rivals for turn in self._turns_of(rival)]
            calls = [c for s in callers.values() for c in self._calls_of(s)]
            self._parents.update(dict.fromkeys((r.id for r in rivals), links.infer_parents(children, calls)))
        found = self._parents[child.id].get(child.id)
        return None if found is None or self._is_below(child.id, found) else found

    def _near(self, call: links.TaskCall) -> set[str]:
        if self._by_turn is None:
            self._by_turn = Starts((t.start, s.id) for s in self.sessions for t in self._turns_of(s))
        return self._by_turn.between(call.start - links.BEFORE_START, call.start + links.AFTER_START)

    def _may_start(self, caller: Session, child: Session) -> bool:
        calls = self._calls_of(caller)
        turns_of = self._turns_of(child) if calls else []
        return any(links.cost(turn, call) is not None for turn in turns_of for call in calls)

    def _turns_of(self, session: Session) -> list[links.Child]:
        if session.id not in self._turns:
            self._turns[session.id] = turns(self._forest, session)
        return self._turns[session.id]

    def _calls_of(self, session: Session) -> list[links.TaskCall]:
        if session.id not in self._calls:
            left = self._forest.left_of(session.id)
            known = {f"~{report}" for report in same_calls(session, left)}
            calls = [*task_calls(self._forest, session), *(c for c in task_reports(session) if c.key not in known)]
            if session.counted or session.series:
                calls.extend(counted_tasks(session, missing_calls(session, left, (links.TASK,))))
            self._calls[session.id] = [c for c in calls if not c.child]
        return self._calls[session.id]

    def _is_below(self, session: str, other: str) -> bool:
        return any(s.id == other for s in self._forest.below(session))
