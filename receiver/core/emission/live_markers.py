"""Live markers: a span without duration when a session or a task call begins, so that a running session shows in the
backend (setting `live_markers`). The session's own span, which is emitted much later, is the one above it.

A marker is emitted `settle` after the first record of its beginning, or with the span that it announces if that one is
sooner: so each is emitted once, and `build`, where nothing is early, has the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from receiver.core.emission.changes import Change, MarkerDue
from receiver.core.emission.item_spans import ItemPlanner
from receiver.core.linking.task_links import TASK
from receiver.core.state.items import Item
from receiver.core.state.session import Session


def plan(planner: ItemPlanner, members: Iterable[Session], is_due: Callable[[int, int], bool]) -> Iterator[Change]:
    """The markers that are due. `is_due` takes an arrival and a wait (ns)."""
    for session in members:
        if session.news > 0 and session.activities and is_due(session.news, session.wait):
            yield from _session(planner, session)
        for call in _running_tasks(session):
            if is_due(call.news, call.wait) and planner.gets_span(session, call.id):
                yield MarkerDue(session, call)
                yield from planner.task_started(session, call)


def waits(session: Session) -> Iterator[int]:
    """When the markers of a session are due, without `settle` (ns of the receiver's clock)."""
    if session.news > 0 and session.activities:
        yield session.news + session.wait
    yield from (call.news + call.wait for call in _running_tasks(session))


def _running_tasks(session: Session) -> list[Item]:
    return [c for c in session.calls.values() if c.news > 0 and not c.end and c.tool == TASK]


def _session(planner: ItemPlanner, session: Session) -> Iterator[Change]:
    """Of several open segments only the first is certain: the others' follow when it has closed."""
    segments = planner.view.segments(session)
    yield MarkerDue(session, None, bool(segments))
    for segment in segments[:1]:
        yield from planner.session_started(session, segment)
