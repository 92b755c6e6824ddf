"""Applies what planning yields: in a look, the only writer of facts, pins, segments and emitted records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from receiver.core.counting import series
from receiver.core.emission.changes import (
    AnswerDue,
    AwaitedCall,
    CallCounted,
    Change,
    ChildFound,
    HintMatched,
    ItemDiscarded,
    ItemEmitted,
    ItemMoved,
    LifetimeFound,
    MarkerDue,
    MarkerEmitted,
    ParentFound,
    PartMatched,
    ReportMatched,
    ReportUnmatched,
    RootFound,
    SegmentEmitted,
    SegmentRolled,
    SessionClosed,
)
from receiver.core.emission.tree import EmittedTree
from receiver.core.linking.attempts import join_attempt
from receiver.core.linking.report_matching import has_no_stated_id
from receiver.core.segmentation import rollover, turns
from receiver.core.segmentation.segment import Segment
from receiver.core.segmentation.tree_segments import Placement
from receiver.core.state.forks import remember
from receiver.core.state.ids import creation_time
from receiver.core.state.items import EmittedRecord, Inferred, Item, ItemKind, learn
from receiver.core.state.session import MARKED, Activity, Closed, Pin, Session, merge_activity
from receiver.events import COUNTED, EXACT, GUESSED, INFERRED
from receiver.model import Span
from receiver.outcome import DECIDED, TO_SESSION


class ChangeApplier:
    """Carries out changes of one tree."""

    def __init__(self, tree: EmittedTree) -> None:
        self._tree = tree
        self._settings = tree.settings
        self._forest = tree.forest
        self._outcome = tree.outcome
        self._apply: dict[type[Any], Callable[[Any], None]] = {
            LifetimeFound: self._lifetime_found,
            RootFound: self._root_found,
            ParentFound: self._parent_found,
            ChildFound: self._child_found,
            ReportMatched: self._report_matched,
            ReportUnmatched: self._report_unmatched,
            HintMatched: self._hint_matched,
            ItemMoved: self._item_moved,
            PartMatched: self._part_matched,
            CallCounted: self._call_counted,
            AnswerDue: self._answer_due,
            ItemDiscarded: self._item_discarded,
            ItemEmitted: self._item_emitted,
            MarkerDue: self._marker_due,
            MarkerEmitted: self._marker_emitted,
            SegmentEmitted: self._segment_emitted,
            SegmentRolled: self._segment_rolled,
            SessionClosed: self._session_closed,
        }

    def __call__(self, change: Change) -> None:
        """Carry out one change."""
        self._apply[type(change)](change)

    # places and reports

    def _lifetime_found(self, change: LifetimeFound) -> None:
        session, times = change.session, change.times
        learn(session.facts, "metered", COUNTED, True)
        if (created := creation_time(session.id, times[0])) is not None:
            learn(session.facts, "created", GUESSED, created)
        for time in times:
            if not any(c.start <= time <= c.end for c in session.closed):
                self._active(session, time, time)

    def _root_found(self, change: RootFound) -> None:
        learn(change.session.facts, "root", COUNTED, True)

    def _parent_found(self, change: ParentFound) -> None:
        self._outcome.inferred[Inferred.PARENT] += 1
        self._outcome.edges[TO_SESSION, DECIDED] += 1
        self._forest.adopt(change.session.id, change.parent, INFERRED)

    def _child_found(self, change: ChildFound) -> None:
        session, call = change.session, change.call
        call.facts.update(change.facts)
        call.infer(Inferred.PARENT)
        if call.id not in session.calls:
            self._add(session, call)
        self._forest.dirty.add(session.id)

    def _report_matched(self, change: ReportMatched) -> None:
        session = change.session
        report = session.reports.pop(change.report)
        call = session.calls.get(change.call)
        if call is not None and not self._forest.is_emitted(session.id, ItemKind.CALL, change.call):
            for field, (rank, value) in report.facts.items():
                learn(call.facts, field, rank, value)

    def _report_unmatched(self, change: ReportUnmatched) -> None:
        del change.session.reports[change.report]
        change.session.calls[change.call.id] = change.call

    def _hint_matched(self, change: HintMatched) -> None:
        del change.session.hints[change.hint]
        call = change.session.calls[change.call]
        for field, value in change.facts.items():
            learn(call.facts, field, INFERRED, value)
        if change.facts:
            call.infer(Inferred.IDENTITY)

    def _item_moved(self, change: ItemMoved) -> None:
        session, item, agent = change.session, change.item, change.agent
        session.items(item.kind).pop(item.id)
        self._forest.dirty.update((session.id, agent.id))
        if self._forest.is_emitted(agent.id, item.kind, item.id):
            self._outcome.discards["already_left"] += 1
            return
        known = agent.pending(item.kind, item.id)
        known.arrival, known.wait = max(known.arrival, item.arrival), max(known.wait, item.wait)
        for field, fact in item.facts.items():
            learn(known.facts, field, *fact)
        for key in {fact[1] for fact in [item.facts.get("resource")] if fact} & session.resources.keys():
            agent.resources.setdefault(key, session.resources[key])

    def _part_matched(self, change: PartMatched) -> None:
        session, part, owner, call = change.session, change.part, change.owner, change.call
        del session.parts[part.id]
        call.arrival = max(call.arrival, part.arrival)
        for field in ("start", "end", "status", "error_type", "error"):
            if (fact := part.facts.get(field)) is not None:
                learn(call.facts, field, *fact)
        answer = part.facts.get("reply")
        if answer is not None and answer[1] == "reject":
            learn(call.facts, "status", answer[0], "error")
            learn(call.facts, "error_type", answer[0], "permission_rejected")
        if part.get("asked") and not self._forest.is_emitted(owner.id, ItemKind.PERMISSION, call.id):
            permission = owner.pending(ItemKind.PERMISSION, call.id)
            permission.arrival, permission.wait = max(permission.arrival, part.arrival), max(permission.wait, part.wait)
            for field in ("asked", "replied", "reply", "resource"):
                if (fact := part.facts.get(field)) is not None:
                    learn(permission.facts, field, *fact)
            learn(permission.facts, "call", EXACT, call.id)
        self._forest.dirty.update((session.id, owner.id))

    def _call_counted(self, change: CallCounted) -> None:
        self._add(change.session, change.call)

    def _add(self, session: Session, call: Item) -> None:
        session.calls[call.id] = call
        self._outcome.inferred[Inferred.IDENTITY] += 1
        self._active(session, max(call.start, 1), call.end)

    # items

    def _answer_due(self, change: AnswerDue) -> None:
        join_attempt(change.session, change.request)

    def _item_discarded(self, change: ItemDiscarded) -> None:
        session, item = change.session, change.item
        if change.reason == "history":
            learn(session.facts, "copies", EXACT, True)
            if item.kind is ItemKind.CALL:
                remember(session, item)
        session.items(item.kind).pop(item.id, None)
        self._outcome.discards[change.reason] += 1

    def _item_emitted(self, change: ItemEmitted) -> None:
        session, item, span = change.session, change.item, change.span
        self._pin(change.placement, span.start)
        if not isinstance(change.placement.segment, Closed):
            # a call that was open to the last: no answer ended its turn
            called = span.end + 1 if item.kind is ItemKind.CALL and not item.end else 0
            self._active(session, span.start, span.end, called)
        self._outcome.spans.append(span)
        if not item.end:
            self._outcome.inferred["end"] += 1
        session.items(item.kind).pop(item.id, None)
        self._forest.add_emitted(session.id, item.kind, item.id, change.record)
        if item.kind is ItemKind.CALL and has_no_stated_id(item.id):
            self._tree.emitted_now.add((session.id, item.id))
        self._count(self._tree.view.top(session), span)

    def _active(self, session: Session, start: int, end: int, called: int = 0) -> None:
        activity = Activity(start=start, end=end, work=True, called=called)
        merge_activity(session.activities, activity, self._settings.joint)

    def _count(self, top: Session, span: Span) -> None:
        """Roll over: what begins after the span that filled the trace goes on in the next one."""
        top.spans += 1
        top.reach = max(top.reach, span.end)
        self._forest.dirty.add(top.id)
        if self._settings.trace_mode == "turn":
            self._count_in_turn(top, span)
        elif top.spans >= self._settings.max_spans_per_trace > 0:
            self._cut(top, rollover.by_number(top))
            top.spans = 0

    def _count_in_turn(self, top: Session, span: Span) -> None:
        """The same where each turn is a trace: a turn that is full goes on in the next trace before the next turn."""
        number = next((n for n, pin in top.pins.items() if pin.trace == span.trace_id), None)
        segment = next((s for s in self._tree.view.segments(top) if s.number == number), None)
        if number is None or segment is None:
            return
        top.pins[number].spans += 1
        cut = rollover.by_number(top)
        if top.pins[number].spans == self._settings.max_spans_per_trace and cut <= segment.until:
            self._cut(top, cut)

    def _cut(self, top: Session, time: int) -> None:
        top.cuts = sorted({*top.cuts, time})
        self._tree.forget_view()

    # markers

    def _marker_due(self, change: MarkerDue) -> None:
        if change.call is not None:
            change.call.news = 0
        else:
            change.session.news = MARKED if change.has_segment else 0

    def _marker_emitted(self, change: MarkerEmitted) -> None:
        session, time = change.session, change.span.start
        if change.start_guessed is not None:
            learn(session.facts, "guessed", INFERRED, change.start_guessed)
        self._pin(change.placement, time)
        if isinstance(change.placement.segment, Segment):
            self._active(session, time, time)
        self._outcome.spans.append(change.span)
        record = EmittedRecord(time, time, segment=change.placement.number)
        self._forest.add_emitted(session.id, ItemKind.MARKER, change.id, record)

    # segments

    def _segment_emitted(self, change: SegmentEmitted) -> None:
        session, closed = change.session, change.closed
        if change.awaited is not None:
            self._await(change.awaited)
        if change.edge is not None:
            self._outcome.edges[change.edge] += 1
        self._outcome.spans.append(change.span)
        self._outcome.inferred.update(change.inferred)
        session.pins.pop(closed.number, None)
        session.closed.append(closed)
        for pinned in change.pinned:
            self._pin(pinned.placement, pinned.start)

    def _await(self, change: AwaitedCall) -> None:
        change.call.awaited = True
        change.call.segment = change.placement.number
        learn(change.call.facts, "child", INFERRED, change.child)
        self._forest.dirty.add(change.session.id)

    def _segment_rolled(self, change: SegmentRolled) -> None:
        session, until = change.session, change.segment.until
        view = self._tree.view
        if not change.segment.turned:
            view.keep_rollovers(view.top(session), until + 1)
        session.notes = {k: n for k, n in session.notes.items() if n.time > until}
        session.lines = {k: n for k, n in session.lines.items() if n[0] > until}
        self._remember(session, change.series)
        for one in session.series.values():
            if one.what != "calls":
                one.readings = {n: r for n, r in one.readings.items() if series.is_after(one, r, until)}
        for activity in session.activities:
            activity.start = max(activity.start, until + 1)
        session.activities = [a for a in session.activities if a.end >= a.start]
        session.news = max(session.arrival, 0)
        turns.forget_before(session, until + 1)
        self._forest.dirty.add(session.id)

    def _session_closed(self, change: SessionClosed) -> None:
        """Keep only what places late records."""
        session = change.session
        for reason, number in change.discards:
            self._outcome.discards[reason] += number
        session.pins.clear()
        session.gone = not session.closed
        session.news = 0
        self._remember(session, change.series)
        session.series.clear()
        turns.forget_before(session, session.closed[-1].end + 1 if session.closed else 0)
        session.rests.clear()
        session.attempts.clear()
        for kept in (session.activities, session.notes, session.lines, session.history, session.hints, session.parts):
            kept.clear()
        session.agents = dict(sorted(session.agents.items())[-1:])
        self._forest.dirty.add(session.id)
        self._outcome.closed.append(session.id)

    def _remember(self, session: Session, records: tuple[tuple[str, EmittedRecord], ...]) -> None:
        for key, record in records:
            self._forest.add_emitted(session.id, ItemKind.SERIES, key, record)

    # places

    def _pin(self, pinned: Placement, start: int) -> None:
        """The segments above a span that begins at a moment (ns) stay what they are."""
        view = self._tree.view
        for placement in list(view.line(pinned)):
            segment, session = placement.segment, placement.session
            if not isinstance(segment, Segment):
                continue
            pin = session.pins.get(placement.number)
            if pin is None:
                remote = view.remote_parent(segment) if session is view.root else None
                above = remote.span if remote else b""
                pin = Pin(segment.start, start, placement.trace, placement.root_segment, above)
                session.pins[placement.number] = pin
                if session is view.top(session):
                    view.keep_rollovers(session, segment.start)
            pin.start = min(pin.start, segment.start)
            pin.last = max(pin.last, start)
            self._forest.dirty.add(session.id)
            if self._settings.trace_mode == "turn":
                start = placement.at  # above, it is in the turn that its session's segment began in
