"""Plans the spans of pending items: what each item becomes, in which place. The look decides which items are due."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from receiver import semconv as sc
from receiver.core.emission.changes import AnswerDue, Change, ItemDiscarded, ItemEmitted, MarkerEmitted
from receiver.core.emission.mcp_names import McpName, resolve
from receiver.core.emission.rendering import Place, call_span, marker_span, permission_span, request_span
from receiver.core.emission.tree import EmittedTree
from receiver.core.linking import task_links
from receiver.core.linking.candidates import agent_at, placed_tasks, task_calls, turns
from receiver.core.linking.report_matching import emitted_reports, has_no_stated_id, lacks_times
from receiver.core.segmentation.segment import Segment
from receiver.core.segmentation.tree_segments import Placement, TreeView
from receiver.core.state.forks import is_history
from receiver.core.state.ids import item_span_id, session_span_id
from receiver.core.state.items import EmittedRecord, Inferred, Item, ItemKind
from receiver.core.state.session import Closed, Session
from receiver.events import AGENT_STARTERS, INFERRED
from receiver.model import Link, Span

USAGE_FACTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_creation_tokens",
    "reasoning_tokens",
    "cost",
)
UNKNOWN_USAGE = -1.0  # in a record: no number was stated


def resource_of(session: Session, item: Item | None = None) -> bytes:
    """The serialized Resource of an item's most reliable record, or of the session."""
    key = item.get("resource") if item is not None else None
    if key in session.resources:
        return session.resources[key]
    return max(session.resources.values(), key=lambda raw: (len(raw), raw), default=b"")


