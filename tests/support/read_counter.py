"""A dict of emitted records that counts how often all of it is read. Tests bound the work and not the time, which
depends on the machine.
"""

from __future__ import annotations

from receiver.core.state.session import EmittedRecord


class ReadCounter(dict[str, EmittedRecord]):
    """Replaces a forest's emitted records of a session. `reads` counts the calls of `items`."""

    reads = 0

    def items(self):
        """Every record; counted."""
        self.reads += 1
        return super().items()
