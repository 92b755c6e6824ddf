"""Unplaced sessions: sessions that may be children and that no call names. Only times can say which task call started
them (core/linking/task_links.py), and times are complete only when caller and child are quiet. So they wait for each
other, and sessions that may belong to the same calls are decided together.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator
from operator import itemgetter

from receiver.core.counting.missing_calls import missing_calls
from receiver.core.linking import task_links
from receiver.core.linking.candidates import counted_tasks, task_calls, task_reports, turns
from receiver.core.linking.deadlines import Deadlines
from receiver.core.linking.metrics_only_sessions import is_metrics_only_child
from receiver.core.linking.report_matching import match_reports
from receiver.core.state.forest import Forest
from receiver.core.state.items import CallSource, Item, call_source, reported_call
from receiver.core.state.session import Session


def unplaced_children(forest: Forest, session: Session) -> list[Session]:
    """The children of a session that none of its calls names."""
    named = {c.child for c in task_calls(forest, session) if c.child}
    return [c for c in forest.children(session.id) if c.id not in named and not c.closed and c.activities]


def undecided(forest: Forest, producer: str) -> list[Session]:
    """A producer's sessions of which nothing says whether they are a root or a child, and no span was emitted."""
    return [
        other
        for _, other in sorted(forest.sessions.items())
        if other.producer == producer
        and (other.activities or is_metrics_only_child(other))
        and not (other.is_stated_root or other.parent or other.closed or other.pins)
    ]


def parallel(children: Iterable[Session]) -> Iterator[list[Session]]:
    """The children in groups of those that were active at the same time."""
    group: list[Session] = []
    until = 0
    for child in sorted(children, key=lambda c: (c.activities[0].start, c.id)):
        if group and child.activities[0].start > until:
            yield group
            group, until = [], 0
        group.append(child)
        until = max(until, child.activities[-1].end + task_links.MAX_OVERTIME_FAILED)
    if group:
        yield group


def may_start(forest: Forest, call: task_links.TaskCall, child: Session) -> bool:
    """Whether a task call that names no child may have started a session, by their times."""
    return not call.child and any(task_links.cost(turn, call) is not None for turn in turns(forest, child))


def has_free_task(forest: Forest, session: Session) -> bool:
    """Whether a session has a task call, or what may turn out to be one, that names no child."""
    if any(u.tool in task_links.POSSIBLE_TASKS for u in session.reports.values()):
        return True
    if task_links.TASK in {s.tool for s in session.series.values()}:
        return True
    return any(not c.child for c in task_calls(forest, session))


class SessionsByTime:
    """Sessions, found by the times (ns) of something in them."""

    def __init__(self, times: Iterable[tuple[int, str]]) -> None:
        self._times = sorted(times)

    def between(self, first: int, last: int) -> set[str]:
        """The sessions with a time in [first, last]."""
        begin = bisect_left(self._times, first, key=itemgetter(0))
        until = bisect_right(self._times, last, key=itemgetter(0))
        return {session for _, session in self._times[begin:until]}


class SessionsByInterval:
    """Sessions, found by intervals (ns) in which something of them happened."""

    def __init__(self, intervals: Iterable[tuple[int, int, str]]) -> None:
        self._intervals = sorted((until, since, session) for since, until, session in intervals)
        self._longest = max((until - since for until, since, _ in self._intervals), default=0)

    def overlapping(self, first: int, last: int) -> set[str]:
        """The sessions with an interval that overlaps [first, last]."""
        begin = bisect_left(self._intervals, first, key=itemgetter(0))
        until = bisect_right(self._intervals, last + self._longest, key=itemgetter(0))
        return {session for _, since, session in self._intervals[begin:until] if since <= last}


class UnplacedSessionsByProducer:
    """The unplaced sessions of each producer, looked up once and kept until something changes."""

    def __init__(self, forest: Forest, waiting: Deadlines) -> None:
        self._forest = forest
        self.waiting = waiting
        self._unplaced: dict[str, UnplacedSessions] = {}

    def unplaced(self, producer: str) -> UnplacedSessions:
        """The unplaced sessions of one producer."""
        if producer not in self._unplaced:
            self._unplaced[producer] = UnplacedSessions(self._forest, producer, self.waiting)
        return self._unplaced[producer]

    def changed(self, sessions: Collection[Session]) -> None:
        """More is known of some sessions."""
        for producer in {s.producer for s in sessions}.intersection(self._unplaced):
            self._unplaced[producer].changed(s for s in sessions if s.producer == producer)

    def placed(self, sessions: Collection[Session]) -> None:
        """Some sessions found their places."""
        for producer in {s.producer for s in sessions}.intersection(self._unplaced):
            self._unplaced[producer].placed(s for s in sessions if s.producer == producer)


