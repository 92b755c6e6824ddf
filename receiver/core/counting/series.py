"""Metric series of a session: sums, gauges and deltas (docs/contract.md 6.2, OTLP's data model). One point says little;
points merge into a few facts per series, and these are read only when somebody needs them.

Of a cumulative series each value is kept with when it was first and last seen. A point that is sent again, out of order
or twice adds nothing, and a process that repeats a number for days takes no room. Between the last sight of one value
and the first sight of the next lies an *increase*. A value that falls with the same start is a reset: all of it is new.
Two starts of one series that overlap in time count the same things: the larger one is taken.

Of a delta series each interval is kept with its amount.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from receiver.core.state.items import EmittedRecord
from receiver.core.state.session import Series, SeriesValue, Session
from receiver.events import PointEvent

MAX_SERIES = 256  # of a session, without deltas of calls: tools (times two for failures), totals by model, agent, type
MAX_READINGS = 512  # of a series, without deltas of calls: a value for each export that found it changed
MAX_CALL_DELTAS = 8192  # intervals that count calls, of all series of a session


@dataclass(frozen=True, slots=True)
class Increase:
    """`amount` more in (begin, time] (ns), up to `now` from `before` (None: from nothing). `begin` is 0 if unknown."""

    begin: int
    time: int
    amount: float
    now: SeriesValue
    before: SeriesValue | None = None


def is_call_delta(series: Series | PointEvent) -> bool:
    """Whether a series, or a point's, counts the calls of an interval."""
    return series.what == "calls" and series.form == "delta"


def key_of(event: PointEvent, resource: str) -> str:
    """Names a series of a session: instrument and attributes, its sender, and the start of a cumulative one."""
    since = event.start if event.form == "cumulative" else 0
    kind = f"{event.source}/{event.what}/{event.form}/{event.tool}/{event.status or ''}"
    return f"{event.series}@{since}/{kind}/{resource}"


# merging points


def add(all_series: dict[str, Series], key: str, event: PointEvent, resource: str) -> str | None:
    """Merge one point. Returns the reason if it adds nothing. Of too many series the least keys are kept, of too many
    values the largest, of too many intervals with calls the earliest, so that the order of points does not matter."""
    series = all_series.get(key)
    if series is None:
        series = all_series[key] = Series(
            what=event.what,
            form=event.form,
            source=event.source,
            series=event.series,
            start=event.start if event.form == "cumulative" else 0,
            tool=event.tool,
            status=event.status,
            resource=resource,
        )
        if _drop_greatest_series(all_series) == key:
            return "too_many_series"
    if event.agent and (series.agent is None or event.agent > series.agent):
        series.agent = event.agent
    if event.skill and (series.skill is None or event.skill > series.skill):
        series.skill = event.skill
    if not _merge(series, event):
        return "already_told"
    if is_call_delta(series):
        _drop_latest_call_deltas(all_series)
        return None if key in all_series and _reading_name(event) in series.readings else "too_many_series"
    if len(series.readings) > 2 * MAX_READINGS:
        kept = _largest_readings(series)
        series.readings = {n: r for n, r in series.readings.items() if (r.amount, n) in kept}
    return None


def _reading_name(event: PointEvent) -> str:
    if event.form == "delta":
        return f"{event.start}-{event.time}"
    return f"{event.amount}/{event.total}/{event.low}/{event.high}"


def _merge(series: Series, event: PointEvent) -> bool:
    """Add a point's value; False if it was known."""
    first = event.start if event.form == "delta" else event.time
    reading = SeriesValue(event.amount, event.total, event.low, event.high, first, event.time)
    name = _reading_name(event)
    old = series.readings.get(name)
    if old is None:
        series.readings[name] = reading
        return True
    old.first, old.last = min(old.first, first), max(old.last, event.time)
    if _numbers(reading) > _numbers(old):  # two deltas of one interval: a producer's error
        old.amount, old.total, old.low, old.high = _numbers(reading)
    return False


def _numbers(reading: SeriesValue) -> tuple[float, int, int, int]:
    return reading.amount, reading.total, reading.low, reading.high


