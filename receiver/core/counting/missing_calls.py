"""Missing calls: calls that a metric counted and that nothing else reports. They become spans, marked as reconstructed
(docs/contract.md 6.2).

Counts and known calls are matched one to one. A call is counted when it has ended, or some time later (the plugin waits
for the agent's event, and a busy process is late); never before, except for the resolution of clocks. So a known call
that no count of its own interval has room for is taken to be in a later one: rather a call too few than one twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from receiver.core.counting.call_counts import CallCount, call_counts
from receiver.core.counting.series import call_deltas
from receiver.core.state.emitted import EmittedItems
from receiver.core.state.forks import holds_copies
from receiver.core.state.items import CallSource, Inferred, Item, Registers, call_source, counted_call
from receiver.core.state.session import Session
from receiver.core.state.settings import MILLISECOND, SECOND
from receiver.events import COUNTED, Plain

SAME_MOMENT = 5 * MILLISECOND  # counter and histogram of one call differ by 0-3 ms
NEAR_EDGE = 50 * MILLISECOND  # a call that ends while a collection runs may be counted before or after it
MAX_COUNT_DELAY = 2 * SECOND  # between a call's end and its count, where exports in between may be lost
MAX_MISSING_CALLS = 10_000  # added in one look at a session: a counter may hold any number
UNKNOWN_END = 1 << 62


@dataclass(slots=True)
class _KnownCall:
    start: int
    end: int
    failed: bool


@dataclass(slots=True)
class _Match:
    """A count and the known calls that it counts."""

    count: CallCount
    calls: list[_KnownCall] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """How many of the counted calls are not known."""
        return self.count.count - len(self.calls)


def missing_calls(session: Session, emitted: EmittedItems, only: Collection[str] | None = None) -> list[Item]:
    """The counted calls that nothing else reports, as complete items that are not in the session yet. `only` limits
    them to some tools.

    A missing call has an id made of its count, so an earlier look found it under the same id and it is not found again.
    If more was reported since, so that a call that was added before is not derived any more, then it counts as known.
    """
    if holds_copies(session):
        return []
    tools = {s.tool for s in session.series.values() if s.tool}
    found: list[Item] = []
    for tool in sorted(tools if only is None else tools & set(only)):
        counts = call_counts(session, emitted, tool)
        added = _added_before(session, emitted, tool)
        limit = MAX_MISSING_CALLS - len(found)
        items = _derive(session, counts, _known_calls(session, emitted, tool, added), limit)
        others = added.difference(_settled(session, emitted, tool), (i.id for i in items))
        if others:
            items = _derive(session, counts, _known_calls(session, emitted, tool, added - others), limit)
        found.extend(i for i in items if i.id not in added)
    return found


# calls that are known


def _added_before(session: Session, emitted: EmittedItems, tool: str) -> set[str]:
    """The missing calls that were added earlier."""
    of_tool = {c.id for c in session.calls.values() if c.get("tool") == tool}
    added = {call for call in of_tool if call_source(call) is CallSource.COUNTED}
    return added.union(call.id for call in emitted.index(CallSource.COUNTED).of_tool(tool))


def _settled(session: Session, emitted: EmittedItems, tool: str) -> set[str]:
    """Those of them in segments that closed: a later count does not count them."""
    closed = {c.number for c in session.closed}
    added = emitted.index(CallSource.COUNTED).of_tool(tool)
    return {call.id for call in added if emitted.calls[call.id].segment in closed}


def _known_calls(session: Session, emitted: EmittedItems, tool: str, without: Collection[str]) -> list[_KnownCall]:
    calls = [
        _KnownCall(c.start, c.end or UNKNOWN_END, c.failed)
        for c in session.calls.values()
        if c.start and c.get("tool") == tool and c.id not in without
    ]
    calls += [_KnownCall(r.start, r.end, r.failed) for r in session.reports.values() if r.tool == tool]
    calls += [_KnownCall(c.start, c.end, c.failed) for c in emitted.calls_of(tool) if c.id not in without]
    return sorted(calls, key=lambda c: (c.end, c.start))


# matching them with counts


def _match(counts: list[CallCount], calls: list[_KnownCall]) -> list[_Match]:
    """Each count with the calls that it counts: those that ended in its interval, then near its edges, then before."""
    matches = [_Match(count) for count in counts]
    for status_fits in (_same_status, _any_status):
        for early, late in ((SAME_MOMENT, 0), (SAME_MOMENT + NEAR_EDGE, NEAR_EDGE), (MAX_COUNT_DELAY, NEAR_EDGE)):
            calls = _assign(matches, calls, early, late, status_fits)
    return matches


def _same_status(count: CallCount, call: _KnownCall) -> bool:
    return call.failed == (count.status == "error")


def _any_status(count: CallCount, call: _KnownCall) -> bool:
    """An instrument that also counts failed calls may see another failure than the record does."""
    return count.status is not None


def _assign(
    matches: list[_Match],
    calls: list[_KnownCall],
    early: int,
    late: int,
    status_fits: Callable[[CallCount, _KnownCall], bool],
) -> list[_KnownCall]:
    """Give each call, in order of their ends, to the count that ends first of those with room. No other order places
    more calls. Returns the calls that no count has room for."""
    rest: list[_KnownCall] = []
    for call in calls:
        options = [
            m for m in matches if m.missing > 0 and status_fits(m.count, call) and _fits(m.count, call, early, late)
        ]
        first = min(options, key=lambda m: (m.count.time, m.count.begin, m.count.name), default=None)
        if first is None:
            rest.append(call)
        else:
            first.calls.append(call)
    return rest


def _fits(count: CallCount, call: _KnownCall, early: int, late: int) -> bool:
    """Whether a call ended in a count's interval, or at most `early` before or `late` after it (ns)."""
    if early == MAX_COUNT_DELAY:
        if call.end == UNKNOWN_END:
            return call.start <= count.time
        if count.gapless:
            return call.end <= count.time + late
    return count.begin - early <= call.end <= count.time + late


