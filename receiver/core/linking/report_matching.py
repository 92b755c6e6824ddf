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

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain
from typing import NamedTuple

from receiver.core.linking.assignment import match
from receiver.core.state.session import CallHint, CallReport, EmittedRecord, Item, Session, learn
from receiver.core.state.settings import MILLISECOND
from receiver.events import INFERRED, REPORTED

START_SKEW, END_SKEW = 400 * MILLISECOND, 400 * MILLISECOND
_MOST = 32  # that began before, and as many after: more of one tool at a time are not told apart by their times anyway


class Known(NamedTuple):
    """A call that is held or has left: `call:` and its id, and what a report of it is held against (times in ns)."""

    start: int
    end: int
    key: str
    child: str
    failed: bool


class Nearby:
    """Calls by tool, in order of their beginnings, and by the child session that they name."""

    def __init__(self, calls: Iterable[tuple[str, Known]]) -> None:
        self._by_tool: dict[str, list[Known]] = {}
        self._by_child: dict[tuple[str, str], list[Known]] = {}
        for tool, call in calls:
            self._by_tool.setdefault(tool, []).append(call)
            if call.child:
                self._by_child.setdefault((tool, call.child), []).append(call)
        for of_tool in self._by_tool.values():
            of_tool.sort()

    def near(self, tool: str, start: int, end: int) -> Iterator[Known]:
        """The calls of a tool that began and ended about then (ns)."""
        of_tool = self._by_tool.get(tool, [])
        here = bisect_left(of_tool, start, key=_start)
        first = bisect_left(of_tool, start - START_SKEW, max(here - _MOST, 0), here, key=_start)
        last = bisect_right(of_tool, start + START_SKEW, here, min(here + _MOST, len(of_tool)), key=_start)
        return (call for call in of_tool[first:last] if abs(call.end - end) <= END_SKEW)

    def naming(self, tool: str, child: str) -> Iterable[Known]:
        """The calls of a tool that name a child session."""
        return self._by_child.get((tool, child), ())


def held(calls: Mapping[str, Item], tools: Collection[str]) -> Iterator[tuple[str, Known]]:
    """The calls of some tools that have not left, each with its tool."""
    for call in calls.values():
        if (tool := call.get("tool")) in tools:
            failed = call.get("status") == "error"
            yield tool, Known(call.start, call.end, f"call:{call.key}", call.get("child") or "", failed)


def gone(emitted: Mapping[str, EmittedRecord]) -> Iterator[tuple[str, Known]]:
    """The calls that have left, each with its tool."""
    for key, record in emitted.items():
        if key.startswith("call:"):
            yield record.label, Known(record.start, record.end, key, record.child, record.failed)


def _start(call: Known) -> int:
    return call.start


ANY_OF_THE_BEST = -1


def _cost(told: CallReport, call: Known) -> int:
    says_failed = told.facts.get("status", (0, ""))[1] == "error"
    return abs(told.start - call.start) + abs(told.end - call.end) + (START_SKEW if says_failed != call.failed else 0)


def find_calls(
    session: Session, emitted: dict[str, EmittedRecord], due: Collection[str], calls: Collection[str]
) -> None:
    """Merge each report into the call that it tells of, if either is due; those of calls that have left are done with.
    The others are matched too, since of parallel calls each has its own report."""
    for key, found in same_calls(session, emitted).items():
        if key not in due and found.removeprefix("call:") not in calls:
            continue
        told = session.unnamed.pop(key)
        same = session.calls.get(found.removeprefix("call:"))
        if same is not None and found not in emitted:
            for field, (rank, value) in told.facts.items():
                learn(same.facts, field, rank, value)


def same_calls(session: Session, emitted: dict[str, EmittedRecord]) -> dict[str, str]:
    """Which reports tell of a call whose id is known, held or left: report -> `call:` and its id."""
    if not session.unnamed:
        return {}
    tools = {told.tool for told in session.unnamed.values()}
    named = {key: call for key, call in session.calls.items() if call.end and not is_unnamed(key)}
    # a report that has left stands for a call of its own: what tells it again has its key
    told_before = {key: record for key, record in emitted.items() if not key.startswith("call:~")}
    calls = Nearby(chain(held(named, tools), gone(told_before)))
    costs: dict[tuple[str, str], int] = {}
    for key, told in session.unnamed.items():
        child = told.facts.get("child", (0, ""))[1]
        for call in calls.near(told.tool, told.start, told.end):
            if not (child and call.child):
                costs[key, call.key] = _cost(told, call)
        for call in calls.naming(told.tool, child):
            costs[key, call.key] = 0
    return match(costs, ANY_OF_THE_BEST)


def stand_alone(session: Session, key: str, infer: bool) -> Item:
    """A report that no other signal tells of becomes a call, identified by what it says."""
    told = session.unnamed.pop(key)
    item = Item(key=f"~{key}", facts=dict(told.facts), arrival=told.arrival, wait=told.wait)
    if infer:
        learn(item.facts, "inferred", REPORTED, "identity")
    session.calls[item.key] = item
    return item


def is_unnamed(key: str) -> bool:
    """Whether a call's key stands for the facts that identify it, since no record gave its id."""
    return key.startswith(("~", "#"))


def is_placed(call: Item) -> bool:
    """Whether a call that was only counted was given a place in its interval, since nobody knows its times, nor that
    of the session that it started."""
    guessed = call.key.startswith("#") and "end" in str(call.get("inferred") or "").split(",")
    return guessed and not call.get("child")


def emitted_reports(emitted: Mapping[str, EmittedRecord]) -> Nearby:
    """The calls whose span left before their id was told, by a report or a count of them: what is told near one of
    them is that one."""
    return Nearby(gone({key: record for key, record in emitted.items() if key.startswith(("call:~", "call:#"))}))


CLEARLY = 50 * MILLISECOND  # a call is better than any other by more than this, or it is not the one


def add_hints(session: Session, emitted: dict[str, EmittedRecord], leaving: Collection[str]) -> None:
    """Add to the calls that are about to leave what was said of them. Those that have left still have their own."""
    costs: dict[tuple[str, str], int] = {}
    tools = {hint.tool for hint in session.hints.values()}
    calls = Nearby(chain(held(session.calls, tools), gone(emitted)))
    for key, hint in session.hints.items():
        for near in calls.near(hint.tool, hint.start, hint.end):
            costs[key, near.key] = abs(hint.start - near.start) + abs(hint.end - near.end)
    for key, found in match(costs, CLEARLY).items():
        call = session.calls.get(found.removeprefix("call:"))
        if call is not None and call.key in leaving:
            _add(call, session.hints.pop(key))


def _add(call: Item, hint: CallHint) -> None:
    facts = {"agent": hint.agent or None, "skill": hint.skill or None, "tool_count": hint.tool_count}
    news = {field: value for field, value in facts.items() if value is not None and call.get(field) is None}
    for field, value in news.items():
        learn(call.facts, field, INFERRED, value)
    if news:
        learn(call.facts, "inferred", REPORTED, "identity")