def _drop_greatest_series(all_series: dict[str, Series]) -> str | None:
    """Drop one of too many series; returns its key. Deltas of calls have a bound of their own."""
    if len(all_series) <= MAX_SERIES:
        return None
    keys = [key for key, series in all_series.items() if not is_call_delta(series)]
    if len(keys) <= MAX_SERIES:
        return None
    gone = max(keys)
    del all_series[gone]
    return gone


def _drop_latest_call_deltas(all_series: dict[str, Series]) -> None:
    """Drop the intervals beyond the bound once they are an eighth more: sorting them costs."""
    counting = {key: series for key, series in all_series.items() if is_call_delta(series)}
    if sum(len(s.readings) for s in counting.values()) <= MAX_CALL_DELTAS * 9 // 8:
        return
    kept = _earliest_deltas(counting)
    for key, series in counting.items():
        series.readings = {n: r for n, r in series.readings.items() if (r.last, r.first, key) in kept}
        if not series.readings:
            del all_series[key]


def _largest_readings(series: Series) -> set[tuple[float, str]]:
    return set(sorted((r.amount, n) for n, r in series.readings.items())[-MAX_READINGS:])


def _earliest_deltas(counting: Mapping[str, Series]) -> set[tuple[int, int, str]]:
    order = sorted((r.last, r.first, key) for key, series in counting.items() for r in series.readings.values())
    return set(order[:MAX_CALL_DELTAS])


# reading series


def readings(series: Series) -> list[SeriesValue]:
    """The values of a series that are kept, in order of time."""
    kept = _largest_readings(series) if len(series.readings) > MAX_READINGS and not is_call_delta(series) else None
    found = [r for n, r in series.readings.items() if kept is None or (r.amount, n) in kept]
    return sorted(found, key=lambda r: (r.first, r.amount, r.last, r.total, r.low, r.high))


def call_deltas(session: Session, tool: str) -> list[tuple[Series, SeriesValue]]:
    """The intervals that count calls of a tool, in order of their series' keys. An interval that reached the receiver
    with two Resources (directly, and through a Collector that adds attributes) counts once."""
    counting = {key: series for key, series in session.series.items() if is_call_delta(series)}
    many = sum(len(s.readings) for s in counting.values()) > MAX_CALL_DELTAS
    kept = _earliest_deltas(counting) if many else None
    found: dict[tuple[str, str, int, int], tuple[Series, SeriesValue]] = {}
    for key, series in sorted(counting.items()):
        if series.tool != tool:
            continue
        for reading in readings(series):
            if kept is None or (reading.last, reading.first, key) in kept:
                found.setdefault((series.source, series.series, reading.first, reading.last), (series, reading))
    return list(found.values())


def increases(series: Series, emitted: EmittedRecord | None = None) -> list[Increase]:
    """What was counted since the session closed last (`emitted`), in steps, in order of time."""
    if series.form == "delta":
        return _increases_of_deltas(series, emitted.end if emitted is not None else 0)
    found: list[Increase] = []
    before = _as_reading(emitted) if emitted is not None else None
    for now in readings(series):
        if before is not None and now.amount == before.amount:
            continue  # the same count with other durations: one of them is wrong
        if before is not None and now.amount < before.amount:
            found.append(Increase(before.last, now.first, now.amount, now))  # a reset: all of it is new
        else:
            begin = before.last if before is not None else series.start
            amount = now.amount - (before.amount if before is not None else 0)
            found.append(Increase(min(begin, now.first), now.first, amount, now, before))
        before = now
    return [increase for increase in found if increase.amount > 0]


def _increases_of_deltas(series: Series, since: int) -> list[Increase]:
    """Of intervals that overlap, a later one adds only what it counts beyond the earlier ones within it."""
    found: list[Increase] = []
    for now in sorted(readings(series), key=lambda r: (r.last, -r.first)):
        if now.last <= since:
            continue
        counted = sum(r.amount for r in found if r.begin < now.last and now.first < r.time)
        if now.amount > counted:
            found.append(Increase(now.first, now.last, now.amount - counted, now))
    return found


