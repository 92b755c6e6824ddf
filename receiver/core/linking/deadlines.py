"""Deadlines: how long (ns of the receiver's clock) to wait for more of a session, by what is known of it.
core/linking/unplaced_sessions.py says which sessions wait for one another.
"""

from __future__ import annotations

from dataclasses import dataclass

from receiver.core.state.forest import Forest
from receiver.core.state.session import Session
from receiver.core.state.settings import BuilderSettings


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The deadlines of a forest's sessions."""

    settings: BuilderSettings
    forest: Forest

    def quiet_at(self, session: Session) -> int:
        """When a session has been quiet for long enough."""
        idle = is_idle(session) and not self._has_running_call(session)
        limit = self.settings.idle_timeout if idle else self.settings.inactivity_timeout
        return session.arrival + session.wait + self.settings.settle + limit

    def tree_quiet_at(self, session: Session) -> int:
        """When a session and everything below it has been quiet for long enough."""
        return max(self.quiet_at(s) for s in self.forest.below(session.id))

    def settled_at(self, session: Session) -> int:
        """When the last record of a session, or of anything below it, has settled."""
        return max(s.arrival + s.wait + self.settings.settle for s in self.forest.below(session.id))

    def _has_running_call(self, session: Session) -> bool:
        """Whether a session without activity of its own is named by a call that still runs."""
        parent = self.forest.get(session.parent) if session.parent and not session.activities else None
        return parent is not None and any(c.get("child") == session.id and not c.end for c in parent.calls.values())


def is_idle(session: Session) -> bool:
    """Whether a session's turn is over, or nothing of what it does is known."""
    return session.is_resting(session.activities[-1]) if session.activities else not session.series
