"""Nearby: the calls of a session whose both ends lie close to two given moments, without asking each of them.

The tolerances are the skews that FACTS measured, with room for load: an AI SDK span begins -30..-1 ms (-260 in OpenCode
1.2) and ends -10..+1 ms (-275 when aborted) from the agent's own times; a plugin's report -5..+3 and -12..-1 ms
(facts/opencode-telemetry-plugin.md).

One call, told by several signals, is one span: reports without a call id find the call that they tell of.

A report and a call are the same if session and tool are, and both ends lie close (core/linking/report_matching.py), or
both name the same child session. Parallel calls are matched one to one.

Hints: what is said of a call without naming it finds the call by tool and both ends, as reports do (unnamed.py). It
is added only where no other call could be meant and nothing else says it, and is marked; the rest is dropped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from receiver.core.linking.assignment import match
from receiver.core.state.emitted import CallIndex, CallTimes, EmittedItems
from receiver.core.state.items import CallSource, Inferred, Item, call_source, learn, reported_call
from receiver.core.state.session import CallHint, Session
from receiver.core.state.settings import MILLISECOND
from receiver.events import INFERRED

START_SKEW, END_SKEW = 400 * MILLISECOND, 400 * MILLISECOND
_MOST = 32  # that began before, and as many after: more of one tool at a time are not told apart by their times anyway


class Nearby:
    """Calls of some indexes, pending or emitted, found by their times or by the child session that they name."""

    def __init__(self, *indexes: CallIndex) -> None:
        self._indexes = indexes

    def near(self, tool: str, start: int, end: int) -> Iterator[CallTimes]:
        """The calls of a tool that began and ended about then (ns)."""
        before: list[CallTimes] = []
        after: list[CallTimes] = []
        for index in self._indexes:
            sooner, later = index.around(tool, start, START_SKEW, _MOST)
            before += sooner
            after += later
        if len(self._indexes) > 1:
            before, after = sorted(before)[-_MOST:], sorted(after)[:_MOST]
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


ANY_OF_THE_BEST = -1


def _cost(told: Item, call: CallTimes) -> int:
    apart = abs(told.start - call.start) + abs(told.end - call.end)
    return apart + (START_SKEW if told.failed != call.failed else 0)


def find_calls(session: Session, emitted: EmittedItems, due: Collection[str], calls: Collection[str]) -> None:
    """Merge each report into the call that it tells of, if either is due; those of calls that have left are done with.
    The others are matched too, since of parallel calls each has its own report."""
    for key, found in same_calls(session, emitted).items():
        if key not in due and found not in calls:
            continue
        told = session.reports.pop(key)
        same = session.calls.get(found)
        if same is not None and found not in emitted.calls:
            for field, (rank, value) in told.facts.items():
                learn(same.facts, field, rank, value)


def same_calls(session: Session, emitted: EmittedItems) -> dict[str, str]:
    """Which reports tell of a call whose id is known, pending or emitted: report -> call."""
    if not session.reports:
        return {}
    tools = {told.tool for told in session.reports.values()}
    named = {key: call for key, call in session.calls.items() if call.end and not is_unnamed(key)}
    # an emitted report stands for a call of its own: what tells it again has its id
    calls = Nearby(pending(named, tools), emitted.index(CallSource.NAMED), emitted.index(CallSource.COUNTED))
    costs: dict[tuple[str, str], int] = {}
    for key, told in session.reports.items():
        child = told.get("child") or ""
        for call in calls.near(told.tool, told.start, told.end):
            if not (child and call.child):
                costs[key, call.id] = _cost(told, call)
        for call in calls.naming(told.tool, child):
            costs[key, call.id] = 0
    return match(costs, ANY_OF_THE_BEST)


def stand_alone(session: Session, key: str, infer: bool) -> Item:
    """A report that no other signal tells of becomes a call, identified by what it says."""
    told = session.reports.pop(key)
    item = Item(reported_call(key), dict(told.facts), told.arrival, told.wait)
    if infer:
        item.infer(Inferred.IDENTITY)
    session.calls[item.id] = item
    return item


def is_unnamed(key: str) -> bool:
    """Whether a call's key stands for the facts that identify it, since no record gave its id."""
    return call_source(key) is not CallSource.NAMED


def is_placed(call: Item) -> bool:
    """Whether a call that was only counted was given a place in its interval, since nobody knows its times, nor that
    of the session that it started."""
    guessed = call_source(call.id) is CallSource.COUNTED and Inferred.END in call.inferred
    return guessed and not call.get("child")


def emitted_reports(emitted: EmittedItems) -> Nearby:
    """The calls whose span left before their id was told, by a report or a count of them: what is told near one of
    them is that one."""
    return Nearby(emitted.index(CallSource.REPORTED), emitted.index(CallSource.COUNTED))


CLEARLY = 50 * MILLISECOND  # a call is better than any other by more than this, or it is not the one


def add_hints(session: Session, emitted: EmittedItems, leaving: Collection[str]) -> None:
    """Add to the calls that are about to leave what was said of them. Those that have left still have their own."""
    costs: dict[tuple[str, str], int] = {}
    tools = {hint.tool for hint in session.hints.values()}
    calls = Nearby(pending(session.calls, tools), *(emitted.index(source) for source in CallSource))
    for key, hint in session.hints.items():
        for near in calls.near(hint.tool, hint.start, hint.end):
            costs[key, near.id] = abs(hint.start - near.start) + abs(hint.end - near.end)
    for key, found in match(costs, CLEARLY).items():
        call = session.calls.get(found)
        if call is not None and call.id in leaving:
            _add(call, session.hints.pop(key))


def _add(call: Item, hint: CallHint) -> None:
    facts = {"agent": hint.agent or None, "skill": hint.skill or None, "tool_count": hint.tool_count}
    news = {field: value for field, value in facts.items() if value is not None and call.get(field) is None}
    for field, value in news.items():
        learn(call.facts, field, INFERRED, value)
    if news:
        call.infer(Inferred.IDENTITY)
