"""Where a session's span hangs: below the task call that started it, below its parent, below another program's span, or
at the top of a trace; and what it links to instead. Whether a call is the one is decided in core/linking/task_links.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from receiver import semconv as sc
from receiver.core.emission.item_spans import ItemSpans
from receiver.core.linking import task_links
from receiver.core.linking.candidates import task_calls
from receiver.core.segmentation.segment import Segment
from receiver.core.segmentation.tree_segments import Placement
from receiver.core.state.ids import item_span_id, session_span_id
from receiver.core.state.items import learn
from receiver.core.state.session import Session
from receiver.events import INFERRED
from receiver.model import Link
from receiver.outcome import AMBIGUOUS, DECIDED, TO_CALL


@dataclass(slots=True)
class ParentResult:
    """What a session's span hangs below, and what had to be reconstructed to know it."""

    parent: bytes
    inferred: list[str]
    links: list[Link]


@dataclass(slots=True)
class _Made:
    """Which task call started a session, which ones fit equally if none is known, and what was inferred for it."""

    call: task_links.TaskCall | None
    candidates: list[task_links.TaskCall]
    inferred: list[str]


class Parenting:
    """Finds the place of sessions of one tree whose spans are about to leave."""

    def __init__(self, leaving: ItemSpans) -> None:
        self._leaving = leaving
        self._settings = leaving.settings
        self._forest = leaving.forest
        self._view = leaving.view

    def hang(self, session: Session, segment: Segment, placement: Placement) -> ParentResult:
        """What the span of a session's segment hangs below."""
        parent = self._forest.get(session.parent) if session.parent else None
        above = self._view.placement_above(session, placement.trace, segment.start)
        if session is self._view.root:
            return self._top(segment)
        if parent is not None and session is self._view.top(session):
            return self._beside(session, segment, parent)
        if parent is None or above is None:
            return ParentResult(b"", [], [])
        below_session = session_span_id(above.session.id, above.number)
        made = self._made_by(session, segment, parent)
        if made.call is None:
            loose = [self._link_to(parent, c, sc.LINK_CANDIDATE) for c in made.candidates]
            return ParentResult(below_session, made.inferred, loose)
        of_call = self._view.placement_of_call(parent, made.call.key, made.call.start)
        if (of_call.trace, of_call.number) != (above.trace, above.number):
            return ParentResult(below_session, made.inferred, [self._link_to(parent, made.call, sc.LINK_TASK)])
        self._await(parent, made.call, of_call, session)
        return ParentResult(item_span_id("call", parent.id, made.call.key), made.inferred, [])

    def _made_by(self, session: Session, segment: Segment, parent: Session) -> _Made:
        """The task call that started a session, stated or inferred."""
        inferred = ["parent"] if session.facts["parent"][0] >= INFERRED else []
        calls = [c for c in task_calls(self._forest, parent) if self._leaving.gets_span(parent, c.key)]
        child = task_links.Child(session.id, segment.start, segment.end)
        call = task_links.maker(child, calls)
        guessed = call is not None and call.guessed
        candidates: list[str] = []
        if call is None and self._settings.infer:
            candidates = self._candidates(parent, session, segment)
            if len(candidates) == 1:
                call = next((c for c in calls if c.key == candidates[0]), None)
                candidates = []
            guessed = call is not None
        if guessed:
            inferred.append("parent")
            self._leaving.outcome.edges[TO_CALL, DECIDED] += 1
        if candidates:
            self._leaving.outcome.edges[TO_CALL, AMBIGUOUS] += 1
        return _Made(call, [c for c in calls if c.key in candidates], inferred)

    def _await(self, parent: Session, call: task_links.TaskCall, placement: Placement, child: Session) -> None:
        """A child's span leaves that names the span of a task call: that one must leave too, in this place, and name
        the child, however long after it."""
        if (held := parent.calls.get(call.key)) is not None:
            held.awaited = True
            learn(held.facts, "child", INFERRED, child.id)
            held.segment = placement.number
            self._forest.dirty.add(parent.id)

    def _beside(self, session: Session, segment: Segment, parent: Session) -> ParentResult:
        """A child session in a trace of its own: linked to the task call that started it, or else to its parent."""
        made = self._made_by(session, segment, parent)
        if made.call is not None:
            placement = self._view.placement_of_call(parent, made.call.key, made.call.start)
            self._await(parent, made.call, placement, session)
            link = self._link_to(parent, made.call, sc.LINK_TASK)
            self._leaving.pin(self._view.line(placement), max(placement.start, made.call.start))
            return ParentResult(b"", made.inferred, [link])
        placement = self._view.placement(parent, segment.start)
        attributes = ((sc.LINK_TYPE, sc.LINK_PARENT), (sc.LINKED_SESSION, parent.id))
        link = Link(placement.trace, session_span_id(parent.id, placement.number), attributes)
        self._leaving.pin(self._view.line(placement), max(placement.start, segment.start))
        return ParentResult(
            b"", made.inferred, [link, *(self._link_to(parent, c, sc.LINK_CANDIDATE) for c in made.candidates)]
        )

    def _candidates(self, parent: Session, session: Session, segment: Segment) -> list[str]:
        """The calls that may have started a session's segment, by the times of its first turn."""
        for turn, calls in self._leaving.infer_makers(parent).items():
            if turn.session == session.id and turn.end >= segment.start:
                return [c.key for c in calls] if turn.start <= segment.own_end else []
        return []

    def _top(self, segment: Segment) -> ParentResult:
        """Below another program's span where one was told of in time, linked to it otherwise, or below nothing."""
        parent, told = self._view.remote_parent(segment), self._view.remote(segment)
        links = [] if told in (None, parent) else [Link(*told, ((sc.LINK_TYPE, sc.LINK_REMOTE),), remote=True)]
        return ParentResult(parent.span if parent is not None else b"", [], links)

    def _link_to(self, session: Session, call: task_links.TaskCall, kind: str) -> Link:
        trace = self._view.placement_of_call(session, call.key, call.start).trace
        return Link(trace, item_span_id("call", session.id, call.key), ((sc.LINK_TYPE, kind),))
