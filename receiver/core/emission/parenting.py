"""The parent of a session's span: the task call that started it, the parent session, another program's span, or none;
and what it links to instead. Which call started it is decided in core/linking/task_links.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from receiver import semconv as sc
from receiver.core.emission.changes import AwaitedCall, PinnedPlacement
from receiver.core.emission.item_spans import ItemPlanner
from receiver.core.linking import task_links
from receiver.core.linking.candidates import task_calls
from receiver.core.segmentation.segment import Segment
from receiver.core.segmentation.tree_segments import Placement
from receiver.core.state.ids import item_span_id, session_span_id
from receiver.core.state.items import Inferred
from receiver.core.state.session import Session
from receiver.events import INFERRED
from receiver.model import Link
from receiver.outcome import AMBIGUOUS, DECIDED, TO_CALL


@dataclass(frozen=True, slots=True)
class Parent:
    """The parent of a session's span (b'': none), its links, what had to be reconstructed to know it, and what
    follows for the call that it names. `edge` counts an inferred edge (outcome.py)."""

    span: bytes = b""
    links: tuple[Link, ...] = ()
    inferred: tuple[str, ...] = ()
    awaited: AwaitedCall | None = None
    pinned: PinnedPlacement | None = None
    edge: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Maker:
    """Which task call started a session, which ones fit equally if none is known, and what was inferred for it."""

    call: task_links.TaskCall | None
    candidates: tuple[task_links.TaskCall, ...]
    inferred: tuple[str, ...]
    edge: tuple[str, str] | None


class Parenting:
    """Finds the parents of session spans of one tree."""

    def __init__(self, planner: ItemPlanner) -> None:
        self._planner = planner
        self._settings = planner.settings
        self._forest = planner.forest

    def parent(self, session: Session, segment: Segment, placement: Placement) -> Parent:
        """The parent of the span of a session's segment."""
        view = self._planner.view
        if session is view.root:
            return self._top(segment)
        parent = self._forest.get(session.parent) if session.parent else None
        if parent is None:
            return Parent()
        if session is view.top(session):
            return self._beside(session, segment, parent)
        above = view.placement_above(session, placement.trace, segment.start)
        if above is None:
            return Parent()
        session_span = session_span_id(above.session.id, above.number)
        maker = self._maker(session, segment, parent)
        if maker.call is None:
            links = tuple(self._link_to(parent, c, sc.LINK_CANDIDATE) for c in maker.candidates)
            return Parent(session_span, links, maker.inferred, edge=maker.edge)
        of_call = view.placement_of_call(parent, maker.call.key, maker.call.start)
        if (of_call.trace, of_call.number) != (above.trace, above.number):
            links = (self._link_to(parent, maker.call, sc.LINK_TASK),)
            return Parent(session_span, links, maker.inferred, edge=maker.edge)
        call_span = item_span_id("call", parent.id, maker.call.key)
        awaited = self._awaited(parent, maker.call, of_call, session)
        return Parent(call_span, (), maker.inferred, awaited, edge=maker.edge)

    def _maker(self, session: Session, segment: Segment, parent: Session) -> _Maker:
        """The task call that started a session, stated or inferred."""
        inferred = [Inferred.PARENT] if session.facts["parent"][0] >= INFERRED else []
        calls = [c for c in task_calls(self._forest, parent) if self._planner.gets_span(parent, c.key)]
        call = task_links.naming_call(task_links.ChildTurn(session.id, segment.start, segment.end), calls)
        guessed = call is not None and call.guessed
        candidates: list[str] = []
        if call is None and self._settings.infer:
            candidates = self._candidates(parent, session, segment)
            if len(candidates) == 1:
                call = next((c for c in calls if c.key == candidates[0]), None)
                candidates = []
            guessed = call is not None
        if guessed:
            inferred.append(Inferred.PARENT)
        edge = (TO_CALL, DECIDED) if guessed else (TO_CALL, AMBIGUOUS) if candidates else None
        return _Maker(call, tuple(c for c in calls if c.key in candidates), tuple(inferred), edge)

    @staticmethod
    def _awaited(
        parent: Session, call: task_links.TaskCall, placement: Placement, child: Session
    ) -> AwaitedCall | None:
        pending = parent.calls.get(call.key)
        return None if pending is None else AwaitedCall(parent, pending, placement, child.id)

    def _beside(self, session: Session, segment: Segment, parent: Session) -> Parent:
        """A child session in a trace of its own: linked to the task call that started it, or else to its parent."""
        view = self._planner.view
        maker = self._maker(session, segment, parent)
        if maker.call is not None:
            placement = view.placement_of_call(parent, maker.call.key, maker.call.start)
            awaited = self._awaited(parent, maker.call, placement, session)
            pinned = PinnedPlacement(placement, max(placement.start, maker.call.start))
            link = self._link_to(parent, maker.call, sc.LINK_TASK)
            return Parent(b"", (link,), maker.inferred, awaited, pinned, maker.edge)
        placement = view.placement(parent, segment.start)
        attributes = ((sc.LINK_TYPE, sc.LINK_PARENT), (sc.LINKED_SESSION, parent.id))
        link = Link(placement.trace, session_span_id(parent.id, placement.number), attributes)
        pinned = PinnedPlacement(placement, max(placement.start, segment.start))
        candidates = (self._link_to(parent, c, sc.LINK_CANDIDATE) for c in maker.candidates)
        return Parent(b"", (link, *candidates), maker.inferred, None, pinned, maker.edge)

    def _candidates(self, parent: Session, session: Session, segment: Segment) -> list[str]:
        """The calls that may have started a session's segment, by the times of its first turn."""
        for turn, calls in self._planner.infer_calls(parent).items():
            if turn.session == session.id and turn.end >= segment.start:
                return [c.key for c in calls] if turn.start <= segment.own_end else []
        return []

    def _top(self, segment: Segment) -> Parent:
        """Below another program's span where one was stated in time, linked to it otherwise, or below nothing."""
        view = self._planner.view
        parent, stated = view.remote_parent(segment), view.remote(segment)
        links = () if stated in (None, parent) else (Link(*stated, ((sc.LINK_TYPE, sc.LINK_REMOTE),), remote=True),)
        return Parent(parent.span if parent is not None else b"", links)

    def _link_to(self, session: Session, call: task_links.TaskCall, kind: str) -> Link:
        trace = self._planner.view.placement_of_call(session, call.key, call.start).trace
        return Link(trace, item_span_id("call", session.id, call.key), ((sc.LINK_TYPE, kind),))
