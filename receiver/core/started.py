"""A task call's child, once spans state it (core/lineage.py): the call's register and the child's parent, as if the
call's own record had named it. Who told plays no part: it is a span or a line of either session, whichever came last.
"""

from __future__ import annotations

from receiver.core.facts import Item, learn
from receiver.core.forest import Forest
from receiver.core.history import is_older
from receiver.core.ids import creation_time
from receiver.events import SPAN, ChildTold


def take_started(forest: Forest, _: object, event: ChildTold) -> str | None:
    """Merge one link. Returns why it added nothing."""
    near = creation_time(event.session, 1) or 0  # ids repeat every two years; which ones are meant plays no part here
    if not is_older(event.child, event.session, near):
        forest.adopt(event.child, event.session, SPAN)
    session = forest.open(event.session)
    forest.dirty.update((event.session, event.child))
    if forest.has_left(event.session, f"call:{event.call}"):
        return "already_left"
    call = session.calls.setdefault(event.call, Item(key=event.call, facts={}))
    learn(call.facts, "child", SPAN, event.child)
    return None