# making the missing ones


def _derive(session: Session, counts: list[CallCount], calls: list[_KnownCall], limit: int) -> list[Item]:
    """The items that the counts hold beyond the known calls, at most `limit`."""
    items: list[Item] = []
    for match in _match(counts, calls):
        if not match.count.settled:
            items.extend(_items(session, match, limit - len(items)))
    return items


def _items(session: Session, match: _Match, limit: int) -> list[Item]:
    """The missing calls of one count. Without a known end of the first call they are placed one after another from the
    start of the interval."""
    count = match.count
    durations = _remaining_durations(match)
    first_end = count.first_end
    if first_end is not None and any(abs(first_end - call.end) <= SAME_MOMENT for call in match.calls):
        first_end = None  # that call is known
    is_certain = first_end is not None and count.count == 1
    end = count.start if first_end is None else first_end
    items: list[Item] = []
    for i in range(min(match.missing, limit)):
        duration = durations[i] if i < len(durations) else count.rest or 0
        if i or first_end is None:
            end = min(count.time, end + duration)
        identity = f"{count.tool}@{count.start}-{count.time}+{duration}/{count.name[:8]}{count.status or ''}.{i}"
        item = Item(id=counted_call(identity), facts=_facts(session, count, end, duration))
        item.infer(Inferred.IDENTITY)
        if not is_certain:
            item.infer(Inferred.START, Inferred.END)
            # the interval in which it ended, for core/linking/task_links.py
            item.facts["after"], item.facts["before"] = (COUNTED, count.begin), (COUNTED, count.time)
        if len(count.durations) < count.count:
            item.infer(Inferred.DURATION)
        items.append(item)
    return items


def _remaining_durations(match: _Match) -> list[int]:
    """The certain durations of a count (ns) without those nearest to its known calls'."""
    durations = list(match.count.durations)
    for call in match.calls:
        if durations:
            durations.remove(min(durations, key=lambda d: abs(d - (call.end - call.start))))
    return durations


def _facts(session: Session, count: CallCount, end: int, duration: int) -> Registers:
    facts: dict[str, Plain | None] = {
        "tool": count.tool,
        "start": max(end - duration, 1),
        "end": end,
        "status": count.status or "completed",
        "resource": count.resource,
        **_labels(session, count, end, end - duration),
    }
    return {field: (COUNTED, value) for field, value in facts.items() if value is not None}


def _labels(session: Session, count: CallCount, end: int, start: int) -> dict[str, Plain | None]:
    """The skill or agent of a missing call. Another instrument may have counted the very same call: when it ended, or
    (a subtask) when it began."""
    labels: dict[str, Plain | None] = {"skill": count.skill, "agent": count.agent}
    for series, interval in call_deltas(session, count.tool):
        if interval.amount == 1 and abs(interval.first - end) <= SAME_MOMENT:
            labels["skill"] = labels["skill"] or series.skill
            labels["agent"] = labels["agent"] or series.agent
    if count.tool == "task":
        for _, series in sorted(session.series.items()):
            if series.what == "begun" and series.agent and abs(series.start - start) <= NEAR_EDGE:
                labels["agent"] = labels["agent"] or series.agent
    return labels
