"""Call counts: how many calls of a tool ended in an interval, as its metrics say, and how long they took if that is
known (docs/contract.md 6.2). Delta intervals and increases of cumulative series are read alike.

Of one call, the sum is its duration. Of two, the least and the greatest are the durations; of three, the rest of the
sum too. Of more, the others have a mean. The extremes of an increase belong to its own calls only if they changed with
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from receiver.core.counting.series import Increase, call_deltas, increases, is_call_delta, without_overlaps
from receiver.core.state.emitted import EmittedItems
from receiver.core.state.session import Series, SeriesValue, Session
from receiver.core.state.settings import MILLISECOND

ROUNDING = 2_000  # ns: sums of milliseconds in floating point, cut to nanoseconds
SAME_EXPORT = 2 * MILLISECOND  # an interval that begins this close to an export begins with that export


@dataclass(frozen=True, slots=True)
class CallCount:
    """`count` calls ended in [begin, time] (ns).

    `first_end` is when the first of them ended, if that is known. `durations` (ns) are certain; `rest` (ns) is the mean
    of the others. `start` and `name` identify the count, on any machine. `gapless`: every call of the series is in one
    of its counts. `settled`: the session closed since, so that no missing call is made of this count again.
    """

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


def call_counts(session: Session, emitted: EmittedItems, tool: str) -> list[CallCount]:
    """The counts of a tool's calls, in order of time. Several instruments may count the same calls: only the one that
    counted most is read, and of equals the one that knows durations."""
    by_source: dict[str, list[CallCount]] = {}
    for count in (*_of_deltas(session, tool), *_of_cumulative(session, emitted, tool)):
        by_source.setdefault(count.source, []).append(count)

    def rank(source: str) -> tuple[int, bool, str]:
        counts = by_source[source]
        return sum(c.count for c in counts), any(c.durations or c.rest for c in counts), source

    best = by_source[max(by_source, key=rank)] if by_source else []
    return sorted(best, key=lambda c: (c.time, c.begin, c.name, c.count, c.durations))


# deltas


def _of_deltas(session: Session, tool: str) -> Iterator[CallCount]:
    by_source: dict[str, list[tuple[Series, SeriesValue]]] = {}
    for series, interval in call_deltas(session, tool):
        by_source.setdefault(series.source, []).append((series, interval))
    for pairs in by_source.values():
        exports = {interval.last for _, interval in pairs}
        by_series: dict[tuple[str, str, str], tuple[Series, list[SeriesValue]]] = {}
        for series, interval in pairs:
            key = (series.series, series.status or "", series.resource)
            by_series.setdefault(key, (series, []))[1].append(interval)
        for series, intervals in by_series.values():
            yield from _of_delta_series(series, intervals, exports)


def _of_delta_series(series: Series, intervals: Iterable[SeriesValue], exports: set[int]) -> list[CallCount]:
    """Of intervals that overlap, a later one adds only what it counts beyond the others. An interval begins with the
    end of its first call, or with the export before it."""
    counts: list[CallCount] = []
    before = 0
    for interval in sorted(intervals, key=lambda r: (r.last, -r.first, r.amount, r.total, r.low, r.high)):
        start, time = interval.first, interval.last
        counted = sum(c.count for c in counts if c.start < time and start < c.time)
        if (count := int(interval.amount) - counted) > 0:
            follows_export = any(abs(start - t) <= SAME_EXPORT for t in exports if t != time)
            durations, rest = _durations_of_delta(interval) if not counted else ((), None)
            counts.append(
                CallCount(
                    source=series.source,
                    name=series.series,
                    tool=series.tool,
                    count=count,
                    start=start,
                    begin=before or start,
                    time=time,
                    first_end=start if not (follows_export or counted) else None,
                    durations=durations,
                    rest=rest,
                    status=series.status,
                    agent=series.agent,
                    skill=series.skill,
                    resource=series.resource,
                )
            )
        before = time
    return counts


def _durations_of_delta(interval: SeriesValue) -> tuple[tuple[int, ...], int | None]:
    if interval.total < 0:
        return (), None
    extremes = (interval.low, interval.high) if 0 <= interval.low <= interval.high else (None, None)
    return known_durations(int(interval.amount), interval.total, *extremes)


# cumulative series


def _of_cumulative(session: Session, emitted: EmittedItems, tool: str) -> Iterator[CallCount]:
    of_tool = {k: s for k, s in session.series.items() if s.what == "calls" and s.tool == tool and not is_call_delta(s)}
    for key, series in without_overlaps(of_tool):
        before = emitted.series.get(key)
        if before is not None:
            yield _cumulative_count(series, int(before.usage[0]), series.start, before.end, settled=True)
        for increase in increases(series, before):
            is_first = increase.before is None and 0 < series.start <= increase.time
            durations, rest = _durations_of_increase(increase)
            yield _cumulative_count(
                series,
                int(increase.amount),
                increase.begin,
                increase.time,
                first_end=series.start if is_first else None,
                durations=durations,
                rest=rest,
            )


def _cumulative_count(
    series: Series,
    count: int,
    begin: int,
    time: int,
    first_end: int | None = None,
    durations: tuple[int, ...] = (),
    rest: int | None = None,
    settled: bool = False,
) -> CallCount:
    return CallCount(
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


def _durations_of_increase(increase: Increase) -> tuple[tuple[int, ...], int | None]:
    now, before = increase.now, increase.before or SeriesValue(0, 0)
    total = now.total - before.total
    if now.total < 0 or before.total < 0 or total < 0:
        return (), None
    is_first = increase.before is None
    low = now.low if now.low >= 0 and (is_first or now.low < before.low) else None
    high = now.high if now.high >= 0 and (is_first or now.high > before.high) else None
    return known_durations(int(increase.amount), total, low, high)


# durations


def known_durations(count: int, total: int, low: int | None, high: int | None) -> tuple[tuple[int, ...], int | None]:
    """Which of `count` durations are certain, by their sum and (if known) their extremes, and the mean of the others;
    all in ns. Numbers that do not add up give only the mean of the sum."""
    if count == 1:
        return (total,), None
    known = [d for d in (low, high) if d is not None]
    others, rest = count - len(known), total - sum(known)
    if others == 0:
        return (tuple(known), None) if abs(rest) <= ROUNDING else ((), total // count)
    mean = rest // others
    if rest < 0 or (low is not None and mean < low - ROUNDING) or (high is not None and mean > high + ROUNDING):
        return (), total // count
    return (tuple(sorted((*known, mean))), None) if others == 1 else (tuple(known), mean)
