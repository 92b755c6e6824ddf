"""Usage totals: tokens, cost and lines of a session, as its metrics count them (docs/contract.md 6.2).

Events may report the same requests. Then the metric is not added: the larger total of each kind is taken, since a
metric also counts what no event reports. A metric's total is divided between segments by the times of its points. In no
segment does it add more than it counted beyond the events in all of them.
"""

from __future__ import annotations

from receiver.core.counting.series import increases, readings, without_overlaps
from receiver.core.state.emitted import EmittedItems
from receiver.core.state.items import EmittedRecord
from receiver.core.state.session import Series, SeriesValue, Session
from receiver.events import TOTALS

INPUT = ("fresh_tokens", "cache_read_tokens", "cache_creation_tokens")


def totals_between(session: Session, emitted: EmittedItems, begin: int, until: int) -> dict[str, float]:
    """What the session's metrics counted in [begin, until) (ns), by kind. `input_tokens` includes cached ones, as in
    the semantic conventions. If several instruments count one kind, the largest total is taken."""
    by_source: dict[str, dict[str, float]] = {}
    for key, series in without_overlaps({k: s for k, s in session.series.items() if s.what in TOTALS}):
        source = f"{series.source} {series.form}"
        amounts = by_source.setdefault(series.what, {})
        amounts[source] = amounts.get(source, 0) + _amount(series, emitted.series.get(key), begin, until)
    totals = {what: max(amounts.values()) for what, amounts in by_source.items()}
    if any(what in totals for what in INPUT):
        totals["input_tokens"] = sum(totals.get(what, 0) for what in INPUT)
    totals.pop("fresh_tokens", None)
    return totals


def segment_total(told: float | None, metered: float, told_in_all: float, metered_in_all: float) -> float:
    """A segment's total of one kind: what its events reported (`told`), and what was counted beyond that, in this
    segment and at most in all of them."""
    beyond = min(metered - (told or 0), metered_in_all - told_in_all)
    return (told or 0) + max(0, beyond)


def _amount(series: Series, emitted: EmittedRecord | None, begin: int, until: int) -> float:
    if series.form == "gauge":
        return max(0, _last_value(series, emitted, until) - _last_value(series, emitted, begin))
    return sum(i.amount for i in increases(series, emitted) if begin <= i.time < until)


def _last_value(series: Series, emitted: EmittedRecord | None, time: int) -> float:
    """The last value of a gauge before a moment (ns)."""
    before = SeriesValue(0)
    if emitted is not None:
        before = SeriesValue(emitted.usage[0], first=emitted.end, last=emitted.end)
    earlier = [r for r in readings(series) if r.first < time]
    return max(earlier, key=lambda r: (min(r.last, time), r.amount), default=before).amount