def without_overlaps(all_series: Mapping[str, Series]) -> list[tuple[str, Series]]:
    """The series in order of their keys. Of several starts of one series that overlap in time, only the larger one."""
    by_identity: dict[tuple[str, str, str], list[tuple[str, Series]]] = {}
    for key, series in sorted(all_series.items()):
        by_identity.setdefault((series.source, series.series, series.form), []).append((key, series))
    return sorted(pair for group in by_identity.values() for pair in _largest_apart(group))


def _largest_apart(group: Iterable[tuple[str, Series]]) -> Iterator[tuple[str, Series]]:
    taken: list[tuple[int, int]] = []
    for key, series in sorted(group, key=lambda pair: (-_largest_amount(pair[1]), pair[0])):
        values = readings(series)
        if not values:
            continue
        begin, end = series.start or values[0].first, max(r.last for r in values)
        if not any(other_begin < end and begin < other_end for other_begin, other_end in taken):
            taken.append((begin, end))
            yield key, series


def _largest_amount(series: Series) -> float:
    return max((r.amount for r in series.readings.values()), default=0.0)


def times_alive(session: Session) -> list[int]:
    """When (ns) a session was alive, by its metrics alone: when something was first counted, and when a value was last
    seen before it grew. Times that no point states are left out."""
    times = {time for time, _, _ in session.lines.values()}
    times.update(note.time for note in session.notes.values())
    for series in session.series.values():
        if series.form == "cumulative" and series.readings:
            times.add(series.start)
            times.update(i.before.last for i in increases(series) if i.before is not None)
        elif series.form == "delta":
            times.update(interval.first for interval in readings(series))
    return sorted(t for t in times if t > 0)


# remembering what a closed session counted


def interval_id(series: str, first: int, last: int) -> str:
    """Names an interval (ns) that counted calls, among what a closed session remembers of its series."""
    return f"{series}:{first}-{last}"


def is_counted(event: PointEvent, key: str, emitted: Mapping[str, EmittedRecord]) -> bool:
    """Whether a point of the series `key` counts nothing that was not counted when the session closed."""
    if is_call_delta(event):
        return interval_id(event.series, event.start, event.time) in emitted
    record = emitted.get(key)
    if record is None:
        return False
    return event.amount <= record.usage[0] if event.form == "cumulative" else event.time <= record.end


def records(
    key: str, series: Series, emitted: Mapping[str, EmittedRecord], until: int | None = None
) -> Iterator[tuple[str, EmittedRecord]]:
    """What must be remembered anew of a series whose session closes (or rolls over at `until`, ns), to know later
    points, with its ids. Of calls, each interval: one that comes late still makes late calls."""
    if is_call_delta(series):
        for reading in series.readings.values():
            yield interval_id(series.series, reading.first, reading.last), EmittedRecord(start=0, end=0)
        return
    found = _record(series, emitted.get(key), until)
    if found is not None and found != emitted.get(key):
        yield key, found


def _record(series: Series, before: EmittedRecord | None, until: int | None) -> EmittedRecord | None:
    values = [r for r in readings(series) if until is None or not is_after(series, r, until)]
    if not values:
        return before
    last = max(values, key=lambda r: (r.last, r.amount))
    if series.form == "cumulative":
        last = max(values, key=lambda r: (r.amount, r.last, r.total))
        if before is not None and before.usage[0] >= last.amount:
            return before
    seen = max(r.last for r in values)
    return EmittedRecord(start=last.first, end=seen, usage=(last.amount, last.total, last.low, last.high))


def _as_reading(emitted: EmittedRecord) -> SeriesValue:
    amount, total, low, high = emitted.usage
    return SeriesValue(amount, int(total), int(low), int(high), emitted.start, emitted.end)


def is_after(series: Series, reading: SeriesValue, time: int) -> bool:
    """Whether a value came up, or a delta was over, after a moment (ns)."""
    return (reading.last if series.form == "delta" else reading.first) > time
