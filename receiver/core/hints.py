"""Hints: what is said of a call without naming it finds the call by tool and both ends, as reports do (unnamed.py). It
is added only where no other call could be meant and nothing else says it, and is marked; the rest is dropped.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain

from receiver.core.assignment import match
from receiver.core.facts import Hint, Item, Left, Session, learn
from receiver.core.nearby import Nearby, gone, held
from receiver.core.settings import MILLISECOND
from receiver.events import INFERRED, REPORTED

CLEARLY = 50 * MILLISECOND  # a call is better than any other by more than this, or it is not the one


def add_hints(session: Session, left: dict[str, Left], leaving: Collection[str]) -> None:
    """Add to the calls that are about to leave what was said of them. Those that have left still have their own."""
    costs: dict[tuple[str, str], int] = {}
    tools = {hint.tool for hint in session.hints.values()}
    calls = Nearby(chain(held(session.calls, tools), gone(left)))
    for key, hint in session.hints.items():
        for near in calls.near(hint.tool, hint.start, hint.end):
            costs[key, near.key] = abs(hint.start - near.start) + abs(hint.end - near.end)
    for key, found in match(costs, CLEARLY).items():
        call = session.calls.get(found.removeprefix("call:"))
        if call is not None and call.key in leaving:
            _add(call, session.hints.pop(key))


def _add(call: Item, hint: Hint) -> None:
    facts = {"agent": hint.agent or None, "skill": hint.skill or None, "tool_count": hint.tool_count}
    news = {field: value for field, value in facts.items() if value is not None and call.get(field) is None}
    for field, value in news.items():
        learn(call.facts, field, INFERRED, value)
    if news:
        learn(call.facts, "inferred", REPORTED, "identity")
