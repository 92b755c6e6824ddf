"""Applies changes to a session that stands alone."""

from __future__ import annotations

from receiver.core.emission.apply import ChangeApplier
from receiver.core.emission.changes import Change
from receiver.core.emission.tree import EmittedTree
from receiver.core.state.emitted import EmittedItems
from receiver.core.state.forest import Forest
from receiver.core.state.session import Session
from receiver.outcome import Outcome
from tests.support.factories import SETTINGS


def apply(session: Session, emitted: EmittedItems, *changes: Change) -> None:
    """Carry out changes of a session, of which this much was emitted."""
    forest = Forest()
    forest.put(session, emitted)
    applier = ChangeApplier(EmittedTree(SETTINGS, forest, session, Outcome()))
    for change in changes:
        applier(change)
