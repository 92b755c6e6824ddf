"""Live markers: a span without duration when a session or a task call begins, so that who watches a backend sees that
something runs (setting `live_markers`). Its session's own span, which leaves much later, is the one above it.

A marker leaves `settle` after its beginning was first told, or with the span that it announces if that one is sooner:
so each leaves once, and `build`, where nothing is early, has the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from receiver.core.emission.item_spans import ItemSpans
from receiver.core.linking.task_links import TASK
from receiver.core.state.items import Item
from receiver.core.state.session import MARKED, Session

_IsDue = Callable[[int, int], bool]


def leave(leaving: ItemSpans, members: Iterable[Session], is_due: _IsDue) -> None:
    """Let the markers leave that are due. `is_due` takes an arrival and a wait (ns)."""
    for session in members:
        if session.news > 0 and session.activities and is_due(session.news, session.wait):
            _session(leaving, session)
        for call in _tasks(session):
            if is_due(call.news, call.wait) and leaving.gets_span(session, call.id):
                leaving.task_started(session, call)


def waits(session: Session) -> Iterator[int]:
    """When the markers of a session that wait are due, `settle` apart (ns of the receiver's clock)."""
    if session.news > 0 and session.activities:
        yield session.news + session.wait
    yield from (call.news + call.wait for call in _tasks(session))


def _tasks(session: Session) -> list[Item]:
    return [c for c in session.calls.values() if c.news > 0 and not c.end and c.get("tool") == TASK]


def _session(leaving: ItemSpans, session: Session) -> None:
    """Of several open segments only the first is certain: the others' follow when it has closed."""
    segments = leaving.view.segments(session)
    session.news = MARKED if segments else 0
    for segment in segments[:1]:
        leaving.session_started(session, segment)
