"""Nearby: the calls of a session whose both ends lie close to two given moments, without asking each of them.

The tolerances are the skews that FACTS measured, with room for load: an AI SDK span begins -30..-1 ms (-260 in OpenCode
1.2) and ends -10..+1 ms (-275 when aborted) from the agent's own times; a plugin's report -5..+3 and -12..-1 ms
(facts/opencode-telemetry-plugin.md).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from receiver.core.facts import Item, Left
from receiver.core.settings import MILLISECOND

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


def gone(left: Mapping[str, Left]) -> Iterator[tuple[str, Known]]:
    """The calls that have left, each with its tool."""
    for key, record in left.items():
        if key.startswith("call:"):
            yield record.label, Known(record.start, record.end, key, record.child, record.failed)


def _start(call: Known) -> int:
    return call.start
