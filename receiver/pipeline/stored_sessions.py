"""How the store keeps sessions and what was emitted of them, and how it reads what earlier versions wrote.

Version 1 kept metric points that count the calls of an interval in the field `counted` of a session. Now they are
intervals of a series, as all other points (core/counting/series.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from receiver.core.counting.series import add, interval_id, key_of
from receiver.core.state import stored
from receiver.core.state.emitted import EmittedItems
from receiver.core.state.session import Session
from receiver.core.state.settings import SECOND
from receiver.events import PointEvent


class _CountedPoint(msgspec.Struct, gc=False):
    """A metric point that counts calls, as version 1 kept it. `durations` (ns) are those that the point states exactly,
    `rest` the mean of the others."""

    source: str
    tool: str
    count: int
    time: int
    start: int
    durations: tuple[int, ...] = ()
    rest: int | None = None
    agent: str | None = None
    skill: str | None = None
    resource: str = ""
    series: str = ""
    status: str | None = None


class _CountedPoints(msgspec.Struct, gc=False):
    counted: dict[str, _CountedPoint] = {}


_COUNTED_FIELD = msgspec.msgpack.encode("counted")
_decode_counted = msgspec.msgpack.Decoder(_CountedPoints).decode


def decode_session(state: bytes) -> Session:
    """A session as the store keeps it. Raises msgspec.DecodeError."""
    session = stored.decode_session(state)
    if _COUNTED_FIELD in state:
        for point in _decode_counted(state).counted.values():
            event = _as_event(session.id, point)
            add(session.series, key_of(event, point.resource), event, point.resource)
    return session


def _as_event(session: str, point: _CountedPoint) -> PointEvent:
    total, low, high = _sum_and_extremes(point)
    return PointEvent(
        session=session,
        what="calls",
        form="delta",
        source=point.source,
        series=point.series,
        start=point.start,
        time=point.time,
        amount=float(point.count),
        total=total,
        low=low,
        high=high,
        tool=point.tool,
        status="error" if point.status == "error" else "completed" if point.status else None,
        agent=point.agent,
        skill=point.skill,
    )


def _sum_and_extremes(point: _CountedPoint) -> tuple[int, int, int]:
    """The numbers of a histogram that give the same durations again (core/counting/call_counts.known_durations)."""
    rest, others = point.rest or 0, point.count - len(point.durations)
    if not point.durations:
        return (-1 if point.rest is None else rest * others), -1, -1
    return sum(point.durations) + rest * others, min(point.durations), max(point.durations)


def decode_emitted(rows: Iterable[tuple[str, bytes]]) -> EmittedItems:
    """What was emitted of a session. Raises msgspec.DecodeError."""
    return EmittedItems.of((_key(key), stored.decode_record(record)) for key, record in rows)


# how version 1 named the points of opencode-telemetry-plugin
_NAMED_BY_INSTRUMENT = re.compile(r"counted:opencode\.[a-z._]+:(\d+)-(\d+):([0-9a-f]{16})")


def _key(key: str) -> str:
    match = _NAMED_BY_INSTRUMENT.fullmatch(key)
    if match is None:
        return key
    start, time = int(match[1]), int(match[2])
    possible = 0 < start <= time + SECOND  # as dialects/shared/metric_points.py reads it
    return f"counted:{interval_id(match[3], min(start, time) if possible else time, time)}"
