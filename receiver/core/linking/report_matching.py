"""Report matching: several signals report one call, and it must be one span. A report without a call id, or a hint,
finds the call that it is about by tool and times.

A *report* is about a call of the same session and tool if both ends lie close, or if both name the same child session.
Parallel calls and reports are matched one to one. A report that no call matches becomes a call of its own.

A *hint* says something of a call (its agent, its skill) and is no call. It is added only if no other call could be
meant and nothing else says the same, and it marks the call as inferred. Other hints are dropped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from receiver.core.linking.assignment import match
from receiver.core.state.emitted import CallIndex, CallTimes, EmittedItems
from receiver.core.state.items import UNNAMED_PREFIXES, CallSource, Inferred, Item, call_source, reported_call
from receiver.core.state.session import CallHint, Session
from receiver.core.state.settings import MILLISECOND
from receiver.events import Plain

# Skews to the agent's own times, with room for load (docs/producers.md 15): an AI SDK span begins -30..-1 ms (-260 in
# OpenCode 1.2) and ends -10..+1 ms (-275 when aborted); a plugin's report -5..+3 and -12..-1 ms
START_SKEW, END_SKEW = 400 * MILLISECOND, 400 * MILLISECOND
MAX_NEIGHBOURS = 32  # calls compared that began before, and after: times do not tell more of one tool apart anyway
ANY_BEST_MATCH = -1  # margin: of several matchings that are equally good, any
HINT_MARGIN = 50 * MILLISECOND  # a hint's call fits better than any other by more than this


class Nearby:
    """Calls of some indexes, pending or emitted, found by their times or by the child session that they name."""

    def __init__(self, *indexes: CallIndex) -> None:
        self._indexes = indexes

    def near(self, tool: str, start: int, end: int) -> Iterator[CallTimes]:
        """The calls of a tool that began and ended about then (ns)."""
        before: list[CallTimes] = []
        after: list[CallTimes] = []
        for index in self._indexes:
            sooner, later = index.around(tool, start, START_SKEW, MAX_NEIGHBOURS)
            before += sooner
            after += later
        if len(self._indexes) > 1:
            before, after = sorted(before)[-MAX_NEIGHBOURS:], sorted(after)[:MAX_NEIGHBOURS]
        return (call for calls in (before, after) for call in calls if abs(call.end - end) <= END_SKEW)

    def naming(self, tool: str, child: str) -> Iterator[CallTimes]:
        """The calls of a tool that name a child session."""
        return (call for index in self._indexes for call in index.naming(tool, child))


def pending(calls: Mapping[str, Item], tools: Collection[str]) -> CallIndex:
    """The calls of some tools that are not emitted yet."""
    found = ((call.get("tool"), call) for call in calls.values())
    return CallIndex((tool, _times(call)) for tool, call in found if tool in tools)


def _times(call: Item) -> CallTimes:
    return CallTimes(call.start, call.end, call.id, call.get("child") or "", call.failed)


# what a call's id says of its reports


def has_no_stated_id(call: str) -> bool:
    """Whether a call's id is made of the facts that identify it, since no record states one."""
    return call[:1] in UNNAMED_PREFIXES


def lacks_times(call: Item) -> bool:
    """Whether a call that only a metric counted has a place in its interval for want of known times. A child that it
    names would give it its times."""
    without_times = call_source(call.id) is CallSource.COUNTED and Inferred.END in call.inferred
    return without_times and not call.get("child")


def emitted_reports(emitted: EmittedItems) -> Nearby:
    """The calls that were emitted before their id was known, from a report or a count: a call near one of them is that
    one."""
    return Nearby(emitted.index(CallSource.REPORTED), emitted.index(CallSource.COUNTED))


# reports


def matched_reports(
    session: Session, emitted: EmittedItems, due: Collection[str], calls: Collection[str]
) -> dict[str, str]:
    """The reports that are about a known call, if the report (`due`) or the call (`calls`) is due: report -> call. The
    others are matched too, since each of several parallel calls has its own report."""
    found = match_reports(session, emitted)
    return {report: call for report, call in found.items() if report in due or call in calls}


def match_reports(session: Session, emitted: EmittedItems) -> dict[str, str]:
    """Which reports are about a call whose id is known, pending or emitted: report -> call."""
    if not session.reports:
        return {}
    tools = {report.tool for report in session.reports.values()}
    named = {id_: call for id_, call in session.calls.items() if call.end and not has_no_stated_id(id_)}
    # not the emitted reports: a copy of one has its id, and any other is about another call
    calls = Nearby(pending(named, tools), emitted.index(CallSource.NAMED), emitted.index(CallSource.COUNTED))
    costs: dict[tuple[str, str], int] = {}
    for key, report in session.reports.items():
        child = report.get("child") or ""
        for call in calls.near(report.tool, report.start, report.end):
            if not (child and call.child):
                costs[key, call.id] = _cost(report, call)
        for call in calls.naming(report.tool, child):
            costs[key, call.id] = 0
    return match(costs, ANY_BEST_MATCH)


def _cost(report: Item, call: CallTimes) -> int:
    apart = abs(report.start - call.start) + abs(report.end - call.end)
    return apart + (START_SKEW if report.failed != call.failed else 0)


def unmatched_report(id_: str, report: Item, infer: bool) -> Item:
    """The call that a report stands for if no other signal reports it; the report's own facts identify it."""
    call = Item(reported_call(id_), dict(report.facts), report.arrival, report.wait)
    if infer:
        call.infer(Inferred.IDENTITY)
    return call


# hints


def matched_hints(session: Session, emitted: EmittedItems, due: Collection[str]) -> dict[str, str]:
    """The hints that mean one of the calls that are due: hint -> call. Emitted calls are matched too: they keep their
    own hints from the others."""
    costs: dict[tuple[str, str], int] = {}
    tools = {hint.tool for hint in session.hints.values()}
    calls = Nearby(pending(session.calls, tools), *(emitted.index(source) for source in CallSource))
    for key, hint in session.hints.items():
        for call in calls.near(hint.tool, hint.start, hint.end):
            costs[key, call.id] = abs(hint.start - call.start) + abs(hint.end - call.end)
    return {hint: call for hint, call in match(costs, HINT_MARGIN).items() if call in session.calls and call in due}


def hinted_facts(call: Item, hint: CallHint) -> dict[str, Plain]:
    """What a hint says of a call that nothing else says."""
    facts = {"agent": hint.agent or None, "skill": hint.skill or None, "tool_count": hint.tool_count}
    return {field: value for field, value in facts.items() if value is not None and call.get(field) is None}
