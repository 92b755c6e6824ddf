"""Tallies: what metrics say of finished calls, made alike: so many calls of a tool ended in an interval, and of some of
them the durations are known (contract 6.2).

From one point, or one rise of a cumulative series, of a histogram: one call has the sum as its duration. Two have the
least and the greatest, three the rest of the sum too. Beyond that the rest have a mean. Of a rise the least and the
greatest are those of its calls only where they changed with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from receiver.core.counting.series import Increase, call_deltas, is_call_delta, rises, single_story
from receiver.core.state.emitted import EmittedItems
from receiver.core.state.session import Series, SeriesValue, Session
from receiver.core.state.settings import MILLISECOND

ROUNDING = 2_000  # ns: sums of milliseconds in floating point, cut to nanoseconds


@dataclass(frozen=True, slots=True)
class Tally:
    """`count` calls ended in [begin, time] (ns). `first_end` is when the first of them did, if that is known. `rest` is
    the mean of the durations that are not. `start` with `name` tells one tally from another, on any machine. `gapless`
    says that every call of the series is in one of its tallies; `settled` that the session closed since, so that what
    is not known of it is not to be made again."""

    source: str
    name: str
    tool: str
    count: int
    start: int
    begin: int
    time: int
    first_end: int | None
    durations: tuple[int, ...] = ()
    rest: int | None = None
    status: str | None = None
    agent: str | None = None
    skill: str | None = None
    resource: str = ""
    gapless: bool = False
    settled: bool = False


def tallies(session: Session, emitted: EmittedItems, tool: str) -> list[Tally]:
    """The tallies of a tool by the instrument that counted most of its calls: several may count the same ones."""
    by_source: dict[str, list[Tally]] = {}
    for tally in (*_of_deltas(session, tool), *_of_series(session, emitted, tool)):
        by_source.setdefault(tally.source, []).append(tally)

    def worth(source: str) -> tuple[int, bool, str]:
        held = by_source[source]
        return sum(t.count for t in held), any(t.durations or t.rest for t in held), source

    best = by_source[max(by_source, key=worth)] if by_source else []
    return sorted(best, key=lambda t: (t.time, t.begin, t.name, t.count, t.durations))


def _of_deltas(session: Session, tool: str) -> Iterator[Tally]:
    by_source: dict[str, list[tuple[Series, SeriesValue]]] = {}
    for series, reading in call_deltas(session, tool):
        by_source.setdefault(series.source, []).append((series, reading))
    for pairs in by_source.values():
        collected = {reading.last for _, reading in pairs}
        by_series: dict[tuple[str, str, str], tuple[Series, list[SeriesValue]]] = {}
        for series, reading in pairs:
            _, held = by_series.setdefault((series.series, series.status or "", series.resource), (series, []))
            held.append(reading)
        for series, held in by_series.values():
            yield from _apart(series, held, collected)


def _apart(series: Series, held: Iterable[SeriesValue], collected: set[int]) -> Iterator[Tally]:
    """The intervals of one delta series. Of those that overlap, a later one adds only what it counts beyond the others.
    An interval begins with its first call's end, or (`collected`) with the export before it."""
    before, found = 0, list[Tally]()
    for reading in sorted(held, key=lambda r: (r.last, -r.first, r.amount, r.total, r.low, r.high)):
        start, time, count = reading.first, reading.last, int(reading.amount)
        counted = sum(t.count for t in found if t.start < time and start < t.time)
        if count > counted:
            fresh = not any(abs(start - t) <= 2 * MILLISECOND for t in collected if t != time)
            whole = not counted
            durations, rest = _durations_of(reading) if whole else ((), None)
            found.append(
                Tally(
                    source=series.source,
                    name=series.series,
                    tool=series.tool,
                    count=count - counted,
                    start=start,
                    begin=before or start,
                    time=time,
                    first_end=start if fresh and whole else None,
                    durations=durations,
                    rest=rest,
                    status=series.status,
                    agent=series.agent,
                    skill=series.skill,
                    resource=series.resource,
                )
            )
        before = time
    return iter(found)


def _durations_of(delta: SeriesValue) -> tuple[tuple[int, ...], int | None]:
    if delta.total < 0:
        return (), None
    extremes = (delta.low, delta.high) if 0 <= delta.low <= delta.high else (None, None)
    return known_durations(int(delta.amount), delta.total, *extremes)


def _of_series(session: Session, emitted: EmittedItems, tool: str) -> Iterator[Tally]:
    of_tool = ((k, s) for k, s in session.series.items() if s.what == "calls" and s.tool == tool)
    calls = {k: s for k, s in of_tool if not is_call_delta(s)}
    for key, series in single_story(calls):
        before = emitted.series.get(key)
        if before is not None:
            yield _tally(series, int(before.usage[0]), series.start, before.end, settled=True)
        for rise in rises(series, before):
            durations, rest = _durations(rise)
            first = rise.before is None and 0 < series.start <= rise.time
            yield _tally(
                series,
                int(rise.amount),
                rise.begin,
                rise.time,
                first_end=series.start if first else None,
                durations=durations,
                rest=rest,
            )


def _tally(
    series: Series,
    count: int,
    begin: int,
    time: int,
    first_end: int | None = None,
    durations: tuple[int, ...] = (),
    rest: int | None = None,
    settled: bool = False,
) -> Tally:
    return Tally(
        source=f"{series.source} {series.form}",
        name=series.series,
        tool=series.tool,
        count=count,
        start=begin or time,
        begin=begin,
        time=time,
        first_end=first_end,
        durations=durations,
        rest=rest,
        status=series.status,
        agent=series.agent,
        resource=series.resource,
        gapless=True,
        settled=settled,
    )


def _durations(rise: Increase) -> tuple[tuple[int, ...], int | None]:
    now, count = rise.now, int(rise.amount)
    before = rise.before or SeriesValue(0, 0)
    total = now.total - before.total
    if now.total < 0 or before.total < 0 or total < 0:
        return (), None
    low = now.low if now.low >= 0 and (rise.before is None or now.low < before.low) else None
    high = now.high if now.high >= 0 and (rise.before is None or now.high > before.high) else None
    return known_durations(count, total, low, high)


def known_durations(count: int, total: int, low: int | None, high: int | None) -> tuple[tuple[int, ...], int | None]:
    """Which of `count` durations with a known sum are certain, and the mean of the others (all in ns)."""
    if count == 1:
        return (total,), None
    known = [d for d in (low, high) if d is not None]
    others, rest = count - len(known), total - sum(known)
    if others == 0:
        return (tuple(known), None) if abs(rest) <= ROUNDING else ((), total // count)
    mean = rest // others
    if rest < 0 or (low is not None and mean < low - ROUNDING) or (high is not None and mean > high + ROUNDING):
        return (), total // count  # the numbers do not add up: believe the sum
    return (tuple(sorted((*known, mean))), None) if others == 1 else (tuple(known), mean)
