"""Hints: what is said of a call without naming it finds the call by tool and both ends, as reports do (unnamed.py). It
is added only where no other call could be meant and nothing else says it, and is marked; the rest is dropped.
"""

from __future__ import annotations

from collections.abc import Collection

from receiver.core.assignment import match
from receiver.core.facts import Hint, Item, Left, Session, learn
from receiver.core.settings import MILLISECOND
from receiver.core.unnamed import END_SKEW, START_SKEW
from receiver.events import INFERRED, REPORTED

CLEARLY = 50 * MILLISECOND  # a call is better than any other by more than this, or it is not the one


def add_hints(session: Session, left: dict[str, Left], leaving: Collection[str]) -> None:
    """Add to the calls that are about to leave what was said of them. Those that have left still have their own."""
    costs: dict[tuple[str, str], int] = {}
    for key, hint in session.hints.items():
        for call in session.calls.values():
            if call.get("tool") == hint.tool and (price := _cost(hint, call.start, call.end)) is not None:
                costs[key, f"call:{call.key}"] = price
        for gone, record in left.items():
            price = _cost(hint, record.start, record.end)
            if gone.startswith("call:") and record.label == hint.tool and price is not None:
                costs[key, gone] = price
    for key, found in match(costs, CLEARLY).items():
        held = session.calls.get(found.removeprefix("call:"))
        if held is not None and held.key in leaving:
            _add(held, session.hints.pop(key))


def _cost(hint: Hint, start: int, end: int) -> int | None:
    by_start, by_end = abs(hint.start - start), abs(hint.end - end)
    return by_start + by_end if by_start <= START_SKEW and by_end <= END_SKEW else None


def _add(call: Item, hint: Hint) -> None:
    facts = {"agent": hint.agent or None, "skill": hint.skill or None, "tool_count": hint.tool_count}
    news = {field: value for field, value in facts.items() if value is not None and call.get(field) is None}
    for field, value in news.items():
        learn(call.facts, field, INFERRED, value)
    if news:
        learn(call.facts, "inferred", REPORTED, "identity")
