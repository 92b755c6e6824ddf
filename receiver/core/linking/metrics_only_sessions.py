"""Metered: sessions that only metrics tell of (contract 6.2). They were alive when something was first counted, which
gives them a beginning and an end; both are marked, since no record states them.

Whose child such a session is, metrics never say. It is taken to be a child only if its producer says that it is
somebody's, and hung below a task call only if the two belong together in time (core/linking/task_links.py), among all
sessions of the producer. Everything else stays a root: rather a tree in two parts than a wrong one.
"""

from __future__ import annotations

from receiver.core.counting.series import sightings
from receiver.core.linking.report_matching import is_placed
from receiver.core.linking.task_links import RIVAL
from receiver.core.state.ids import creation_time
from receiver.core.state.items import Inferred, Item, learn
from receiver.core.state.session import Activity, Session, merge_activity
from receiver.core.state.settings import BuilderSettings
from receiver.events import COUNTED, GUESSED, INFERRED


def is_metered(session: Session) -> bool:
    """Whether nothing but metrics told of a session: their points alone are no activity (core/apply_events.py)."""
    return bool(session.get("metered")) or not (session.activities or session.closed or session.reports)


def may_be_child(session: Session) -> bool:
    """Whether nothing but metrics told of a session, and these say that it is somebody's child."""
    return bool((session.series or session.counted) and session.get("subagent") and is_metered(session))


def settle(session: Session, settings: BuilderSettings) -> bool:
    """Let a session that only metrics tell of have been alive when they say; True if it is one."""
    times = sightings(session) if settings.infer and is_metered(session) else []
    if not times:
        return False
    learn(session.facts, "metered", COUNTED, True)
    if (created := creation_time(session.id, times[0])) is not None:
        learn(session.facts, "created", GUESSED, created)
    for time in times:
        if not any(c.start <= time <= c.end for c in session.closed):
            merge_activity(session.activities, Activity(start=time, end=time, work=True), settings.joint)
    return True


def lived(session: Session) -> tuple[int, int] | None:
    """When (ns) a session that may be a child began, and was last counted."""
    times = sightings(session)
    if not times:
        return None
    created = creation_time(session.id, times[0])
    start = created if created is not None and 0 <= times[0] - created <= RIVAL else times[0]
    return start, times[-1]


def name_child(call: Item, child: Session) -> None:
    """A call that was only counted has started a child. If it had no place in its interval, it has its child's."""
    times = lived(child)
    if is_placed(call) and times is not None:
        duration = call.end - call.start
        call.facts["start"], call.facts["end"] = (COUNTED, times[0]), (COUNTED, times[0] + duration)
    call.facts["child"] = (INFERRED, child.id)
    call.infer(Inferred.PARENT)
