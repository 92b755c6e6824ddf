"""A look at some trees: everything in them that is due by a moment becomes spans (docs/contract.md 5.4). In six phases:

1. gather        the trees, and those that must be asked before something in these may close
2. place         trees that nobody states a place for find it by their times
3. match reports reports and hints find their calls; calls that only metrics counted are added
4. emit due      items whose time has come become spans
5. close         sessions that were quiet for long enough become spans
6. deadlines     when to look at each session again

Phases 1 and 2 run over all trees, since a place is found among all of them; 3 to 6 run tree by tree. A tree is built
once, and again only if phase 2 changed something.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from receiver.core.counting import missing_calls
from receiver.core.emission import live_markers
from receiver.core.emission.apply import ChangeApplier
from receiver.core.emission.changes import (
    CallCounted,
    Change,
    ChildFound,
    HintMatched,
    ItemMoved,
    LifetimeFound,
    ParentFound,
    PartMatched,
    ReportMatched,
    ReportUnmatched,
    RootFound,
    SegmentEmitted,
)
from receiver.core.emission.item_spans import ItemPlanner
from receiver.core.emission.session_spans import SessionPlanner
from receiver.core.emission.tree import EmittedTree
from receiver.core.linking import metrics_only_sessions, report_matching, task_links, unplaced_sessions
from receiver.core.linking.candidates import task_call
from receiver.core.linking.deadlines import Deadlines, is_idle
from receiver.core.linking.unplaced_sessions import UnplacedSessionsByProducer
from receiver.core.segmentation import turns
from receiver.core.segmentation.tree_segments import ended_at
from receiver.core.state.forest import Forest
from receiver.core.state.items import Item, ItemKind
from receiver.core.state.session import Session, has_open_content
from receiver.core.state.settings import SECOND, BuilderSettings
from receiver.outcome import AMBIGUOUS, TO_SESSION, Outcome

_EMITTED = (ItemKind.CALL, ItemKind.REQUEST, ItemKind.PERMISSION)


class Look:
    """One look at some trees of a forest. `now` (ns of the receiver's clock) is None if nothing more will come;
    `flush` closes what is open; the look stops when it has emitted `max_spans`, None for no limit."""

    def __init__(
        self, settings: BuilderSettings, forest: Forest, now: int | None, flush: bool, max_spans: int | None = None
    ) -> None:
        self.settings = settings
        self.forest = forest
        self.now = now
        self.final = flush or now is None
        self.max_spans = max_spans
        self.outcome = Outcome()
        self.unplaced = UnplacedSessionsByProducer(forest, Deadlines(settings, forest))
        self._trees: dict[str, TreeLook] = {}

    def run(self, sessions: Iterable[str]) -> Outcome:
        """All six phases, for the trees that these sessions are in."""
        sessions = self._gather(sessions)
        if self.settings.infer:
            self._place(sessions)
        for tree in self._trees_of(sessions):
            tree.run()
        return self.outcome

    def is_full(self) -> bool:
        """Whether as many spans were emitted as were asked for."""
        return self.max_spans is not None and len(self.outcome.spans) >= self.max_spans

    def _trees_of(self, sessions: Iterable[str]) -> list[TreeLook]:
        roots = {root.id: root for root in map(self.forest.root_of, sessions)}
        for id_, root in roots.items():
            if id_ not in self._trees:
                self._trees[id_] = TreeLook(self, root)
        return [self._trees[id_] for id_ in roots]

    # 1. gather

    def _gather(self, sessions: Iterable[str]) -> list[str]:
        found = [s for s in sessions if self.forest.get(s) is not None]
        if not self.final and self.settings.infer:
            waited_for = set[str]().union(*(tree.waits_for() for tree in self._trees_of(found)))
            found.extend(sorted(waited_for.difference(found)))
        return found

    # 2. place

    def _place(self, sessions: Sequence[str]) -> None:
        """All trees are compared as they were before any place is found, so that the order does not matter."""
        if settled := [s for tree in self._trees_of(sessions) for s in tree.settle()]:
            self._changed(settled)
        asked: set[str] = set()
        started: list[tuple[TreeLook, Session, Item]] = []
        while trees := [t for t in self._trees_of(sessions) if t.root.id not in asked]:
            asked.update(tree.root.id for tree in trees)  # anew: a place may be in a tree that had none itself
            found = [(tree, place) for tree in trees if (place := tree.find_place()) is not None]
            for tree, place in found:
                if (call := tree.adopt(place)) is not None:
                    started.append((tree, self.forest.open(place), call))
            if found:
                self.unplaced.placed([tree.root for tree, _ in found])
                self._trees.clear()
        for tree, caller, call in started:
            tree.name_call(caller, call)
        if started:
            self._changed([caller for _, caller, _ in started])

    def _changed(self, sessions: Sequence[Session]) -> None:
        self.unplaced.changed(sessions)
        self._trees.clear()


@dataclass(slots=True)
class _Quiet:
    """How quiet it is in a session and everything below it. `until` (ns of the receiver's clock) is how long to wait
    for more; `settled` whether everything in it ended or said that it is idle; `open` whether anything is to be
    emitted."""

    until: int
    settled: bool
    open: bool


class TreeLook:
    """A look's part for one tree."""

    def __init__(self, look: Look, root: Session) -> None:
        self.look = look
        self.settings = look.settings
        self.forest = look.forest
        self.outcome = look.outcome
        self.unplaced = look.unplaced
        self.root = root
        self.members = list(self.forest.below(root.id))
        self.closing: set[str] = set()
        self.quiet: dict[str, _Quiet] = {}
        self._segments = EmittedTree(look.settings, look.forest, root, look.outcome)
        self._apply = ChangeApplier(self._segments)
        self._items = ItemPlanner(self._segments)
        self._within_session = False
        self._unclosed_children: dict[str, list[Session]] = {}

    def run(self) -> None:
        """Phases 3 to 6."""
        self._find_quiet()
        if self._is_decided() or self.root.id in self.closing:
            for change in chain(self._match_reports(), self._emit_due(), self._close()):
                if self.look.is_full() and not self._within_session:
                    self._stop()
                    return
                self._apply(change)
                self._within_session = isinstance(change, SegmentEmitted)  # until it is closed or rolled over
        self._set_deadlines()

    def _stop(self) -> None:
        """Leave the rest to the next look, which is due at once."""
        self.outcome.stopped = True
        due = self.look.now or 0
        self.outcome.deadlines.update({s.id: due if has_open_content(s) else None for s in self.members})

    # 1. gather

    def waits_for(self) -> set[str]:
        """The sessions that must be quiet before something in this tree may close."""
        if not self._is_concerned():
            return set()
        unplaced = self.unplaced.unplaced(self.root.producer)
        return set[str]().union(*(unplaced.waits_for(session) for session in self.members))

    def _is_concerned(self) -> bool:
        """Whether this tree may belong below another one, or another one below it."""
        return not self._is_decided() or any(unplaced_sessions.has_free_task(self.forest, m) for m in self.members)

    def _is_decided(self) -> bool:
        """Whether this root is one: stated, emitted as one before, or (as phase 2 found) alone for long enough."""
        return self.root.is_stated_root or bool(self.root.closed or self.root.pins)

    def _find_quiet(self) -> None:
        """Which sessions are quiet for long enough to close; found once."""
        if self.quiet:
            return
        waiting = self.unplaced.waiting
        for session in reversed(self.members):
            below = [self.quiet[c.id] for c in self.forest.children(session.id) if c.id in self.quiet]
            below = [q for q in below if q.open]
            done = is_idle(session) or ended_at(session) is not None
            self.quiet[session.id] = _Quiet(
                until=max([waiting.quiet_at(session), *(q.until for q in below)]),
                settled=done and all(q.settled for q in below),
                open=has_open_content(session) or bool(below),
            )
        if self.settings.infer:
            self._wait_for_unplaced()
        now, final = self.look.now, self.look.final
        ended: set[str] = set()
        for session in self.members:
            quiet = self.quiet[session.id]
            if session.parent in ended or (ended_at(session) is not None and quiet.settled):
                ended.add(session.id)
                quiet.until = min(quiet.until, waiting.settled_at(session))
            if quiet.open and (final or (now is not None and now >= quiet.until)):
                self.closing.add(session.id)

    def _wait_for_unplaced(self) -> None:
        """Those that may belong to the same calls close together, and no caller closes before those that it may have
        started."""
        for session in self.members:
            for group in unplaced_sessions.parallel(unplaced_sessions.unplaced_children(self.forest, session)):
                until = max(self.quiet[c.id].until for c in group)
                for child in group:
                    self.quiet[child.id].until = until
        if not self._is_concerned():
            return
        unplaced = self.unplaced.unplaced(self.root.producer)
        own = {m.id for m in self.members}
        for session in reversed(self.members):
            waits = [unplaced.waits_until(session, own)]
            waits += [self.quiet[c.id].until for c in self.forest.children(session.id) if c.id in self.quiet]
            self.quiet[session.id].until = max([self.quiet[session.id].until, *waits])

    # 2. place

    def settle(self) -> list[Session]:
        """Give the sessions that only metrics report their times. One that nothing states to be a child is a root."""
        self._find_quiet()
        settled = [s for s in self.members if s.id in self.closing and self._find_lifetime(s)]
        if self.root in settled and not (self._is_decided() or self.root.get("subagent")):
            self._apply(RootFound(self.root))
        return settled

    def _find_lifetime(self, session: Session) -> bool:
        """Give a session that only metrics report its times; True if it is one."""
        times = metrics_only_sessions.lifetime(session) if self.settings.infer else ()
        if times:
            self._apply(LifetimeFound(session, times))
        return bool(times)

    def find_place(self) -> str | None:
        """The session below which the tree belongs by its times, if no record stated a root or a parent in time."""
        if self._is_decided():
            return None
        self._find_quiet()
        if self.root.id not in self.closing:
            return None
        unplaced = self.unplaced.unplaced(self.root.producer)
        found = unplaced.parent(self.root)
        if found is None and self.root.agent_id and self.forest.get(self.root.shared_id) is not None:
            return (
                self.root.shared_id
            )  # the call that started it was never reported; it ran in this session all the same
        if found is None and unplaced.callers(self.root):
            self.outcome.edges[TO_SESSION, AMBIGUOUS] += 1
        return found

    def adopt(self, parent: str) -> Item | None:
        """Put the tree there. Returns the call that started it, if only a metric counted that call."""
        if any(s.id == parent for s in self.forest.below(self.root.id)):
            return None  # which has just found its place in this tree
        metered = bool(self.root.get("metered"))
        call = self.unplaced.unplaced(self.root.producer).counted_call(self.root) if metered else None
        self._apply(ParentFound(self.root, parent))
        return call

    def name_call(self, caller: Session, call: Item) -> None:
        """A call that was only counted started this tree."""
        self._find_lifetime(caller)  # before the added call looks like a record of it
        self._apply(ChildFound(caller, call, metrics_only_sessions.facts_of_started_child(call, self.root)))

    # 3. match reports

    def _match_agents(self) -> Iterator[Change]:
        """A call or request that is told of in a session and in that of an agent which shares its id is the agent's:
        not every record of an agent names it."""
        by_id = {m.shared_id: m for m in self.members if not m.agent_id}
        for agent in self.members:
            shared = by_id.get(agent.shared_id)
            if not agent.agent_id or shared is None:
                continue
            for kind in (ItemKind.CALL, ItemKind.REQUEST):
                told = shared.items(kind)
                known = agent.items(kind).keys() | self.forest.emitted_of(agent.id).of_kind(kind).keys()
                for id_ in sorted(told.keys() & known):
                    yield ItemMoved(shared, told[id_], agent)

    def _match_parts(self) -> Iterator[Change]:
        """Parts of calls find their calls, in whichever session that shares the id, by the id of the call's span."""
        if not any(session.parts for session in self.members):
            return
        by_span = {span: (m, c) for m in self.members for c in m.calls.values() if (span := c.get("span"))}
        by_id = {(m.shared_id, c.id): (m, c) for m in self.members for c in m.calls.values()}
        for session in self.members:
            for key, part in sorted(session.parts.items()):
                found = by_span.get(key) or by_id.get((session.shared_id, str(part.get("call"))))
                if found is not None:
                    yield PartMatched(session, part, *found)

    def _match_reports(self) -> Iterator[Change]:
        yield from self._match_agents()
        yield from self._match_parts()
        for session in self.members:
            all_due = session.id in self.closing
            emitted = self.forest.emitted_of(session.id)
            if not (session.reports or session.hints):
                continue
            calls = {c.id for c in session.calls.values() if all_due or self._is_due(c.arrival, c.wait)}
            due = [k for k, r in session.reports.items() if all_due or self._is_due(r.arrival, r.wait)]
            for report, call in report_matching.matched_reports(session, emitted, due, calls).items():
                yield ReportMatched(session, report, call)
            for id_ in sorted(due):
                if (unmatched := session.reports.get(id_)) is not None:
                    call_of = report_matching.unmatched_report(id_, unmatched, self.settings.infer)
                    yield ReportUnmatched(session, id_, call_of)
            if session.hints and self.settings.infer:
                for hint, call in report_matching.matched_hints(session, emitted, calls).items():
                    facts = report_matching.hinted_facts(session.calls[call], session.hints[hint])
                    yield HintMatched(session, hint, call, facts)
        for session in self.members:
            closing = session.id in self.closing
            if session.series and (closing or self._has_unplaced_child(session)):
                yield from self._count_calls(session, None if closing else (task_links.TASK,))

    def _has_unplaced_child(self, session: Session) -> bool:
        """Whether a child is about to close that no call of this session names."""
        return any(c.id in self.closing for c in unplaced_sessions.unplaced_children(self.forest, session))

    def _count_calls(self, session: Session, only: tuple[str, ...] | None) -> Iterator[Change]:
        """The calls that only metrics counted: all, or those of some tools whose times are known."""
        if not self.settings.infer:
            return
        if times := metrics_only_sessions.lifetime(session):  # before the added calls look like records of it
            yield LifetimeFound(session, times)
        for call in missing_calls.missing_calls(session, self.forest.emitted_of(session.id), only):
            if only is None or not report_matching.lacks_times(call):  # whether it started a session is not known yet
                yield CallCounted(session, call)

    # 4. emit due

    def _emit_due(self) -> Iterator[Change]:
        yield from self._items.plan(self._due(), self.closing)
        if self.settings.live_markers:
            yield from live_markers.plan(self._items, self.members, self._is_due)

    # 5. close

    def _close(self) -> Iterator[Change]:
        sessions = SessionPlanner(self._items, flushed=self.look.final and self.look.now is not None)
        for session in reversed(self.members):
            if session.id in self.closing:
                yield from sessions.close(session)
            elif any(s.rolled for s in self._segments.view.segments(session)):
                yield from sessions.roll(session, self._is_due)

    # which items are due

    def _is_due(self, arrival: int, wait: int) -> bool:
        now = self.look.now
        return self.look.final or (now is not None and now >= arrival + wait + self.settings.settle)

    def _due(self) -> Iterator[tuple[Session, Item]]:
        for session in self.members:
            closing = session.id in self.closing
            for kind in _EMITTED:
                for item in session.items(kind).values():
                    if closing or (item.end and self._is_due(item.arrival, item.wait) and self._is_done(session, item)):
                        yield session, item

    def _is_done(self, session: Session, item: Item) -> bool:
        return item.kind is not ItemKind.CALL or not (self.settings.infer and self._awaits_child(session, item))

    def _awaits_child(self, session: Session, call: Item) -> bool:
        """Whether a task call that names no child may yet be found to have started one, when that one closes."""
        if call.get("child") or report_matching.lacks_times(call):
            return False
        mine = task_call(session, call)
        if mine.starts_agents:
            return any(unplaced_sessions.may_start(self.forest, mine, c) for c in self._open_children(session))
        if call.get("tool") not in task_links.POSSIBLE_TASKS:
            return False
        own = {m.id for m in self.members}
        others = (o for o in self.unplaced.unplaced(self.root.producer).near(mine) if o.id not in own)
        waiting = chain(self._open_children(session), others)
        return any(unplaced_sessions.may_start(self.forest, mine, child) for child in waiting)

    def _open_children(self, session: Session) -> list[Session]:
        """The children that no call names and that are not closing yet."""
        if session.id not in self._unclosed_children:
            children = unplaced_sessions.unplaced_children(self.forest, session)
            self._unclosed_children[session.id] = [c for c in children if c.id not in self.closing]
        return self._unclosed_children[session.id]

    # 6. deadlines

    def _set_deadlines(self) -> None:
        decided = self._is_decided()
        for session in self.members:
            open_ = has_open_content(session)
            self.outcome.deadlines[session.id] = self._deadline(session, decided) if open_ else None

    def _deadline(self, session: Session, decided: bool) -> int:
        settle, now = self.settings.settle, self.look.now
        times = [self.quiet[session.id].until]
        if decided:
            items = [*session.calls.values(), *session.requests.values()]
            items += [p for p in session.permissions.values() if p.get("call") not in session.calls]
            times.extend(i.arrival + i.wait + settle for i in items if i.end)
            times.extend(r.arrival + r.wait + settle for r in session.reports.values())
            prompted = turns.last_prompt_arrival(session) + session.wait + settle
            if self.settings.trace_mode == "turn" and now is not None and prompted > now:
                times.append(prompted)
            if self.settings.live_markers:
                times.extend(w + settle for w in live_markers.waits(session))
        soonest = min(times)
        return now + max(settle, SECOND) if now is not None and soonest <= now else soonest
