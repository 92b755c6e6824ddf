"""One tree during a look: what planning reads and applying writes."""

from __future__ import annotations

from receiver.core.segmentation.tree_segments import TreeView
from receiver.core.state.forest import Forest
from receiver.core.state.session import Session
from receiver.core.state.settings import BuilderSettings
from receiver.outcome import Outcome


class EmittedTree:
    """A root with everything below it. Its segments are computed when they are first asked for, and anew after a
    roll-over."""

    def __init__(self, settings: BuilderSettings, forest: Forest, root: Session, outcome: Outcome) -> None:
        self.settings = settings
        self.forest = forest
        self.root = root
        self.outcome = outcome
        self.emitted_now: set[tuple[str, str]] = set()  # calls without an id, by this look: (session, call)
        self._view: TreeView | None = None

    @property
    def view(self) -> TreeView:
        """The segments of every session of the tree."""
        if self._view is None:
            self._view = TreeView(self.forest, self.root, self.settings)
        return self._view

    def forget_view(self) -> None:
        """The trace rolled over: segments are not what they were."""
        self._view = None
