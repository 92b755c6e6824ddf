"""Sessions that may be children without a call that names them, and task calls that name no child: times must tell who
belongs to whom (core/linking/task_links.py), and times are complete only when both are quiet. So they wait for each
other, and those that may belong to one another are decided together.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator
from operator import itemgetter

from receiver.core.counting.missing_calls import missing_calls
from receiver.core.linking import task_links
from receiver.core.linking.candidates import counted_tasks, task_calls, task_reports, turns
from receiver.core.linking.deadlines import Waiting
from receiver.core.linking.metrics_only_sessions import may_be_child
from receiver.core.linking.report_matching import same_calls
from receiver.core.state.forest import Forest
from receiver.core.state.items import CallSource, Item, call_source, reported_call
from receiver.core.state.session import Session


def unplaced_children(forest: Forest, session: Session) -> list[Session]:
    """The children of a session that none of its calls names."""
    named = {c.child for c in task_calls(forest, session) if c.child}
    return [c for c in forest.children(session.id) if c.id not in named and not c.closed and c.activities]


def undecided(forest: Forest, producer: str) -> list[Session]:
    """A producer's sessions that neither are said to be a root or somebody's child nor have left as one."""
    return [
        other
        for _, other in sorted(forest.sessions.items())
        if other.producer == producer
        and (other.activities or may_be_child(other))
        and not (other.is_stated_root or other.parent or other.closed or other.pins)
    ]


def parallel(children: Iterable[Session]) -> Iterator[list[Session]]:
    """Children in groups of those that were active at the same time."""
    group: list[Session] = []
    until = 0
    for child in sorted(children, key=lambda c: (c.activities[0].start, c.id)):
        if group and child.activities[0].start > until:
            yield group
            group, until = [], 0
        group.append(child)
        until = max(until, child.activities[-1].end + task_links.AFTER_ABORT)
    if group:
        yield group


def may_start(forest: Forest, call: task_links.TaskCall, child: Session) -> bool:
    """Whether a task call that names no child may turn out to have started a session."""
    return not call.child and any(task_links.cost(turn, call) is not None for turn in turns(forest, child))


def has_free_task(forest: Forest, session: Session) -> bool:
    """Whether a session has a task call, or what may turn out to be one, that names no child."""
    if any(u.tool in task_links.MAYBE_TASKS for u in session.reports.values()):
        return True
    if task_links.TASK in {p.tool for p in session.counted.values()} | {s.tool for s in session.series.values()}:
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


class Intervals:
    """Whose anything ended between what times (ns)."""

    def __init__(self, held: Iterable[tuple[int, int, str]]) -> None:
        self._held = sorted((until, since, session) for since, until, session in held)
        self._longest = max((until - since for until, since, _ in self._held), default=0)

    def around(self, first: int, last: int) -> set[str]:
        """The sessions of which anything may have ended between these, and at these."""
        begin = bisect_left(self._held, first, key=itemgetter(0))
        until = bisect_right(self._held, last + self._longest, key=itemgetter(0))
        return {session for _, since, session in self._held[begin:until] if since <= last}


class UnplacedByProducer:
    """The sessions without a place, by producer, as they are until something changes."""

    def __init__(self, forest: Forest, waiting: Waiting) -> None:
        self._forest = forest
        self.waiting = waiting
        self._unplaced: dict[str, UnplacedSessions] = {}

    def unplaced(self, producer: str) -> UnplacedSessions:
        """Those of one producer."""
        if producer not in self._unplaced:
            self._unplaced[producer] = UnplacedSessions(self._forest, producer, self.waiting)
        return self._unplaced[producer]

    def changed(self, sessions: Collection[Session]) -> None:
        """More is known of these."""
        for producer in {s.producer for s in sessions}.intersection(self._unplaced):
            self._unplaced[producer].changed(s for s in sessions if s.producer == producer)

    def placed(self, sessions: Collection[Session]) -> None:
        """These have found their places."""
        for producer in {s.producer for s in sessions}.intersection(self._unplaced):
            self._unplaced[producer].placed(s for s in sessions if s.producer == producer)


class UnplacedSessions:
    """The sessions of one producer that have no place yet, and the calls that may have started them. Who may belong to
    whom is looked up by when it started, since a busy producer has thousands of both; what is known of one session is
    kept until that session changes."""

    def __init__(self, forest: Forest, producer: str, waiting: Waiting) -> None:
        self._forest = forest
        self._producer = producer
        self._waiting = waiting
        self._calls: dict[str, list[task_links.TaskCall]] = {}
        self._counted: dict[str, dict[str, Item]] = {}
        self._turns: dict[str, list[task_links.Child]] = {}
        self._rivals: dict[str, list[Session]] = {}
        self._started: dict[str, list[Session]] = {}
        self._waits: dict[str, dict[str, int]] = {}
        self._fitting: dict[str, dict[task_links.Child, set[task_links.TaskCall]]] = {}
        self._look()

    def _look(self) -> None:
        self.sessions = undecided(self._forest, self._producer)
        self._started.clear()
        self._waits.clear()
        self._places = {s.id: place for place, s in enumerate(self.sessions)}
        self._by_turn: Starts | None = None
        self._by_end: Starts | None = None
        self._by_call: Starts | None = None
        self._by_count: Intervals | None = None

    def changed(self, sessions: Iterable[Session]) -> None:
        """More is known of some: they may belong to others than before."""
        for session in sessions:
            self._calls.pop(session.id, None)
            self._turns.pop(session.id, None)
        self._rivals.clear()
        self._fitting.clear()
        self._look()

    def placed(self, sessions: Iterable[Session]) -> None:
        """Some have found their places, which matters to their rivals only."""
        for session in sessions:
            self._turns.pop(session.id, None)
            for rival in self._rivals.get(session.id, ()):
                self._rivals.pop(rival.id, None)
                self._fitting.pop(rival.id, None)
        self._look()

    def callers(self, child: Session) -> list[Session]:
        """The sessions that have a call which may have started this one."""
        if not self.sessions:
            return []
        if self._by_call is None:
            every = [s for s in self._forest.sessions.values() if s.producer == self._producer]
            calls = [call for session in every for call in self._calls_of(session)]
            self._by_call = Starts((c.start, c.session) for c in calls if not c.before)
            self._by_count = Intervals((c.after, c.before, c.session) for c in calls if c.before)
        near: set[str] = set()
        for turn in self._turns_of(child):
            near.update(self._by_call.between(turn.start - task_links.LATEST, turn.start + task_links.SOONEST))
            if turn.metered and self._by_count is not None:
                near.update(self._by_count.around(turn.end - task_links.RIVAL, turn.end + task_links.RIVAL))
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
                    lost = (c for c in unplaced_children(self._forest, caller) if self._may_start(caller, c))
                    new = {s.id: s for s in (*self._started_by(caller), *lost) if s.id not in found}
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

    def waits_for(self, session: Session) -> Collection[str]:
        """The sessions that must be quiet before this one may close (and maybe itself): those that it may have started,
        the rivals of these and its own, and so on below them."""
        return self._waits_of(session).keys()

    def waits_until(self, session: Session, without: Collection[str]) -> int:
        """When (ns of the receiver's clock) these are, but for some."""
        found = self._waits_of(session)
        return next((until for other, until in found.items() if other not in without), 0)

    def _waits_of(self, session: Session) -> dict[str, int]:
        """For whom a session waits, and until when, the last first; rivals wait for the same."""
        key = self.rivals(session)[0].id if session.id in self._places else f"below {session.id}"
        if key not in self._waits:
            found: dict[str, int] = {}
            waiting = [session]
            while waiting:
                at = waiting.pop()
                for one in self.rivals(at) if at.id in self._places else [at]:
                    if one.id in found:
                        continue
                    found[one.id] = self._waiting.below(one)
                    started = (s for below in self._forest.below(one.id) for s in self._started_by(below))
                    waiting.extend(s for s in started if s.id not in found)
            self._waits[key] = dict(sorted(found.items(), key=lambda w: (-w[1], w[0])))
        return self._waits[key]

    def _started_by(self, caller: Session) -> list[Session]:
        if caller.id not in self._started:
            self._started[caller.id] = self.started_by(caller)
        return self._started[caller.id]

    def near(self, call: task_links.TaskCall) -> list[Session]:
        """The sessions without a place that began, or went on, at a time at which this call may have started them."""
        return [self.sessions[self._places[s]] for s in sorted(self._near(call))]

    def parent(self, child: Session) -> str | None:
        """The session whose call started this one, where the times decide it."""
        found = task_links.infer_parents(self._fitting_to(child)).get(child.id)
        return None if found is None or self._is_below(child.id, found) else found

    def counted_call(self, child: Session) -> Item | None:
        """The call that started this one, where the times decide it and a metric alone tells of it."""
        calls = {call for fitting in self._fitting_to(child).values() for call in fitting}
        found = calls.pop() if len(calls) == 1 else None
        return self._counted[found.session].get(found.key) if found is not None else None

    def _fitting_to(self, child: Session) -> dict[task_links.Child, set[task_links.TaskCall]]:
        """The calls that may have started a child, turn by turn."""
        if child.id not in self._fitting:
            rivals = self.rivals(child)
            callers = {s.id: s for rival in rivals for s in self.callers(rival)}
            children = [turn for rival in rivals for turn in self._turns_of(rival)]
            calls = [c for s in callers.values() for c in self._calls_of(s)]
            self._fitting.update({r.id: {} for r in rivals})
            for turn, fitting in task_links.fitting_calls(children, calls).items():
                self._fitting[turn.session][turn] = fitting
        return self._fitting[child.id]

    def _near(self, call: task_links.TaskCall) -> set[str]:
        if self._by_turn is None or self._by_end is None:
            turns_of = [t for s in self.sessions for t in self._turns_of(s)]
            self._by_turn = Starts((t.start, t.session) for t in turns_of)
            self._by_end = Starts((t.end, t.session) for t in turns_of if t.metered)
        if call.before:
            return self._by_end.between(call.after - task_links.RIVAL, call.before + task_links.RIVAL)
        return self._by_turn.between(call.start - task_links.SOONEST, call.start + task_links.LATEST)

    def _may_start(self, caller: Session, child: Session) -> bool:
        calls = self._calls_of(caller)
        turns_of = self._turns_of(child) if calls else []
        return any(task_links.cost(turn, call) is not None for turn in turns_of for call in calls)

    def _turns_of(self, session: Session) -> list[task_links.Child]:
        if session.id not in self._turns:
            self._turns[session.id] = turns(self._forest, session)
        return self._turns[session.id]

    def _calls_of(self, session: Session) -> list[task_links.TaskCall]:
        if session.id not in self._calls:
            emitted = self._forest.emitted_of(session.id)
            known = {reported_call(report) for report in same_calls(session, emitted)}
            calls = [*task_calls(self._forest, session), *(c for c in task_reports(session) if c.key not in known)]
            self._counted[session.id] = {k: c for k, c in session.calls.items() if call_source(k) is CallSource.COUNTED}
            if session.counted or session.series:
                missing = missing_calls(session, emitted, (task_links.TASK,))
                self._counted[session.id].update((c.id, c) for c in missing)
                calls.extend(counted_tasks(session, missing))
            self._calls[session.id] = [c for c in calls if not c.child]
        return self._calls[session.id]

    def _is_below(self, session: str, other: str) -> bool:
        return any(s.id == other for s in self._forest.below(session))
