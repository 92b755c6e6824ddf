"""One call, told by several signals, is one span: reports without a call id find the call that they tell of.

A report and a call are the same if session and tool are, and both ends lie close (core/nearby.py), or both name the
same child session. Parallel calls are matched one to one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import chain

from receiver.core.assignment import match
from receiver.core.facts import Item, Left, Session, Unnamed, learn
from receiver.core.nearby import START_SKEW, Known, Nearby, gone, held
from receiver.events import REPORTED

ANY_OF_THE_BEST = -1


def _cost(told: Unnamed, call: Known) -> int:
    says_failed = told.facts.get("status", (0, ""))[1] == "error"
    return abs(told.start - call.start) + abs(told.end - call.end) + (START_SKEW if says_failed != call.failed else 0)


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
    tools = {told.tool for told in session.unnamed.values()}
    named = {key: call for key, call in session.calls.items() if call.end and not is_unnamed(key)}
    # a report that has left stands for a call of its own: what tells it again has its key
    told_before = {key: record for key, record in left.items() if not key.startswith("call:~")}
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


def unnamed_gone(left: Mapping[str, Left]) -> Nearby:
    """The calls whose span left before their id was told, by a report or a count of them: what is told near one of
    them is that one."""
    return Nearby(gone({key: record for key, record in left.items() if key.startswith(("call:~", "call:#"))}))
