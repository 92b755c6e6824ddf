"""Totals: what a session used, as its metrics counted it (contract 6.2): tokens, cost, lines.

Told for the same requests by events, a total is not added to theirs: the larger one of each kind is taken, since a
metric also counts what no event told. Between segments a metric's total is parted by the times of its points; over all
segments together it never claims more beyond the events than it counted beyond them.
"""

from __future__ import annotations

from receiver.core.counting.series import readings, rises, single_story
from receiver.core.state.emitted import EmittedItems
from receiver.core.state.items import EmittedRecord
from receiver.core.state.session import Series, SeriesValue, Session
from receiver.events import TOTALS

INPUT = ("fresh_tokens", "cache_read_tokens", "cache_creation_tokens")


def counted(session: Session, emitted: EmittedItems, begin: int, until: int) -> dict[str, float]:
    """What the session's metrics counted from a moment to another (ns, the later one excluded), by kind. Input tokens
    include the cached ones, as the convention has them."""
    by_source: dict[str, dict[str, float]] = {}
    for key, series in single_story({k: s for k, s in session.series.items() if s.what in TOTALS}):
        amount = _within(series, emitted.series.get(key), begin, until)
        held = by_source.setdefault(series.what, {})
        source = f"{series.source} {series.form}"
        held[source] = held.get(source, 0) + amount
    found = {what: max(held.values()) for what, held in by_source.items()}
    told = [found.get(what) for what in INPUT]
    if any(amount is not None for amount in told):
        found["input_tokens"] = sum(amount or 0 for amount in told)
    found.pop("fresh_tokens", None)
    return found


def larger(told: float | None, metered: float, told_in_all: float, metered_in_all: float) -> float:
    """A segment's total of one kind: what its events told, and what was counted beyond it."""
    beyond = min(metered - (told or 0), metered_in_all - told_in_all)
    return (told or 0) + max(0, beyond)


def _within(series: Series, emitted: EmittedRecord | None, begin: int, until: int) -> float:
    if series.form == "gauge":
        return max(0, _last(series, emitted, until) - _last(series, emitted, begin))
    return sum(r.amount for r in rises(series, emitted) if begin <= r.time < until)


def _last(series: Series, emitted: EmittedRecord | None, time: int) -> float:
    """What a gauge said last before a moment."""
    before = (
        SeriesValue(emitted.usage[0], first=emitted.end, last=emitted.end) if emitted is not None else SeriesValue(0)
    )
    held = [r for r in readings(series) if r.first < time]
    return max(held, key=lambda r: (min(r.last, time), r.amount), default=before).amount
