"""The three verbs: take events, advance to a time, say the next deadline. Here is decided what leaves and when
(contract 5.4); what is known stands in facts, where a span belongs in segments and links, how it looks in render.

Time comes in as a value (ns of the receiver's clock) and only decides when to stop waiting. What leaves is stamped
with event time. `now=None` means that nothing more will come: everything leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain

from receiver.core.apply_events import EventApplier, Source
from receiver.core.counting import missing_calls
from receiver.core.emission import live_markers
from receiver.core.emission.item_spans import ItemSpans
from receiver.core.emission.session_spans import SessionSpans
from receiver.core.linking import metrics_only_sessions, report_matching, task_links, unplaced_sessions
from receiver.core.linking.candidates import task_call
from receiver.core.linking.deadlines import Waiting, rests
from receiver.core.linking.unplaced_sessions import UnplacedByProducer
from receiver.core.segmentation import turns
from receiver.core.segmentation.tree_segments import TreeView, ended_at
from receiver.core.state.forest import Forest
from receiver.core.state.items import EmittedRecord, Item, ItemKind, learn
from receiver.core.state.session import Activity, Session, merge_activity
from receiver.core.state.settings import SECOND, BuilderSettings
from receiver.events import COUNTED, INFERRED, AnyEvent
from receiver.outcome import AMBIGUOUS, DECIDED, TO_SESSION, Outcome


class Builder:
    """Turns what is told of sessions into spans. Holds settings only: all state is in the forest that it is given."""

    def __init__(self, settings: BuilderSettings) -> None:
        self.settings = settings
        self._taking = EventApplier(settings)

    def take(self, forest: Forest, source: Source, event: AnyEvent) -> str | None:
        """Merge one event into the forest. Returns the reason if the event added nothing."""
        return self._taking(forest, source, event)

    def first_deadline(self, session: Session) -> int:
        """When a session that was just told of must be looked at (ns): never later than anything in it is due."""
        waits = [session.arrival + self._wait(session) + self._limit_of(session)]
        for items in (session.calls, session.requests, session.permissions):
            waits.extend(i.arrival + i.wait + self.settings.settle for i in items.values() if i.end)
        waits.extend(u.arrival + u.wait + self.settings.settle for u in session.reports.values())
        if self.settings.live_markers:
            waits.extend(w + self.settings.settle for w in live_markers.waits(session))
        if self.settings.trace_mode == "turn":
            told = turns.last_told(session) + self._wait(session)
            waits.extend([told] if told > session.arrival else [])
        return min(waits)

    def advance(self, forest: Forest, sessions: Iterable[str], now: int | None, flush: bool = False) -> Outcome:
        """Let everything leave that is due by `now` in the trees of these sessions. `flush` closes them."""
        outcome = Outcome()
        final = flush or now is None
        known = [s for s in sessions if forest.get(s) is not None]
        lost = UnplacedByProducer(forest, Waiting(self.settings, forest))
        if not final and self.settings.infer:  # who sleeps because of others must be asked before these close
            trees = [_Tree(self, forest, r, now, final, outcome, lost) for r in self._roots(forest, known)]
            known.extend(sorted(set[str]().union(*(tree.waits_for() for tree in trees)).difference(known)))
        if self.settings.infer:
            self._place(forest, known, lost, lambda root: _Tree(self, forest, root, now, final, outcome, lost))
        for root in self._roots(forest, known):
            _Tree(self, forest, root, now, final, outcome, lost).run()
        return outcome

    def _place(
        self, forest: Forest, known: Iterable[str], lost: UnplacedByProducer, tree_of: Callable[[Session], _Tree]
    ) -> None:
        """Find the places of trees that nobody states: all by what was known before any of them is found, so that it
        does not matter who is asked first."""
        lost.changed([s for root in self._roots(forest, known) for s in tree_of(root).settle()])
        asked: set[str] = set()
        started: list[tuple[_Tree, Session, Item]] = []
        while roots := [r for r in self._roots(forest, known) if r.id not in asked]:
            asked.update(root.id for root in roots)  # anew: a place may be in a tree that had none itself
            found = [(tree, place) for tree in map(tree_of, roots) if (place := tree.find_place()) is not None]
            for tree, place in found:
                if (call := tree.adopt(place)) is not None:
                    started.append((tree, forest.open(place), call))
            lost.placed([tree.root for tree, _ in found])
        for tree, caller, call in started:
            tree.name_call(caller, call)
        lost.changed([caller for _, caller, _ in started])

    @staticmethod
    def _roots(forest: Forest, sessions: Iterable[str]) -> list[Session]:
        return list({root.id: root for root in map(forest.root_of, sessions)}.values())

    def _wait(self, session: Session) -> int:
        return self.settings.settle + session.wait

    def _limit_of(self, session: Session) -> int:
        if ended_at(session) is not None:
            return 0
        rests = bool(session.activities) and session.is_resting(session.activities[-1])
        return self.settings.idle_timeout if rests else self.settings.inactivity_timeout


@dataclass(slots=True)
class _Quiet:
    """How quiet it is in a session and everything below it. `until` (ns of the receiver's clock) is how long to wait
    for more; `settled` whether everything in it ended or said that it is idle; `open` whether anything is to leave."""

    until: int
    settled: bool
    open: bool


class _Tree:
    """One look at one tree."""

    def __init__(
        self,
        builder: Builder,
        forest: Forest,
        root: Session,
        now: int | None,
        final: bool,
        outcome: Outcome,
        lost: UnplacedByProducer,
    ) -> None:
        self.lost = lost
        self.settings = builder.settings
        self.forest = forest
        self.root = root
        self.now = now
        self.final = final
        self.outcome = outcome
        self.members = list(forest.below(root.id))
        self.closing: set[str] = set()
        self.quiet: dict[str, _Quiet] = {}
        self._waiting: dict[str, list[Session]] = {}

    def waits_for(self) -> set[str]:
        """The sessions that must be quiet before something in this tree may close."""
        if not self._is_concerned():
            return set()
        unplaced = self.lost.unplaced(self.root.producer)
        return set[str]().union(*(unplaced.waits_for(session) for session in self.members))

    def settle(self) -> list[Session]:
        """Give the sessions that only metrics tell of their times. Whom nothing says to be a child is a root."""
        self._find_quiet()
        settled = [s for s in self.members if s.id in self.closing and metrics_only_sessions.settle(s, self.settings)]
        if self.root in settled and not (self._is_decided() or self.root.get("subagent")):
            learn(self.root.facts, "root", COUNTED, True)
        return settled

    def find_place(self) -> str | None:
        """The session below which the tree hangs by its times, if nobody states a root or a parent for so long."""
        if self._is_decided():
            return None
        self._find_quiet()
        if self.root.id not in self.closing:
            return None
        unplaced = self.lost.unplaced(self.root.producer)
        found = unplaced.parent(self.root)
        if found is None and unplaced.callers(self.root):
            self.outcome.edges[TO_SESSION, AMBIGUOUS] += 1
        return found

    def adopt(self, parent: str) -> Item | None:
        """Hang the tree there. Returns the call that started it, if that is known by its count alone."""
        if any(s.id == parent for s in self.forest.below(self.root.id)):
            return None  # which has just found its place in this tree
        call = self.lost.unplaced(self.root.producer).counted_call(self.root) if self.root.get("metered") else None
        self.outcome.inferred["parent"] += 1
        self.outcome.edges[TO_SESSION, DECIDED] += 1
        self.forest.adopt(self.root.id, parent, INFERRED)
        return call

    def name_call(self, caller: Session, call: Item) -> None:
        """A call that was only counted started this tree."""
        metrics_only_sessions.settle(
            caller, self.settings
        )  # before the call that is added makes it look as if it had told
        metrics_only_sessions.name_child(call, self.root)
        if call.id not in caller.calls:
            self._add_call(caller, call)
        self.forest.dirty.add(caller.id)

    def run(self) -> None:
        """Let leave what is due, close what is quiet, and say when to look again."""
        self._find_quiet()
        if not (self._is_decided() or self.root.id in self.closing):
            self._set_deadlines()
            return
        self._settle_identities()
        view = TreeView(self.forest, self.root, self.settings)
        leaving = ItemSpans(self.settings, self.forest, view, self.outcome)
        leaving.items(self._due(), self.closing)
        if self.settings.live_markers:
            live_markers.leave(leaving, self.members, self._is_due)
        closing = SessionSpans(leaving, flushed=self.final and self.now is not None)
        for session in reversed(self.members):
            if session.id in self.closing:
                closing.close(session)
                self.outcome.closed.append(session.id)
            elif any(s.rolled for s in leaving.view.segments(session)):
                closing.roll(session, self._is_due)
        self._set_deadlines()

    # who may close, and whose root is known

    def _is_decided(self) -> bool:
        """Whether this root is one: stated, left as one before, or (as the builder found) alone for long enough."""
        return self.root.is_stated_root or bool(self.root.closed or self.root.pins)

    def _find_quiet(self) -> None:
        for session in reversed(self.members):
            below = [self.quiet[c.id] for c in self.forest.children(session.id) if c.id in self.quiet]
            below = [q for q in below if q.open]
            done = rests(session) or ended_at(session) is not None
            self.quiet[session.id] = _Quiet(
                until=max([self.lost.waiting.own(session), *(q.until for q in below)]),
                settled=done and all(q.settled for q in below),
                open=has_open_content(session) or bool(below),
            )
        if self.settings.infer:
            self._wait_for_unplaced()
        ended: set[str] = set()
        for session in self.members:
            quiet = self.quiet[session.id]
            if session.parent in ended or (ended_at(session) is not None and quiet.settled):
                ended.add(session.id)
                quiet.until = min(quiet.until, self.lost.waiting.last_told(session))
            if quiet.open and (self.final or (self.now is not None and self.now >= quiet.until)):
                self.closing.add(session.id)

    def _wait_for_unplaced(self) -> None:
        """Those that may belong to the same calls close together, and no caller closes before those that it may have
        started."""
        for session in self.members:
            for group in unplaced_sessions.parallel(unplaced_sessions.unplaced_children(self.forest, session)):
                until = max(self.quiet[c.id].until for c in group)
                for child in group:
                    self.quiet[child.id].until = until
        unplaced = self.lost.unplaced(self.root.producer) if self._is_concerned() else None
        if unplaced is None:
            return
        own = {m.id for m in self.members}
        for session in reversed(self.members):
            waits = [unplaced.waits_until(session, own)]
            waits += [self.quiet[c.id].until for c in self.forest.children(session.id) if c.id in self.quiet]
            self.quiet[session.id].until = max([self.quiet[session.id].until, *waits])

    def _is_concerned(self) -> bool:
        """Whether this tree may hang below another one, or another one below it."""
        return not self._is_decided() or any(unplaced_sessions.has_free_task(self.forest, m) for m in self.members)

    # which reports are the same call

    def _settle_identities(self) -> None:
        for session in self.members:
            all_due = session.id in self.closing
            due = [k for k, u in session.reports.items() if all_due or self._is_due(u.arrival, u.wait)]
            leaving = [c.id for c in session.calls.values() if all_due or self._is_due(c.arrival, c.wait)]
            report_matching.find_calls(session, self.forest.emitted_of(session.id), due, leaving)
            for key in sorted(due):
                if key in session.reports:
                    report_matching.stand_alone(session, key, self.settings.infer)
            if session.hints and self.settings.infer:
                report_matching.add_hints(session, self.forest.emitted_of(session.id), leaving)
        for session in self.members:
            if not (session.counted or session.series):
                continue
            closing = session.id in self.closing
            if not closing and not self._has_unplaced_child(session):
                continue
            self._add_counted(session, None if closing else (task_links.TASK,))

    def _has_unplaced_child(self, session: Session) -> bool:
        """Whether a child is about to close that no call of this session names."""
        return any(c.id in self.closing for c in unplaced_sessions.unplaced_children(self.forest, session))

    def _add_counted(self, session: Session, only: tuple[str, ...] | None) -> None:
        if self.settings.infer:
            metrics_only_sessions.settle(
                session, self.settings
            )  # before the calls that are added make it look as if it had told
            for item in missing_calls.missing_calls(session, self.forest.emitted_of(session.id), only):
                if only is None or not report_matching.is_placed(item):  # nobody knows yet whether it started someone
                    self._add_call(session, item)
        if only is None:
            for key in session.counted:
                self.forest.add_emitted(session.id, ItemKind.SERIES, key, EmittedRecord(start=0, end=0))
            session.counted.clear()

    def _add_call(self, session: Session, item: Item) -> None:
        session.calls[item.id] = item
        self.outcome.inferred["identity"] += 1
        lived = Activity(start=max(item.start, 1), end=item.end, work=True)
        merge_activity(session.activities, lived, self.settings.joint)

    # which items are due

    def _is_due(self, arrival: int, wait: int) -> bool:
        return self.final or (self.now is not None and self.now >= arrival + wait + self.settings.settle)

    def _due(self) -> list[tuple[Session, Item]]:
        due: list[tuple[Session, Item]] = []
        for session in self.members:
            for kind in (ItemKind.CALL, ItemKind.REQUEST, ItemKind.PERMISSION):
                for item in session.items(kind).values():
                    finished = item.end and self._is_due(item.arrival, item.wait)
                    if finished and kind is ItemKind.CALL and self.settings.infer:
                        finished = not self._awaits_child(session, item)
                    if finished or session.id in self.closing:
                        due.append((session, item))
        return due

    def _awaits_child(self, session: Session, call: Item) -> bool:
        """Whether a task call that names no child may yet be found to have started one, when that one closes."""
        if call.get("tool") not in task_links.MAYBE_TASKS or call.get("child") or report_matching.is_placed(call):
            return False
        mine = task_call(session, call)
        own = {m.id for m in self.members}
        others = (o for o in self.lost.unplaced(self.root.producer).near(mine) if o.id not in own)
        waiting = chain(self._waiting_children(session), others)
        return any(unplaced_sessions.may_start(self.forest, mine, child) for child in waiting)

    def _waiting_children(self, session: Session) -> list[Session]:
        """The children that no call names and that are not closing yet."""
        if session.id not in self._waiting:
            children = unplaced_sessions.unplaced_children(self.forest, session)
            self._waiting[session.id] = [c for c in children if c.id not in self.closing]
        return self._waiting[session.id]

    # when to look again

    def _set_deadlines(self) -> None:
        decided = self._is_decided()
        for session in self.members:
            if not has_open_content(session):
                self.outcome.deadlines[session.id] = None
                continue
            times = [self.quiet[session.id].until]
            if decided:
                items = [*session.calls.values(), *session.requests.values()]
                items += [p for p in session.permissions.values() if p.get("call") not in session.calls]
                times.extend(i.arrival + i.wait + self.settings.settle for i in items if i.end)
                times.extend(u.arrival + u.wait + self.settings.settle for u in session.reports.values())
                told = turns.last_told(session) + session.wait + self.settings.settle
                if self.settings.trace_mode == "turn" and self.now is not None and told > self.now:
                    times.append(told)
                if self.settings.live_markers:
                    times.extend(w + self.settings.settle for w in live_markers.waits(session))
            soonest = min(times)
            if self.now is not None and soonest <= self.now:
                soonest = self.now + max(self.settings.settle, SECOND)
            self.outcome.deadlines[session.id] = soonest


def has_open_content(session: Session) -> bool:
    """Whether anything of a session has still to leave."""
    if session.activities or session.calls or session.requests or session.permissions or session.reports:
        return True
    return bool(session.counted or session.series or session.notes or session.pins) or not (
        session.closed or session.gone
    )


__all__ = ["Builder", "Source", "has_open_content"]
