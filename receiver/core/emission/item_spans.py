"""Leaving: an item that is due becomes a span in its place, and is remembered as gone. Which items are due, and which
sessions close, the builder says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from receiver import semconv as sc
from receiver.core.emission.mcp_names import McpName, resolve
from receiver.core.emission.rendering import Place, call_span, marker_span, permission_span, request_span
from receiver.core.linking import task_links
from receiver.core.linking.attempts import join_attempt
from receiver.core.linking.candidates import agent_at, placed_tasks, task_calls, turns
from receiver.core.linking.report_matching import emitted_reports, is_placed, is_unnamed
from receiver.core.segmentation import rollover
from receiver.core.segmentation.segment import Segment
from receiver.core.segmentation.tree_segments import Placement, TreeView
from receiver.core.state.forest import Forest
from receiver.core.state.forks import is_history, remember
from receiver.core.state.ids import item_span_id, session_span_id
from receiver.core.state.items import EmittedRecord, Inferred, Item, ItemKind, learn
from receiver.core.state.session import Activity, Closed, Pin, Session, merge_activity
from receiver.core.state.settings import BuilderSettings
from receiver.events import EXACT, INFERRED
from receiver.model import Link, Span
from receiver.outcome import Outcome

USAGE_FACTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_creation_tokens",
    "reasoning_tokens",
    "cost",
)
NOT_TOLD = -1.0


def resource_of(session: Session, item: Item | None = None) -> bytes:
    """The serialized Resource of who told best of an item, or of the session."""
    key = item.get("resource") if item is not None else None
    if key in session.resources:
        return session.resources[key]
    return max(session.resources.values(), key=lambda raw: (len(raw), raw), default=b"")


class ItemSpans:
    """Renders what is due in one tree. `view` is computed anew when the trace rolls over on the way."""

    def __init__(self, settings: BuilderSettings, forest: Forest, view: TreeView, outcome: Outcome) -> None:
        self.settings = settings
        self.forest = forest
        self.view = view
        self.outcome = outcome
        self._emitted_now: set[tuple[str, str]] = set()  # calls without an id of their own: (session, call)
        self._makers: dict[str, dict[task_links.Child, list[task_links.TaskCall]]] = {}

    def items(self, due: Iterable[tuple[Session, Item]], closing: Collection[str]) -> None:
        """Let items leave, in the order of their ends, so that a roll-over falls where it does offline too."""
        due = sorted(due, key=lambda d: _order(*d))
        for session, item in due:
            if item.kind is ItemKind.REQUEST and self.settings.infer:
                join_attempt(session, item)
        due.sort(key=lambda d: _order(*d))
        for session, item in due:
            self._one(session, item, session.id in closing)

    def place(self, session: Session, time: int) -> Place:
        """Where an item of a session hangs, by when it began (ns)."""
        return self.place_in(self.view.placement(session, time), time)

    def place_in(self, placement: Placement, time: int) -> Place:
        """Where a span hangs whose segment is known, by when it began (ns)."""
        return Place(
            trace=placement.trace,
            parent=session_span_id(placement.session.id, placement.number),
            session=placement.session.id,
            root=self.view.root.id,
            agent=agent_at(placement.session, time),
            resource=b"",
            late=placement.late,
        )

    def pin(self, seats: Iterable[Placement], start: int) -> None:
        """A span leaves that begins at `start` (ns): the segments that it hangs below stay what they are."""
        for placement in list(seats):
            if not isinstance(placement.segment, Segment):
                continue
            pin = placement.session.pins.get(placement.number)
            if pin is None:
                is_root = placement.session is self.view.root
                remote = self.view.remote_parent(placement.segment) if is_root else None
                pin = Pin(
                    placement.segment.start,
                    start,
                    placement.trace,
                    placement.root_segment,
                    remote.span if remote else b"",
                )
                placement.session.pins[placement.number] = pin
                if placement.session is self.view.top(placement.session):
                    self.view.keep_cuts(placement.session, placement.segment.start)
            pin.start = min(pin.start, placement.segment.start)
            pin.last = max(pin.last, start)
            self.forest.dirty.add(placement.session.id)
            if self.settings.trace_mode == "turn":
                start = placement.at  # above, it is in the turn that its session's segment began in

    def _one(self, session: Session, item: Item, closing: bool) -> None:
        problem = self._problem(session, item)
        if problem:
            if problem == "wait" and not closing:
                return
            if problem != "wait":
                session.items(item.kind).pop(item.id, None)
                self.outcome.discards[problem] += 1
                return
        placement = self.view.placement_of(session, item.start, item.segment)
        place = self.place_in(placement, item.start)
        place.resource = resource_of(session, item)
        end = item.end or self._end_of(placement, item)
        if not item.end:
            place.inferred.append("end")
            self.outcome.inferred["end"] += 1
        elif not (item.get("start") or item.get("asked")):
            place.inferred.append("start")
        if item.kind is ItemKind.CALL:
            self.task_started(session, item)
        span = self._span(session, item, place, end)
        self.pin(self.view.line(placement), span.start)
        if not isinstance(placement.segment, Closed):
            lived = Activity(start=span.start, end=span.end, work=True)
            if item.kind is ItemKind.CALL and not item.end:
                lived.called = span.end + 1  # it was open to the last: no answer ended its turn
            merge_activity(session.activities, lived, self.settings.joint)
        self.outcome.spans.append(span)
        session.items(item.kind).pop(item.id, None)
        self.forest.add_emitted(session.id, item.kind, item.id, _record(item, span.end, placement.number))
        if item.kind is ItemKind.CALL and is_unnamed(item.id):
            self._emitted_now.add((session.id, item.id))
        self._count(self.view.top(session), span)

    def session_started(self, session: Session, segment: Segment) -> None:
        """A session's segment began: its marker leaves, if it is asked for and has not left."""
        if segment.named_only:
            return
        placement = self.view.placement_in(session, segment, segment.start)
        place = self.place_in(placement, segment.start)
        if segment.start_guessed:
            place.inferred = ["start"]
            learn(session.facts, "guessed", INFERRED, segment.start)
        self._mark(placement, place, f"session:{placement.number}", sc.SESSION_STARTED, placement.start, None)

    def task_started(self, session: Session, call: Item) -> None:
        """A task call began: the same."""
        call.news = 0
        if call.get("tool") != task_links.TASK or not call.earliest or is_unnamed(call.id):
            return
        placement = self.view.placement(session, call.earliest)
        place = self.place_in(placement, call.earliest)
        time = call.earliest if place.late else max(placement.start, call.earliest)
        self._mark(placement, place, f"task:{call.id}", sc.TASK_STARTED, time, call.id)

    def _mark(self, placement: Placement, place: Place, key: str, title: str, time: int, call: str | None) -> None:
        session = placement.session
        if not self.settings.live_markers or self.forest.is_emitted(session.id, ItemKind.MARKER, key):
            return
        place.resource = resource_of(session)
        self.pin(self.view.line(placement), time)
        if isinstance(placement.segment, Segment):
            merge_activity(session.activities, Activity(start=time, end=time, work=True), self.settings.joint)
        self.outcome.spans.append(marker_span(self.settings, place, key, title, time, call))
        self.forest.add_emitted(session.id, ItemKind.MARKER, key, EmittedRecord(time, time, segment=placement.number))

    def gets_span(self, session: Session, call: str) -> bool:
        """Whether a call has a span, or will have one by all that is known."""
        pending = session.calls.get(call)
        return self._has_call(session, call) if pending is None else self._problem(session, pending) is None

    def _problem(self, session: Session, item: Item) -> str | None:
        if item.awaited:
            return None
        if is_history(session, item.end or item.start):
            learn(session.facts, "copies", EXACT, True)
            if item.kind is ItemKind.CALL:
                remember(session, item)
            return "history"
        if not item.start or (item.kind is ItemKind.CALL and not item.get("tool")):
            return "not_told"
        if item.kind is ItemKind.CALL and self._left_unnamed(session, item):
            return "already_left"
        if not self.settings.infer and not item.end:
            return "not_ended"
        if not self.settings.infer and not (item.get("start") or item.get("asked")):
            return "not_told"
        if item.kind is ItemKind.PERMISSION and (call := item.get("call")) and not self._has_call(session, call):
            return "wait"
        return None

    def _left_unnamed(self, session: Session, call: Item) -> bool:
        """Whether the span of a call left, in a look before this one, by a report or a count that did not name it: what
        leaves in the same look was matched with all calls, and is another one."""
        if is_unnamed(call.id):
            return False
        emitted = emitted_reports(self.forest.emitted_of(session.id))
        near = emitted.near(str(call.get("tool")), call.start, call.end)
        return any((session.id, other.id) not in self._emitted_now for other in near)

    def _has_call(self, session: Session, call: str) -> bool:
        """A permission's span follows that of its call, since not every call that is told of gets one."""
        return self.forest.is_emitted(session.id, ItemKind.CALL, call)

    def _end_of(self, placement: Placement, item: Item) -> int:
        """Where an unfinished item is cut: at the end of its segment."""
        return max(placement.segment.end if placement.segment is not None else 0, item.start)

    def _span(self, session: Session, item: Item, place: Place, end: int) -> Span:
        if item.kind is ItemKind.REQUEST:
            return request_span(self.settings, place, item, end)
        if item.kind is ItemKind.PERMISSION:
            call = item.get("call")
            if call and self._has_call(session, call):
                of_call = self.forest.emitted_of(session.id).calls[call]
                above = self.view.placement_of(session, of_call.start, of_call.segment)
                if (above.trace, session_span_id(session.id, above.number)) == (place.trace, place.parent):
                    place.parent = item_span_id("call", session.id, call)
            return permission_span(self.settings, place, item, end)
        return call_span(
            self.settings, place, item, end, self._mcp(session, item), self._child_link(session, item, place)
        )

    def _mcp(self, session: Session, item: Item) -> McpName | None:
        tool = str(item.get("tool"))
        if tool in (task_links.TASK, "skill"):
            return None
        return resolve(
            tool,
            stated_server=item.get("mcp_server"),
            stated_tool=item.get("mcp_tool"),
            servers=(*self.settings.mcp_servers, *self.forest.servers.get(session.producer, ())),
            builtin=self.settings.builtin_tools,
            mcp=item.get("mcp"),
            infer=self.settings.infer,
        )

    def _child_link(self, session: Session, item: Item, place: Place) -> list[Link]:
        """From a task call to the span of the session that it started."""
        child_id = item.get("child")
        if not child_id and item.get("tool") in task_links.MAYBE_TASKS and self.settings.infer:
            child_id = self._inferred_child(session, item)
            if child_id:
                learn(item.facts, "child", INFERRED, child_id)
        if child_id and item.facts["child"][0] >= INFERRED and Inferred.PARENT not in item.inferred:
            place.inferred.append("parent")
        child = self.forest.get(child_id) if child_id else None
        if not child_id or child is None or child.parent != session.id:
            return []
        segment = self.nearest_segment(child, item.start)
        if segment is None:
            return []
        placement = self.view.placement_in(child, segment, segment.start)
        attributes = ((sc.LINK_TYPE, sc.LINK_CHILD), (sc.LINKED_SESSION, child_id))
        return [Link(placement.trace, session_span_id(child_id, placement.number), attributes)]

    def nearest_segment(self, session: Session, time: int) -> Segment | Closed | None:
        """The segment of a session whose beginning is nearest to a moment (ns)."""
        segments: list[Segment | Closed] = [*session.closed, *self.view.segments(session)]
        return min(segments, key=lambda s: (abs(s.start - time), s.number), default=None)

    def _inferred_child(self, session: Session, item: Item) -> str | None:
        if is_placed(item):
            return None  # its times would have to be its child's (core/linking/metrics_only_sessions.py)
        for child, calls in self.infer_makers(session).items():
            if [c.key for c in calls] == [item.id]:
                return child.session
        return None

    def infer_makers(self, session: Session) -> dict[task_links.Child, list[task_links.TaskCall]]:
        """Which calls of a session may have started those of its children that no call names, turn by turn: one where
        the times decide it. Found once for each look, since who has closed is no rival any more."""
        if session.id not in self._makers:
            self._makers[session.id] = self._infer_makers(session)
        return self._makers[session.id]

    def _infer_makers(self, session: Session) -> dict[task_links.Child, list[task_links.TaskCall]]:
        calls = task_calls(self.forest, session)
        named = {c.child for c in calls if c.child and not c.guessed}
        lost: list[task_links.Child] = []
        for child in self.forest.children(session.id):
            if child.id not in named and child.id != self.view.root.id:
                lost.extend(turns(self.forest, child))
        if any(child.metered for child in lost):
            calls += placed_tasks(self.forest, session)  # which are no answer here, but may be the right one
        return task_links.infer_makers(lost, calls) if lost else {}

    def _count(self, top: Session, span: Span) -> None:
        """Roll over: what begins after the span that filled the trace goes on in the next one."""
        top.spans += 1
        top.reach = max(top.reach, span.end)
        self.forest.dirty.add(top.id)
        if self.settings.trace_mode == "turn":
            self._count_in_turn(top, span)
        elif top.spans >= self.settings.max_spans_per_trace > 0:
            top.cuts = sorted({*top.cuts, rollover.by_number(top)})
            top.spans = 0
            self.view = TreeView(self.forest, self.view.root, self.settings)

    def _count_in_turn(self, top: Session, span: Span) -> None:
        """The same where each turn is a trace: a turn that is full goes on in the next trace before the next turn."""
        number = next((n for n, pin in top.pins.items() if pin.trace == span.trace_id), None)
        segment = next((s for s in self.view.segments(top) if s.number == number), None)
        if number is None or segment is None:
            return
        top.pins[number].spans += 1
        cut = rollover.by_number(top)
        if top.pins[number].spans == self.settings.max_spans_per_trace and cut <= segment.until:
            top.cuts = sorted({*top.cuts, cut})
            self.view = TreeView(self.forest, self.view.root, self.settings)


def _order(session: Session, item: Item) -> tuple[int, int, str, str, str]:
    if item.kind is ItemKind.PERMISSION and (call := session.calls.get(str(item.get("call")))) is not None:
        return (*_order(session, call)[:3], "call+", item.id)
    return item.end or 1 << 63, item.start, session.id, item.kind, item.id


def _record(item: Item, end: int, segment: int) -> EmittedRecord:
    if item.kind is ItemKind.REQUEST:
        usage = tuple(float(v) if (v := item.get(f)) is not None else NOT_TOLD for f in USAGE_FACTS)
        error = str(item.get("error_type") or "")
        return EmittedRecord(item.start, end, error, "", bool(error), usage, segment=segment)
    child = str(item.get("child") or "") if item.kind is ItemKind.CALL else ""
    guessed = bool(child) and item.facts["child"][0] >= INFERRED
    tool, failed = item.tool, item.failed
    task = tuple(str(item.get(f) or "") for f in task_links.TOLD) if tool in task_links.MAYBE_TASKS else ()
    placed = is_placed(item)
    return EmittedRecord(
        item.start, end, tool, child, failed, guessed=guessed, task=task, placed=placed, segment=segment
    )
