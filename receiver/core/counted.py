"""Calls that a metric counted and nothing else told of become spans, marked as reconstructed (contract 6.2).

What a delta point of the JavaScript SDK says (facts/opencode-telemetry-plugin.md, fact 4): one call gives its exact
duration, two give both, three all three. Its start is when the first call ended, unless the same series was in the
export before: then it is that export's time, and no end is known. Failed calls are not counted by these producers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from receiver.core.facts import Counted, Item, Left, Registers, Session
from receiver.core.settings import MILLISECOND
from receiver.events import COUNTED, Plain

SAME_MOMENT = 5 * MILLISECOND  # counter and histogram of one call differ by 0-3 ms
NEAR_EDGE = 50 * MILLISECOND  # a call that ends while a collection runs may fall on either side of it


@dataclass(slots=True)
class _Known:
    start: int
    end: int


def missing_calls(session: Session, left: dict[str, Left], only: Collection[str] | None = None) -> list[Item]:
    """The counted calls that neither a span nor an event tells of, as complete items (not yet in the session)."""
    tools = {p.tool for p in session.counted.values()}
    found: list[Item] = []
    for tool in sorted(tools if only is None else tools & set(only)):
        points = _best_source([p for p in session.counted.values() if p.tool == tool])
        known = _known_calls(session, left, tool)
        stale = {p.time for p in points}
        for ordinal, (point, spare) in enumerate(_unmatched(points, known)):
            found.extend(_derive(session, point, spare, ordinal, stale))
    return found


def _best_source(points: Iterable[Counted]) -> list[Counted]:
    """The instrument that counted most of them; of equals the one that knows durations."""
    by_source: dict[str, list[Counted]] = {}
    for point in points:
        by_source.setdefault(point.source, []).append(point)

    def worth(source: str) -> tuple[int, bool, str]:
        held = by_source[source]
        return sum(p.count for p in held), any(p.durations or p.rest for p in held), source

    best = by_source[max(by_source, key=worth)] if by_source else []
    return sorted(best, key=lambda p: (p.time, p.start, p.count, p.durations))


def _known_calls(session: Session, left: dict[str, Left], tool: str) -> list[_Known]:
    calls = [
        _Known(c.start, c.end)
        for c in session.calls.values()
        if c.end and c.get("tool") == tool and c.get("status") != "error"
    ]
    calls += [
        _Known(r.start, r.end) for k, r in left.items() if k.startswith("call:") and r.label == tool and not r.failed
    ]
    return sorted(calls, key=lambda c: (c.end, c.start))


def _unmatched(points: list[Counted], known: list[_Known]) -> list[tuple[Counted, list[_Known]]]:
    """Each point with the known calls that it counts; first within its interval, then near its edges."""
    held: list[tuple[Counted, list[_Known]]] = [(p, []) for p in points]
    rest = list(known)
    for slack in (0, NEAR_EDGE):
        before = 0
        for point, calls in held:
            begin = max(before, min(point.start, before or point.start)) - slack - SAME_MOMENT
            for call in list(rest):
                if len(calls) < point.count and begin <= call.end <= point.time + slack:
                    calls.append(call)
                    rest.remove(call)
            before = point.time
    return held


def _derive(session: Session, point: Counted, calls: list[_Known], ordinal: int, collections: set[int]) -> list[Item]:
    missing = point.count - len(calls)
    if missing <= 0:
        return []
    durations = list(point.durations)
    exact = len(durations) == point.count
    for call in calls:
        if durations:
            durations.remove(min(durations, key=lambda d: abs(d - (call.end - call.start))))
    fresh = not any(abs(point.start - t) <= 2 * MILLISECOND for t in collections if t != point.time)
    taken = any(abs(point.start - call.end) <= SAME_MOMENT for call in calls)
    items: list[Item] = []
    end = point.start
    for i in range(missing):
        duration = durations[i] if i < len(durations) else point.rest or 0
        certain = fresh and not taken and point.count == 1
        if i or taken or not fresh:
            end = min(point.time, end + duration)
        inferred = ["identity"]
        if not certain:
            inferred += ["start", "end"]
        if not exact:
            inferred.append("duration")
        key = f"#{point.tool}@{point.start}+{duration}/{ordinal}.{i}"
        items.append(Item(key=key, facts=_facts(session, point, end, duration, inferred)))
    return items


def _facts(session: Session, point: Counted, end: int, duration: int, inferred: list[str]) -> Registers:
    told: dict[str, Plain | None] = {
        "tool": point.tool,
        "start": end - duration,
        "end": end,
        "status": "completed",
        "inferred": ",".join(inferred),
        "resource": point.resource,
        **_labels(session, point, end),
    }
    return {field: (COUNTED, value) for field, value in told.items() if value is not None}


def _labels(session: Session, point: Counted, end: int) -> dict[str, Plain | None]:
    """Which skill or agent it was, where a point of another instrument stands for the very same call."""
    labels: dict[str, Plain | None] = {"skill": point.skill, "agent": point.agent}
    for other in session.counted.values():
        if other.tool == point.tool and other.count == 1 and abs(other.start - end) <= SAME_MOMENT:
            labels["skill"] = labels["skill"] or other.skill
            labels["agent"] = labels["agent"] or other.agent
    return labels