class UnplacedSessions:
    """The sessions of one producer that have no place yet, and the calls that may have started them. Pairs are looked
    up by time, since a busy producer has thousands of both. What is known of a session is kept until it changes."""

    def __init__(self, forest: Forest, producer: str, waiting: Deadlines) -> None:
        self._forest = forest
        self._producer = producer
        self._waiting = waiting
        self._calls: dict[str, list[task_links.TaskCall]] = {}
        self._counted: dict[str, dict[str, Item]] = {}
        self._turns: dict[str, list[task_links.ChildTurn]] = {}
        self._rivals: dict[str, list[Session]] = {}
        self._started: dict[str, list[Session]] = {}
        self._waits: dict[str, dict[str, int]] = {}
        self._fitting: dict[str, dict[task_links.ChildTurn, set[task_links.TaskCall]]] = {}
        self._look()

    def _look(self) -> None:
        self.sessions = undecided(self._forest, self._producer)
        self._started.clear()
        self._waits.clear()
        self._places = {s.id: place for place, s in enumerate(self.sessions)}
        self._by_turn: SessionsByTime | None = None
        self._by_end: SessionsByTime | None = None
        self._by_call: SessionsByTime | None = None
        self._by_count: SessionsByInterval | None = None

    def changed(self, sessions: Iterable[Session]) -> None:
        """More is known of some sessions, so that they may belong to others than before."""
        for session in sessions:
            self._calls.pop(session.id, None)
            self._turns.pop(session.id, None)
        self._rivals.clear()
        self._fitting.clear()
        self._look()

    def placed(self, sessions: Iterable[Session]) -> None:
        """Some sessions found their places, which changes only what their rivals may belong to."""
        for session in sessions:
            self._turns.pop(session.id, None)
            for rival in self._rivals.get(session.id, ()):
                self._rivals.pop(rival.id, None)
                self._fitting.pop(rival.id, None)
        self._look()

    def callers(self, child: Session) -> list[Session]:
        """The sessions with a call that may have started this one."""
        if not self.sessions:
            return []
        if self._by_call is None:
            every = [s for s in self._forest.sessions.values() if s.producer == self._producer]
            calls = [call for session in every for call in self._calls_of(session)]
            self._by_call = SessionsByTime((c.start, c.session) for c in calls if not c.before)
            self._by_count = SessionsByInterval((c.after, c.before, c.session) for c in calls if c.before)
        near, skew = set[str](), task_links.MAX_RIVAL_COST
        for turn in self._turns_of(child):
            begin, until = turn.start - task_links.MAX_ANY_DELAY, turn.start + task_links.MAX_ANY_LEAD
            near.update(self._by_call.between(begin, until))
            if turn.metrics_only and self._by_count is not None:
                near.update(self._by_count.overlapping(turn.end - skew, turn.end + skew))
        found = (self._forest.sessions[s] for s in sorted(near))
        return [s for s in found if self._may_start(s, child)]

    def rivals(self, child: Session) -> list[Session]:
        """This session and those that are decided with it: they may belong to the same calls as it, or to the same
        calls as one of these, and so on."""
        if child.id not in self._rivals:
            found, waiting, asked = {child.id: child}, [child], set[str]()
            while waiting:
                callers = [s for s in self.callers(waiting.pop()) if s.id not in asked]
                asked.update(s.id for s in callers)
                for caller in callers:
                    unnamed = (c for c in unplaced_children(self._forest, caller) if self._may_start(caller, c))
                    new = {s.id: s for s in (*self._started_by(caller), *unnamed) if s.id not in found}
                    found.update(new)
                    waiting.extend(new.values())
            together = [session for _, session in sorted(found.items())]
            self._rivals.update(dict.fromkeys(found, together))
        return self._rivals[child.id]

    def started_by(self, caller: Session) -> list[Session]:
        """The unplaced sessions that a call of this one may have started."""
        near = {s for call in self._calls_of(caller) for s in self._near(call)}
        found = (self.sessions[self._places[s]] for s in sorted(near))
        return [s for s in found if self._may_start(caller, s)]

    def waits_for(self, session: Session) -> Collection[str]:
        """The sessions that must be quiet before this one may close (and maybe itself): those that it may have started,
        their rivals and its own, and so on below them."""
        return self._waits_of(session).keys()

    def waits_until(self, session: Session, without: Collection[str]) -> int:
        """When (ns of the receiver's clock) all of these are quiet, except some."""
        found = self._waits_of(session)
        return next((until for other, until in found.items() if other not in without), 0)

    def _waits_of(self, session: Session) -> dict[str, int]:
        """For which sessions a session waits, and until when, the latest first. Rivals wait for the same ones."""
        key = self.rivals(session)[0].id if session.id in self._places else f"below {session.id}"
        if key not in self._waits:
            found: dict[str, int] = {}
            waiting = [session]
            while waiting:
                at = waiting.pop()
                for one in self.rivals(at) if at.id in self._places else [at]:
                    if one.id in found:
                        continue
                    found[one.id] = self._waiting.tree_quiet_at(one)
                    started = (s for below in self._forest.below(one.id) for s in self._started_by(below))
                    waiting.extend(s for s in started if s.id not in found)
            self._waits[key] = dict(sorted(found.items(), key=lambda w: (-w[1], w[0])))
        return self._waits[key]

    def _started_by(self, caller: Session) -> list[Session]:
        if caller.id not in self._started:
            self._started[caller.id] = self.started_by(caller)
        return self._started[caller.id]

    def near(self, call: task_links.TaskCall) -> list[Session]:
        """The unplaced sessions with a turn that began when this call may have started it."""
        return [self.sessions[self._places[s]] for s in sorted(self._near(call))]

    def parent(self, child: Session) -> str | None:
        """The session whose call started this one, if the times decide that."""
        found = task_links.infer_parents(self._fitting_to(child)).get(child.id)
        return None if found is None or self._is_below(child.id, found) else found

    def counted_call(self, child: Session) -> Item | None:
        """The call that started this session, if the times decide that and only a metric counted it."""
        calls = {call for fitting in self._fitting_to(child).values() for call in fitting}
        found = calls.pop() if len(calls) == 1 else None
        return self._counted[found.session].get(found.key) if found is not None else None

    def _fitting_to(self, child: Session) -> dict[task_links.ChildTurn, set[task_links.TaskCall]]:
        """The calls that may have started each turn of a child."""
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
            self._by_turn = SessionsByTime((t.start, t.session) for t in turns_of)
            self._by_end = SessionsByTime((t.end, t.session) for t in turns_of if t.metrics_only)
        if call.before:
            skew = task_links.MAX_RIVAL_COST
            return self._by_end.between(call.after - skew, call.before + skew)
        return self._by_turn.between(call.start - task_links.MAX_ANY_LEAD, call.start + task_links.MAX_ANY_DELAY)

    def _may_start(self, caller: Session, child: Session) -> bool:
        calls = self._calls_of(caller)
        turns_of = self._turns_of(child) if calls else []
        return any(task_links.cost(turn, call) is not None for turn in turns_of for call in calls)

    def _turns_of(self, session: Session) -> list[task_links.ChildTurn]:
        if session.id not in self._turns:
            self._turns[session.id] = turns(self._forest, session)
        return self._turns[session.id]

    def _calls_of(self, session: Session) -> list[task_links.TaskCall]:
        if session.id not in self._calls:
            emitted = self._forest.emitted_of(session.id)
            matched = {reported_call(report) for report in match_reports(session, emitted)}
            calls = [*task_calls(self._forest, session), *(c for c in task_reports(session) if c.key not in matched)]
            self._counted[session.id] = {k: c for k, c in session.calls.items() if call_source(k) is CallSource.COUNTED}
            if session.series:
                missing = missing_calls(session, emitted, (task_links.TASK,))
                self._counted[session.id].update((c.id, c) for c in missing)
                calls.extend(counted_tasks(session, missing))
            self._calls[session.id] = [c for c in calls if not c.child]
        return self._calls[session.id]

    def _is_below(self, session: str, other: str) -> bool:
        return any(s.id == other for s in self._forest.below(session))
