"""Series: points of cumulative sums, of gauges and of totals told as deltas. One point says little; what is kept of
each series are facts that merge, and they are read only when they are needed (contract 6.2, OTLP's data model).

Kept is, for each value that a cumulative series had, when it was first and last seen: a point that is sent again, out
of order or twice adds nothing, and a process that repeats a number for days takes no room. Between the last sight of
one value and the first of the next lies a *rise*. A value that falls with the same start is a reset: what is there then
was counted since. Two starts of one series that overlap in time are two ways to tell the same: the larger is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from receiver.core.state.items import EmittedRecord
from receiver.core.state.session import Series, SeriesValue, Session
from receiver.events import PointEvent

MOST_SERIES = 256  # of a session: tools (times two for failures), and totals by model, agent and type
MOST_READINGS = 512  # of a series: a value for each export that found it changed


@dataclass(frozen=True, slots=True)
class Rise:
    """`amount` more in (begin, time] (ns), up to `now` from `before` (None: from nothing). `begin` is 0 if unknown."""

    begin: int
    time: int
    amount: float
    now: SeriesValue
    before: SeriesValue | None = None


def key_of(event: PointEvent, resource: str) -> str:
    """Names a series of a session: instrument and attributes, who sent it and since when."""
    since = event.start if event.form == "cumulative" else 0
    kind = f"{event.source}/{event.what}/{event.form}/{event.tool}/{event.status or ''}"
    return f"{event.series}@{since}/{kind}/{resource}"


def is_told(event: PointEvent, emitted: EmittedRecord) -> bool:
    """Whether a point tells no more than was told when the session closed."""
    if event.form == "cumulative":
        return event.amount <= emitted.usage[0]
    return event.time <= emitted.end


def add(held: dict[str, Series], key: str, event: PointEvent, resource: str) -> str | None:
    """Merge one point. Returns the reason if it is no news. Of too many series the least keys are kept, and of too many
    values the largest, so that it does not matter which came first."""
    series = held.get(key)
    if series is None:
        series = held[key] = Series(
            what=event.what,
            form=event.form,
            source=event.source,
            series=event.series,
            start=event.start if event.form == "cumulative" else 0,
            tool=event.tool,
            status=event.status,
            resource=resource,
        )
        if len(held) > MOST_SERIES:
            del held[gone := max(held)]
            if gone == key:
                return "too_many_series"
    if event.agent and (series.agent is None or event.agent > series.agent):
        series.agent = event.agent
    return _learn(series, event)


def _learn(series: Series, event: PointEvent) -> str | None:
    first = event.start if event.form == "delta" else event.time
    name = (
        f"{first}-{event.time}" if event.form == "delta" else f"{event.amount}/{event.total}/{event.low}/{event.high}"
    )
    reading = SeriesValue(event.amount, event.total, event.low, event.high, first, event.time)
    old = series.readings.get(name)
    if old is not None:
        old.first, old.last = min(old.first, first), max(old.last, event.time)
        old.amount = max(old.amount, event.amount)  # two deltas of one interval: a producer's error
        return "already_told"
    series.readings[name] = reading
    if len(series.readings) > 2 * MOST_READINGS:
        kept = _kept(series)
        series.readings = {n: r for n, r in series.readings.items() if _rank(n, r) in kept}
    return None


def _rank(name: str, reading: SeriesValue) -> tuple[float, int, str]:
    return reading.amount, 0, name


def _kept(series: Series) -> set[tuple[float, int, str]]:
    return set(sorted(_rank(n, r) for n, r in series.readings.items())[-MOST_READINGS:])


def readings(series: Series) -> list[SeriesValue]:
    """The values that are kept, in order of time."""
    kept = _kept(series) if len(series.readings) > MOST_READINGS else None
    held = [r for n, r in series.readings.items() if kept is None or _rank(n, r) in kept]
    return sorted(held, key=lambda r: (r.first, r.amount, r.last, r.total, r.low, r.high))


def rises(series: Series, emitted: EmittedRecord | None = None) -> list[Rise]:
    """What was counted, bit by bit, since the session closed last."""
    if series.form == "delta":
        return _intervals(series, emitted.end if emitted is not None else 0)
    found: list[Rise] = []
    before = _as_reading(emitted) if emitted is not None else None
    for now in readings(series):
        if before is not None and now.amount == before.amount:
            continue  # the same count with other durations: one of them is wrong
        if before is not None and now.amount < before.amount:
            found.append(Rise(before.last, now.first, now.amount, now))  # a reset: all of it is new
        else:
            begin = before.last if before is not None else series.start
            amount = now.amount - (before.amount if before is not None else 0)
            found.append(Rise(min(begin, now.first), now.first, amount, now, before))
        before = now
    return [r for r in found if r.amount > 0]


def _intervals(series: Series, since: int) -> list[Rise]:
    """Deltas. Of those that overlap, a later one adds only what it counts beyond the earlier ones within it."""
    found: list[Rise] = []
    for now in sorted(readings(series), key=lambda r: (r.last, -r.first)):
        if now.last <= since:
            continue
        told = sum(r.amount for r in found if r.begin < now.last and now.first < r.time)
        if now.amount > told:
            found.append(Rise(now.first, now.last, now.amount - told, now))
    return found


def _as_reading(emitted: EmittedRecord) -> SeriesValue:
    amount, total, low, high = emitted.usage
    return SeriesValue(amount, int(total), int(low), int(high), emitted.start, emitted.end)


def record(series: Series, before: EmittedRecord | None, until: int | None = None) -> EmittedRecord | None:
    """What must be remembered of a series whose session closes (or rolls over at `until`, ns), to know later points."""
    held = [r for r in readings(series) if until is None or not is_after(series, r, until)]
    if not held:
        return before
    last = max(held, key=lambda r: (r.last, r.amount))
    if series.form == "cumulative":
        last = max(held, key=lambda r: (r.amount, r.last, r.total))
        if before is not None and before.usage[0] >= last.amount:
            return before
    seen = max(r.last for r in held)
    return EmittedRecord(start=last.first, end=seen, usage=(last.amount, last.total, last.low, last.high))


def is_after(series: Series, reading: SeriesValue, time: int) -> bool:
    """Whether a value came up, or a delta was over, after a moment (ns)."""
    return (reading.last if series.form == "delta" else reading.first) > time


def single_story(held: Mapping[str, Series]) -> list[tuple[str, Series]]:
    """The series without those whose time another start of the same one covers already, in order of their keys."""
    told: dict[tuple[str, str, str], list[tuple[str, Series]]] = {}
    for key, series in sorted(held.items()):
        told.setdefault((series.source, series.series, series.form), []).append((key, series))
    return sorted(pair for group in told.values() for pair in _apart(group))


def _apart(group: Iterable[tuple[str, Series]]) -> Iterable[tuple[str, Series]]:
    taken: list[tuple[int, int, str, Series]] = []
    for key, series in sorted(group, key=lambda pair: (-_most(pair[1]), pair[0])):
        held = readings(series)
        if not held:
            continue
        begin, end = series.start or held[0].first, max(r.last for r in held)
        if any(b < end and begin < e for b, e, _, _ in taken):
            continue
        taken.append((begin, end, key, series))
    return [(key, series) for _, _, key, series in taken]


def _most(series: Series) -> float:
    return max((r.amount for r in series.readings.values()), default=0.0)


def sightings(session: Session) -> list[int]:
    """When (ns) a session was alive, by its metrics alone: when something was first counted, and the last time that it
    was not yet counted. What nobody knows the moment of is left out."""
    found = {p.start for p in session.counted.values()} | {time for time, _, _ in session.lines.values()}
    found.update(n.time for n in session.notes.values())
    for series in session.series.values():
        held = readings(series)
        if series.form == "cumulative" and held:
            found.add(series.start)
            found.update(r.before.last for r in rises(series) if r.before is not None)
        elif series.form == "delta":
            found.update(r.first for r in held)
    return sorted(t for t in found if t > 0)
