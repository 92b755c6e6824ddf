"""Metric points, read alike by every dialect: whether a point can be counted, which series it belongs to, and the
counters that the plugins and Claude Code share (tokens, cost, lines, sessions).

A point that cannot be counted is discarded with a reason: a sum that may fall, NaN, a negative number, a histogram
whose count is not that of its buckets, or whose sum is outside what its extremes allow.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any, Literal

from receiver.dialects.shared.fields import MAX_TIME, MS, as_id, as_id_unless_unknown, as_text, to_json
from receiver.events import COUNTED, AnyEvent, Discarded, PointEvent, SessionEvent
from receiver.model import TEMPORALITY_CUMULATIVE, TEMPORALITY_DELTA, MetricPoint

MAX_COUNT = 1 << 53  # beyond this a double is not exact
MAX_DURATION = 1e12  # ms
ROUNDING = 0.001  # ms, and a part of the sum: floating point
_TOKENS = {
    "input": "fresh_tokens",
    "output": "output_tokens",
    "reasoning": "reasoning_tokens",
    "cacheRead": "cache_read_tokens",
    "cacheCreation": "cache_creation_tokens",
}
_LINES = {"added": "lines_added", "removed": "lines_removed"}


def problem(point: MetricPoint) -> str | None:
    """Why a point cannot be counted, one of semconv.DISCARDS; None if it can."""
    if point.kind == "other":
        return "malformed"
    if not 0 < point.time < MAX_TIME:
        return "no_time"
    if not point.recorded:
        return "empty"
    if point.kind == "gauge":
        return None if _is_count(point.value) else "inconsistent"
    if point.temporality not in (TEMPORALITY_DELTA, TEMPORALITY_CUMULATIVE):
        return "malformed"
    if point.kind == "sum":
        if not point.monotonic:
            return "not_monotonic"
        return None if _is_count(point.value) else "inconsistent"
    return None if _adds_up(point) else "inconsistent"


def _is_count(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and 0 <= value < MAX_COUNT


def _adds_up(point: MetricPoint) -> bool:
    count, total, low, high = point.count, point.sum, point.min, point.max
    if count >= MAX_COUNT or (point.bucketed is not None and point.bucketed != count):
        return False
    if not count:
        return True
    if any(n is not None and not (math.isfinite(n) and 0 <= n < MAX_DURATION) for n in (total, low, high)):
        return False
    if low is not None and high is not None and low > high:
        return False
    if total is None:
        return True
    slack = ROUNDING * (1 + total)
    if low is not None and low * count > total + slack:
        return False
    return high is None or total <= high * count + slack


def begin(point: MetricPoint) -> int:
    """When a point's series or interval began (ns), 0 if that is not known. The clocks of start and time may differ by
    up to a second."""
    return min(point.start, point.time) if 0 < point.start <= point.time + 1_000 * MS else 0


def series_of(point: MetricPoint) -> str:
    """Identifies a point's series by instrument and attributes."""
    attributes = to_json({name: point.attributes.get(name) for name in sorted(point.attributes)})
    return hashlib.blake2b(f"{point.scope.name}\x00{point.name}\x00{attributes}".encode(), digest_size=8).hexdigest()


def form_of(point: MetricPoint) -> Literal["cumulative", "delta", "gauge"]:
    """How a point counts."""
    if point.kind == "gauge":
        return "gauge"
    return "delta" if point.temporality == TEMPORALITY_DELTA else "cumulative"


def session_of(point: MetricPoint) -> str | None:
    """The session that a point is about."""
    return as_id_unless_unknown(as_id(point.attributes.get("session.id")) or point.attributes.get("sessionID"))


def amount(point: MetricPoint, session: str, what: str, source: str, **more: Any) -> PointEvent:
    """A point that counts something of a session, as an event. `more` are further fields of the event."""
    value = point.count if point.kind == "histogram" else point.value or 0
    form = form_of(point)
    start = begin(point)
    return PointEvent(
        session=session,
        what=what,
        form=form,
        source=source,
        series=series_of(point),
        start=start or point.time if form == "delta" else start,
        time=point.time,
        amount=float(value),
        **more,
    )


def calls(
    point: MetricPoint, session: str, tool: str, source: str, status: Literal["completed", "error"] | None
) -> AnyEvent:
    """A point of a histogram that times finished calls."""
    if not point.count:
        return Discarded(reason="empty")
    total, low, high = durations_of(point)
    return amount(point, session, "calls", source, total=total, low=low, high=high, tool=tool, status=status)


def durations_of(point: MetricPoint) -> tuple[int, int, int]:
    """Sum, least and greatest (ns) of a histogram in ms; -1 for what it does not say."""
    if point.kind != "histogram":
        return -1, -1, -1
    total, low, high = (-1 if n is None else int(n * MS) for n in (point.sum, point.min, point.max))
    return total, low, high


def usage(point: MetricPoint, name: str) -> Iterator[AnyEvent] | None:
    """The events of a counter that all these producers share, by its name without a prefix; None if it is none of
    SHARED."""
    return _usage(point, name) if name in SHARED else None


SHARED = ("session.count", "token.usage", "cost.usage", "lines_of_code.count", "lines_of_code.total")


def _usage(point: MetricPoint, name: str) -> Iterator[AnyEvent]:
    if (reason := problem(point)) is not None:
        yield Discarded(reason=reason)
        return
    session = session_of(point)
    if session is None:
        yield Discarded(reason="no_session")
        return
    kind = as_text(point.attributes.get("type")) or ""
    if name == "session.count":
        yield amount(point, session, "life", name)
        subagent = point.attributes.get("is_subagent")
        if isinstance(subagent, bool):
            yield SessionEvent(session=session, rank=COUNTED, root=not subagent, subagent=subagent)
        return
    if name == "cost.usage":
        what: str | None = "cost"
    elif name == "token.usage":
        what = _TOKENS.get(kind)
    else:
        what = _LINES.get(kind)
    if what is None or (point.kind == "gauge" and name != "lines_of_code.total"):
        yield Discarded(reason="not_of_the_tree" if what is None else "malformed")
        return
    if not point.value and form_of(point) != "gauge":
        yield Discarded(reason="empty")
        return
    yield amount(point, session, what, name)
