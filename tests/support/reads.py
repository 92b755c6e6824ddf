"""What has left of a session, and how often all of it was read: work is counted, since time depends on the machine."""

from __future__ import annotations

from receiver.core.state.session import EmittedRecord


class Read(dict[str, EmittedRecord]):
    """Stands in for what a forest remembers of a session."""

    reads = 0

    def items(self):
        """All of it."""
        self.reads += 1
        return super().items()
