"""A task call's child, once spans state it (core/lineage.py): the call's register and the child's parent, as if the
call's own record had named it. Who told plays no part: it is a span or a line of either session, whichever came last.
"""

from __future__ import annotations

from receiver.core.facts import learn
from receiver.core.forest import Forest
from receiver.core.history import is_older
from receiver.events import SPAN, ChildTold


def take_started(forest: Forest, _: object, event: ChildTold) -> str | None:
    """Merge one link. Returns why it added nothing: a call without a record of its own left before, or never was."""
    session = forest.open(event.session)
    call = session.calls.get(event.call)
    if not is_older(event.child, event.session, call.start if call else 0):
        forest.adopt(event.child, event.session, SPAN)
    forest.dirty.update((event.session, event.child))
    if call is None:
        return "already_left"
    learn(call.facts, "child", SPAN, event.child)
    return None
