"""Calls that a metric counted and nothing else told of become spans, marked as reconstructed (contract 6.2).

Counted and known calls are matched one to one. A call is counted when it has ended, or some time later (the plugin
waits for the agent's event, and a busy process is late); never before, but for the clocks' ticks. So a call that is
known and counted nowhere in its own interval is taken to be in a later one: rather a call too few than one twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from receiver.core.counting.call_counts import Tally, tallies
from receiver.core.state.emitted import EmittedItems
from receiver.core.state.forks import holds_copies
from receiver.core.state.items import CallSource, Inferred, Item, Registers, call_source, counted_call
from receiver.core.state.session import Session
from receiver.core.state.settings import MILLISECOND, SECOND
from receiver.events import COUNTED, Plain

SAME_MOMENT = 5 * MILLISECOND  # counter and histogram of one call differ by 0-3 ms
NEAR_EDGE = 50 * MILLISECOND  # a call that ends while a collection runs may fall on either side of it
LATEST_COUNT = 2 * SECOND  # between a call's end and its being counted, where exports may be missing in between
MOST_MISSING = 10_000  # calls that one look at a session makes up: a number is sent sooner than it is true
UNKNOWN_END = 1 << 62


@dataclass(slots=True)
class _Known:
    start: int
    end: int
    failed: bool


@dataclass(slots=True)
class _Held:
    """A tally and the known calls that it counts."""

    tally: Tally
    calls: list[_Known] = field(default_factory=list)

    @property
    def room(self) -> int:
        return self.tally.count - len(self.calls)


def missing_calls(session: Session, emitted: EmittedItems, only: Collection[str] | None = None) -> list[Item]:
    """The counted calls that neither a span nor an event tells of, as complete items (not yet in the session). Those
    that were added before are the same whenever they are looked for: they are no known calls, unless more was told
    since, so that they come out otherwise."""
    if holds_copies(session):
        return []
    tools = {p.tool for p in session.counted.values()} | {s.tool for s in session.series.values() if s.tool}
    found: list[Item] = []
    for tool in sorted(tools if only is None else tools & set(only)):
        held = tallies(session, emitted, tool)
        added = _added(session, emitted, tool)
        items = _missing(session, held, _known_calls(session, emitted, tool, added), len(found))
        if others := added.difference(_settled(session, emitted, tool), (i.id for i in items)):
            items = _missing(session, held, _known_calls(session, emitted, tool, added - others), len(found))
        found.extend(i for i in items if i.id not in added)
    return found


def _missing(session: Session, counted: list[Tally], known: list[_Known], before: int) -> list[Item]:
    found: list[Item] = []
    for held in _matched(counted, known):
        if not held.tally.settled:
            found.extend(_derive(session, held, MOST_MISSING - before - len(found)))
    return found


def _added(session: Session, emitted: EmittedItems, tool: str) -> set[str]:
    """The keys of the calls that were added before."""
    held = {c.id for c in session.calls.values() if c.get("tool") == tool}
    added = {call for call in held if call_source(call) is CallSource.COUNTED}
    return added.union(call.id for call in emitted.index(CallSource.COUNTED).of_tool(tool))


def _settled(session: Session, emitted: EmittedItems, tool: str) -> set[str]:
    """The keys of the added calls that what has closed since counted: no later count is theirs."""
    closed = {c.number for c in session.closed}
    added = emitted.index(CallSource.COUNTED).of_tool(tool)
    return {call.id for call in added if emitted.calls[call.id].segment in closed}


def _known_calls(session: Session, emitted: EmittedItems, tool: str, without: Collection[str]) -> list[_Known]:
    calls = [
        _Known(c.start, c.end or UNKNOWN_END, c.failed)
        for c in session.calls.values()
        if c.start and c.get("tool") == tool and c.id not in without
    ]
    calls += [_Known(u.start, u.end, u.failed) for u in session.reports.values() if u.tool == tool]
    calls += [_Known(c.start, c.end, c.failed) for c in emitted.calls_of(tool) if c.id not in without]
    return sorted(calls, key=lambda c: (c.end, c.start))


def _matched(counted: list[Tally], known: list[_Known]) -> list[_Held]:
    """Each tally with the known calls that it counts: those that ended in it, then near its edges, then before it."""
    held = [_Held(t) for t in counted]
    rest = list(known)
    for same in (_same_status, _any_status):
        for early, late in ((SAME_MOMENT, 0), (SAME_MOMENT + NEAR_EDGE, NEAR_EDGE), (LATEST_COUNT, NEAR_EDGE)):
            rest = _assign(held, rest, early, late, same)
    return held


def _same_status(tally: Tally, call: _Known) -> bool:
    return call.failed == (tally.status == "error")


def _any_status(tally: Tally, call: _Known) -> bool:
    """An instrument that counts failed calls may see another failure than the record does."""
    return tally.status is not None


def _assign(
    held: list[_Held], known: list[_Known], early: int, late: int, same: Callable[[Tally, _Known], bool]
) -> list[_Known]:
    """Put calls where they fit, in order of their ends, each where its place closes first: no other way fits more."""
    left_over: list[_Known] = []
    for call in known:
        fitting = [h for h in held if h.room > 0 and same(h.tally, call) and _fits(h.tally, call, early, late)]
        best = min(fitting, key=lambda h: (h.tally.time, h.tally.begin, h.tally.name), default=None)
        if best is None:
            left_over.append(call)
        else:
            best.calls.append(call)
    return left_over


def _fits(tally: Tally, call: _Known, early: int, late: int) -> bool:
    if early == LATEST_COUNT:
        if call.end == UNKNOWN_END:
            return call.start <= tally.time  # its end was lost, or not yet told
        if tally.gapless:
            return call.end <= tally.time + late
    return tally.begin - early <= call.end <= tally.time + late


def _derive(session: Session, held: _Held, most: int) -> list[Item]:
    tally = held.tally
    durations = list(tally.durations)
    exact = len(durations) == tally.count
    for call in held.calls:
        if durations:
            durations.remove(min(durations, key=lambda d: abs(d - (call.end - call.start))))
    first = tally.first_end
    if first is not None and any(abs(first - call.end) <= SAME_MOMENT for call in held.calls):
        first = None
    items: list[Item] = []
    end = tally.start if first is None else first
    for i in range(min(held.room, most)):
        duration = durations[i] if i < len(durations) else tally.rest or 0
        certain = first is not None and tally.count == 1
        if i or first is None:
            end = min(tally.time, end + duration)
        inferred = [Inferred.IDENTITY]
        if not certain:
            inferred += [Inferred.START, Inferred.END]
        if not exact:
            inferred.append(Inferred.DURATION)
        facts = f"{tally.tool}@{tally.start}-{tally.time}+{duration}/{tally.name[:8]}{tally.status or ''}.{i}"
        item = Item(id=counted_call(facts), facts=_facts(session, tally, end, duration))
        item.infer(*inferred)
        if not certain:  # between which it ended (core/linking/metrics_only_sessions.py)
            item.facts["after"], item.facts["before"] = (COUNTED, tally.begin), (COUNTED, tally.time)
        items.append(item)
    return items


def _facts(session: Session, tally: Tally, end: int, duration: int) -> Registers:
    told: dict[str, Plain | None] = {
        "tool": tally.tool,
        "start": max(end - duration, 1),
        "end": end,
        "status": tally.status or "completed",
        "resource": tally.resource,
        **_labels(session, tally, end, end - duration),
    }
    return {field: (COUNTED, value) for field, value in told.items() if value is not None}


def _labels(session: Session, tally: Tally, end: int, start: int) -> dict[str, Plain | None]:
    """Which skill or agent it was, where a point of another instrument stands for the very same call: it ended when
    this one was counted, or (a subtask, counted when it begins) began then."""
    labels: dict[str, Plain | None] = {"skill": tally.skill, "agent": tally.agent}
    for _, other in sorted(session.counted.items()):
        if other.tool == tally.tool and other.count == 1 and abs(other.start - end) <= SAME_MOMENT:
            labels["skill"] = labels["skill"] or other.skill
            labels["agent"] = labels["agent"] or other.agent
    for _, series in sorted(session.series.items()):
        if series.what == "begun" and series.agent and abs(series.start - start) <= NEAR_EDGE:
            labels["agent"] = labels["agent"] or (series.agent if tally.tool == "task" else None)
    return labels
