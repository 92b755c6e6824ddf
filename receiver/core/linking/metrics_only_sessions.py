"""Metrics-only sessions: sessions that nothing but metrics reports (docs/contract.md 6.2). They were alive when
something was counted. That gives them a beginning and an end; both are marked as inferred, since no record states them.

Metrics never say whose child such a session is. It is taken for a child only if its producer says that it is one, and
placed below a task call only if the two fit in time, among all sessions of the producer (core/linking/task_links.py).
Everything else stays a root: rather a tree in two parts than a wrong one.
"""

from __future__ import annotations

from receiver.core.counting.series import times_alive
from receiver.core.linking.report_matching import lacks_times
from receiver.core.linking.task_links import MAX_RIVAL_COST
from receiver.core.state.ids import creation_time
from receiver.core.state.items import Item, Registers
from receiver.core.state.session import Session
from receiver.events import COUNTED, INFERRED


def is_metrics_only(session: Session) -> bool:
    """Whether nothing but metrics reports a session. Points are no activity (core/apply_events.py)."""
    return bool(session.get("metered")) or not (session.activities or session.closed or session.reports)


def is_metrics_only_child(session: Session) -> bool:
    """Whether nothing but metrics reports a session, and they say that it is a child."""
    return bool(session.series and session.get("subagent") and is_metrics_only(session))


def lifetime(session: Session) -> tuple[int, ...]:
    """When (ns) a metrics-only session was alive; () for any other one."""
    return tuple(times_alive(session)) if is_metrics_only(session) else ()


def begin_and_end(session: Session) -> tuple[int, int] | None:
    """When (ns) a metrics-only session began, and when it was last alive; None if no time is known."""
    times = times_alive(session)
    if not times:
        return None
    created = creation_time(session.id, times[0])
    start = created if created is not None and 0 <= times[0] - created <= MAX_RIVAL_COST else times[0]
    return start, times[-1]


def facts_of_started_child(call: Item, child: Session) -> Registers:
    """What is known of a call that only a metric counted, once it has started a child. A call whose times are unknown
    begins with its child."""
    facts: Registers = {"child": (INFERRED, child.id)}
    times = begin_and_end(child)
    if lacks_times(call) and times is not None:
        duration = call.end - call.start
        facts |= {"start": (COUNTED, times[0]), "end": (COUNTED, times[0] + duration)}
    return facts
