"""One call, told by several signals, is one span: reports without a call id find the call that they tell of.

A report and a call are the same if session and tool are, and both ends lie close (the tolerances are the skews that
FACTS measured, with room for load), or both name the same child session. Parallel calls are matched one to one.
"""

from __future__ import annotations

from collections.abc import Collection

from receiver.core.assignment import match
from receiver.core.facts import Item, Left, Session, Unnamed, learn
from receiver.core.settings import MILLISECOND
from receiver.events import REPORTED

# An AI SDK span begins -30..-1 ms (-260 in OpenCode 1.2) and ends -10..+1 ms (-275 when aborted) from the agent's
# own times; a plugin's report -5..+3 and -12..-1 ms (facts/opencode-telemetry-plugin.md).
START_SKEW, END_SKEW = 400 * MILLISECOND, 400 * MILLISECOND
ANY_OF_THE_BEST = -1


def _cost(told: Unnamed, start: int, end: int, child: str, failed: bool) -> int | None:
    told_child = told.facts.get("child", (0, ""))[1]
    if told_child and child:
        return 0 if told_child == child else None
    by_start, by_end = abs(told.start - start), abs(told.end - end)
    if by_start > START_SKEW or by_end > END_SKEW:
        return None
    says_failed = told.facts.get("status", (0, ""))[1] == "error"
    return by_start + by_end + (START_SKEW if says_failed != failed else 0)


def find_calls(session: Session, left: dict[str, Left], due: Collection[str], calls: Collection[str]) -> None:
    """Merge each report into the call that it tells of, if either is due; those of calls that have left are done with.
    The others are matched too, since of parallel calls each has its own report."""
    for key, found in same_calls(session, left).items():
        if key not in due and found.removeprefix("call:") not in calls:
            continue
        told = session.unnamed.pop(key)
        same = session.calls.get(found.removeprefix("call:"))
        if same is not None and found not in left:
            for field, (rank, value) in told.facts.items():
                learn(same.facts, field, rank, value)


def same_calls(session: Session, left: dict[str, Left]) -> dict[str, str]:
    """Which reports tell of a call whose id is known, held or left: report -> `call:` and its id."""
    if not session.unnamed:
        return {}
    costs: dict[tuple[str, str], int] = {}
    for key, told in session.unnamed.items():
        for call in session.calls.values():
            if call.end and call.get("tool") == told.tool and not is_unnamed(call.key):
                failed = call.get("status") == "error"
                price = _cost(told, call.start, call.end, call.get("child") or "", failed)
                if price is not None:
                    costs[key, f"call:{call.key}"] = price
        for gone, record in left.items():
            # a report that has left stands for a call of its own: what tells it again has its key
            if record.label == told.tool and gone.startswith("call:") and not gone.startswith("call:~"):
                price = _cost(told, record.start, record.end, record.child, record.failed)
                if price is not None:
                    costs[key, gone] = price
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


def left_already(call: Item, left: dict[str, Left]) -> bool:
    """Whether the span of a call left before its id was told, by a report or a count of the same call."""
    return any(
        is_unnamed(key.removeprefix("call:"))
        and record.label == call.get("tool")
        and abs(record.start - call.start) <= START_SKEW
        and abs(record.end - call.end) <= END_SKEW
        for key, record in left.items()
        if key.startswith(("call:~", "call:#"))
    )
