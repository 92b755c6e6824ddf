"""History: what a fork tells again of the session that it was copied from (FACTS 4). It ended before the fork began.

Decided when a span would leave, since only then it is sure that the session's creation was told, in any order.
"""

from __future__ import annotations

from receiver.core.state.ids import creation_time
from receiver.core.state.items import Item
from receiver.core.state.session import Session

KEPT = 32  # copied calls remembered to find the session that they were copied from


def is_history(session: Session, time: int) -> bool:
    """Whether something that ended at a moment (ns) ended before its session was created."""
    if not time:
        return False
    created = session.get("created") or creation_time(session.id, time)
    return bool(created and time < created)


def holds_copies(session: Session) -> bool:
    """Whether a session tells again what another one did: its metrics count that too, and do not say what of it."""
    if session.get("copies"):
        return True
    items = (*session.calls.values(), *session.requests.values())
    return any(is_history(session, i.end or i.start) for i in items)


def remember(session: Session, call: Item) -> None:
    """Keep a copied call's id: of many the least, so that it does not matter which were told first."""
    session.history[call.id] = call.end or call.start
    if len(session.history) > KEPT:
        del session.history[max(session.history)]


def is_older(child: str, session: str, time: int) -> bool:
    """Whether a session was created before another one that claims, in a copied call, to have started it."""
    born, claimed = creation_time(child, time), creation_time(session, time)
    return born is not None and claimed is not None and born < claimed
