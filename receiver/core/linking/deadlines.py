"""Waiting: how long (ns of the receiver's clock) to wait for more of one session, by what is known of it. What sessions
wait for one another stands in core/linking/unplaced_sessions.py, what follows from it in core/builder.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from receiver.core.state.forest import Forest
from receiver.core.state.session import Session
from receiver.core.state.settings import BuilderSettings


@dataclass(frozen=True, slots=True)
class Waiting:
    """The deadlines of the sessions at hand."""

    settings: BuilderSettings
    forest: Forest

    def own(self, session: Session) -> int:
        """When a session has been quiet for long enough."""
        idle = rests(session) and not self._is_called(session)
        limit = self.settings.idle_timeout if idle else self.settings.inactivity_timeout
        return session.arrival + session.wait + self.settings.settle + limit

    def below(self, session: Session) -> int:
        """The same for it and everything below it."""
        return max(self.own(s) for s in self.forest.below(session.id))

    def last_told(self, session: Session) -> int:
        """When the last news of a session or of anything below it has settled."""
        return max(s.arrival + s.wait + self.settings.settle for s in self.forest.below(session.id))

    def _is_called(self, session: Session) -> bool:
        """Whether nothing but a call that is still running tells of a session."""
        parent = self.forest.get(session.parent) if session.parent and not session.activities else None
        return parent is not None and any(c.get("child") == session.id and not c.end for c in parent.calls.values())


def rests(session: Session) -> bool:
    """Whether a session's turn is over, or it told nothing of what it does."""
    return session.is_resting(session.activities[-1]) if session.activities else not (session.series or session.counted)