class ItemPlanner:
    """Plans the spans of one tree's items."""

    def __init__(self, tree: EmittedTree) -> None:
        self.tree = tree
        self.settings = tree.settings
        self.forest = tree.forest
        self._makers: dict[str, dict[task_links.ChildTurn, list[task_links.TaskCall]]] = {}

    @property
    def view(self) -> TreeView:
        """The segments of the tree, as they are now."""
        return self.tree.view

    def plan(self, due: Iterable[tuple[Session, Item]], closing: Collection[str]) -> Iterator[Change]:
        """The items that are due, in the order of their ends, so that a roll-over falls where it does offline too.
        `closing` are the sessions that close in this look: nothing of theirs waits any longer."""
        _ = self.view  # the segments are those of everything that is pending now
        due = sorted(due, key=lambda d: _order(*d))
        for session, item in due:
            if item.kind is ItemKind.REQUEST and session.attempts and self.settings.infer:
                yield AnswerDue(session, item)
        for session, item in sorted(due, key=lambda d: _order(*d)):
            problem = self._problem(session, item)
            if problem is not None:
                yield ItemDiscarded(session, item, problem)
            elif item.kind is not ItemKind.PERMISSION or session.id in closing or not self._waits(session, item):
                yield from self._emit(session, item)

    def _emit(self, session: Session, item: Item) -> Iterator[Change]:
        placement = self.view.placement_of(session, item.start, item.segment)
        place = self.place_in(placement, item.start)
        place.resource = resource_of(session, item)
        end = item.end or self._end_of(placement, session, item)
        if not item.end:
            place.inferred.append(Inferred.END)
        elif not (item.get("start") or item.get("asked")):
            place.inferred.append(Inferred.START)
        child, guessed = "", False
        if item.kind is ItemKind.CALL:
            if self.settings.live_markers:
                yield from self.task_started(session, item)
            child, guessed = self._child_of(session, item)
        span = self._span(session, item, place, end, child, guessed)
        yield ItemEmitted(session, item, span, placement, _record(item, span.end, placement.number, child, guessed))

    def place(self, session: Session, time: int) -> Place:
        """Where an item of a session belongs, by when it began (ns)."""
        return self.place_in(self.view.placement(session, time), time)

    def place_in(self, placement: Placement, time: int) -> Place:
        """Where a span belongs whose segment is known, by when it began (ns)."""
        return Place(
            trace=placement.trace,
            parent=session_span_id(placement.session.id, placement.number),
            session=placement.session.id,
            root=self.view.root.shared_id,
            agent=agent_at(placement.session, time),
            resource=b"",
            late=placement.late,
            shared=placement.session.shared_id,
            agent_id=placement.session.agent_id,
        )

    # markers

    def session_started(self, session: Session, segment: Segment) -> Iterator[Change]:
        """A session's segment began: its marker, if it is asked for and was not emitted."""
        if segment.named_only or not self.settings.live_markers:
            return
        placement = self.view.placement_in(session, segment, segment.start)
        place = self.place_in(placement, segment.start)
        guessed = segment.start if segment.start_guessed else None
        if guessed is not None:
            place.inferred = [Inferred.START]
        id_ = f"session:{placement.number}"
        yield from self._mark(placement, place, id_, sc.SESSION_STARTED, placement.start, guessed=guessed)

    def task_started(self, session: Session, call: Item) -> Iterator[Change]:
        """A task call began: the same."""
        if call.tool != task_links.TASK or not call.earliest or has_no_stated_id(call.id):
            return
        placement = self.view.placement(session, call.earliest)
        place = self.place_in(placement, call.earliest)
        time = call.earliest if place.late else max(placement.start, call.earliest)
        yield from self._mark(placement, place, f"task:{call.id}", sc.TASK_STARTED, time, call=call.id)

    def _mark(
        self,
        placement: Placement,
        place: Place,
        id_: str,
        title: str,
        time: int,
        call: str | None = None,
        guessed: int | None = None,
    ) -> Iterator[Change]:
        session = placement.session
        if not self.forest.is_emitted(session.id, ItemKind.MARKER, id_):
            place.resource = resource_of(session)
            span = marker_span(self.settings, place, id_, title, time, call)
            yield MarkerEmitted(session, id_, span, placement, guessed)

    # whether an item gets a span

    def gets_span(self, session: Session, call: str) -> bool:
        """Whether a call has a span, or will have one by all that is known."""
        pending = session.calls.get(call)
        return self._has_call(session, call) if pending is None else self._problem(session, pending) is None

    def _problem(self, session: Session, item: Item) -> str | None:
        """Why an item gets no span; None if it gets one."""
        if item.awaited:
            return None
        is_call = item.kind is ItemKind.CALL
        if is_history(session, item.end or item.start):
            return "history"
        if not item.start or (is_call and not item.tool):
            return "not_told"
        if is_call and self._is_emitted_unnamed(session, item):
            return "already_left"
        if self.settings.infer:
            return None
        if not item.end:
            return "not_ended"
        return None if item.get("start") or item.get("asked") else "not_told"

    def _is_emitted_unnamed(self, session: Session, call: Item) -> bool:
        """Whether the span of a call was emitted, by a look before this one, for a report or a count that did not name
        it: what this look emits was matched with all calls, and is another one."""
        if has_no_stated_id(call.id):
            return False
        emitted = self.forest.emitted_of(session.id)
        if not emitted.has_unnamed:
            return False
        near = emitted_reports(emitted).near(call.tool, call.start, call.end)
        return any((session.id, other.id) not in self.tree.emitted_now for other in near)

    def _waits(self, session: Session, permission: Item) -> bool:
        """Whether a permission's call is still to be emitted."""
        call = permission.get("call")
        return bool(call) and not self._has_call(session, str(call))

    def _has_call(self, session: Session, call: str) -> bool:
        """A permission's span follows that of its call, since not every known call gets one."""
        return self.forest.is_emitted(session.id, ItemKind.CALL, call)

    def _end_of(self, placement: Placement, session: Session, item: Item) -> int:
        """Where an unfinished item is cut: at the end of its segment, or where an agent that runs one turn at a time
        got its next prompt."""
        end = max(placement.segment.end if placement.segment is not None else 0, item.start)
        if not item.get("ends_with_turn"):
            return end
        prompts = (n.time for n in session.notes.values() if n.name == "user_prompt" and n.time > item.start)
        return min([end, *prompts])

    # rendering

    def _span(self, session: Session, item: Item, place: Place, end: int, child: str, guessed: bool) -> Span:
        if item.kind is ItemKind.REQUEST:
            return request_span(self.settings, place, item, end)
        if item.kind is ItemKind.PERMISSION:
            call = item.get("call")
            if call and self._has_call(session, call):
                emitted = self.forest.emitted_of(session.id).calls[call]
                above = self.view.placement_of(session, emitted.start, emitted.segment)
                if (above.trace, session_span_id(session.id, above.number)) == (place.trace, place.parent):
                    place.parent = item_span_id("call", session.id, call)
            return permission_span(self.settings, place, item, end)
        if guessed and Inferred.PARENT not in item.inferred:
            place.inferred.append(Inferred.PARENT)
        links = [
            link for one in self._started_by(session, item, child) for link in self._child_link(session, item, one)
        ]
        started = self.forest.get(child) if child else None
        if started is None or not started.agent_id:
            return call_span(self.settings, place, item, end, self._mcp(session, item), links, child)
        # whether it worked in the background is known once it is done, and a guess waits for that
        background = bool(guessed and started.get("background"))
        mcp = self._mcp(session, item)
        return call_span(self.settings, place, item, end, mcp, links, "", started.agent_id, background)

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

    def _child_of(self, session: Session, call: Item) -> tuple[str, bool]:
        """The session that a call started, '' if that is not known, and whether this was inferred."""
        if child := call.get("child"):
            return str(child), call.facts["child"][0] >= INFERRED
        may_be_task = call.tool in (*task_links.POSSIBLE_TASKS, *AGENT_STARTERS) and self.settings.infer
        found = self._inferred_child(session, call) if may_be_task else None
        return (found, True) if found else ("", False)

    def _started_by(self, session: Session, call: Item, child: str) -> list[str]:
        """The session that a call started, and further ones that their own spans say are below it: a workflow starts
        several agents."""
        others = (c for c in self.forest.children(session.id) if c.agent_id and c.get("caller") == call.id)
        return list(dict.fromkeys([child, *(c.id for c in others)])) if child else []

    def _child_link(self, session: Session, call: Item, child_id: str) -> list[Link]:
        """From a task call to the span of the session that it started."""
        child = self.forest.get(child_id) if child_id else None
        if child is None or child.parent != session.id:
            return []
        segment = self.nearest_segment(child, call.start)
        if segment is None:
            return []
        placement = self.view.placement_in(child, segment, segment.start)
        attributes: tuple[tuple[str, str], ...] = ((sc.LINK_TYPE, sc.LINK_CHILD), (sc.LINKED_SESSION, child.shared_id))
        if child.agent_id:
            attributes = (*attributes, (sc.AGENT_ID, child.agent_id))
        return [Link(placement.trace, session_span_id(child_id, placement.number), attributes)]

    def nearest_segment(self, session: Session, time: int) -> Segment | Closed | None:
        """The segment of a session whose beginning is nearest to a moment (ns)."""
        segments: list[Segment | Closed] = [*session.closed, *self.view.segments(session)]
        return min(segments, key=lambda s: (abs(s.start - time), s.number), default=None)

    def _inferred_child(self, session: Session, item: Item) -> str | None:
        if lacks_times(item):
            return None  # its times would have to be its child's (core/linking/metrics_only_sessions.py)
        for child, calls in self.infer_calls(session).items():
            if [c.key for c in calls] == [item.id]:
                return child.session
        return None

    def infer_calls(self, session: Session) -> dict[task_links.ChildTurn, list[task_links.TaskCall]]:
        """Which calls of a session may have started those of its children that no call names, turn by turn: one where
        the times decide it. Found once for each look, since a child that has closed is no rival any more."""
        if session.id not in self._makers:
            self._makers[session.id] = self._infer_makers(session)
        return self._makers[session.id]

    def _infer_makers(self, session: Session) -> dict[task_links.ChildTurn, list[task_links.TaskCall]]:
        calls = task_calls(self.forest, session)
        named = {c.child for c in calls if c.child and not c.guessed}
        unnamed: list[task_links.ChildTurn] = []
        for child in self.forest.children(session.id):
            if child.id not in named and child.id != self.view.root.id:
                unnamed.extend(turns(self.forest, child))
        if any(child.metrics_only for child in unnamed):
            calls += placed_tasks(self.forest, session)  # which are no answer here, but may be the right one
        return task_links.infer_calls(unnamed, calls) if unnamed else {}


def _order(session: Session, item: Item) -> tuple[int, int, str, str, str]:
    if item.kind is ItemKind.PERMISSION and (call := session.calls.get(str(item.get("call")))) is not None:
        return (*_order(session, call)[:3], "call+", item.id)
    return item.end or 1 << 63, item.start, session.id, item.kind, item.id


def _record(item: Item, end: int, segment: int, child: str, guessed: bool) -> EmittedRecord:
    if item.kind is ItemKind.REQUEST:
        usage = tuple(float(v) if (v := item.get(f)) is not None else UNKNOWN_USAGE for f in USAGE_FACTS)
        error = str(item.get("error_type") or "")
        return EmittedRecord(item.start, end, error, "", bool(error), usage, segment=segment)
    is_task = item.tool in task_links.POSSIBLE_TASKS
    return EmittedRecord(
        item.start,
        end,
        item.tool,
        child,
        item.failed,
        guessed=guessed,
        task=tuple(str(item.get(f) or "") for f in task_links.KEPT_FACTS) if is_task else (),
        placed=lacks_times(item),
        segment=segment,
    )
