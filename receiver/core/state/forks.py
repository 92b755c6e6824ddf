"""Forks: a session that is a copy of another one repeats that one's history (docs/producers.md). What is history ended
before the fork was created.

This is decided when a span would be emitted: only then it is certain that the creation's record has arrived.
"""

from __future__ import annotations

from receiver.core.state.ids import creation_time
from receiver.core.state.items import Item
from receiver.core.state.session import Session

MAX_COPIED_CALLS = 32  # remembered to find the session that they were copied from


def is_history(session: Session, time: int) -> bool:
    """Whether something that ended at a moment (ns) ended before its session was created."""
    if not time:
        return False
    created = session.get("created") or creation_time(session.id, time)
    return bool(created and time < created)


def holds_copies(session: Session) -> bool:
    """Whether a session repeats what another one did: its metrics count that too, and do not say which part."""
    if session.get("copies"):
        return True
    items = (*session.calls.values(), *session.requests.values())
    return any(is_history(session, i.end or i.start) for i in items)


def remember(session: Session, call: Item) -> None:
    """Keep a copied call's id. Of too many the least are kept, so that the order of arrival does not matter."""
    session.history[call.id] = call.end or call.start
    if len(session.history) > MAX_COPIED_CALLS:
        del session.history[max(session.history)]


def is_older(child: str, session: str, time: int) -> bool:
    """Whether a session is older than another one that claims, by a copied call, to have started it."""
    born, claimed = creation_time(child, time), creation_time(session, time)
    return born is not None and claimed is not None and born < claimed
