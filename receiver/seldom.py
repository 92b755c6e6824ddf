"""Lines that repeat themselves: one of a kind is said in a while, and how many were not is said with the next one. So
neither a client nor a backend nor a full disk can fill the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

PAUSE = 60.0  # s between two lines of one kind
_MOST = 20  # kinds in a while: where a kind is told by somebody else's words, those could be new every time


class Seldom:
    """Remembers when something of a kind was last said."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, pause: float = PAUSE) -> None:
        self._clock = clock
        self._pause = pause
        self._said: dict[Hashable, float] = {}
        self._unsaid: dict[Hashable, int] = {}

    def unsaid(self, kind: Hashable) -> int | None:
        """How many of the kind were not said since the last that was; None where this one is not to be said either."""
        now = self._clock()
        last = self._said.get(kind)
        if last is not None and now - last < self._pause:
            self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
            return None
        if last is None and not self._has_room(now):
            return None
        self._said[kind] = now
        return self._unsaid.pop(kind, 0)

    def _has_room(self, now: float) -> bool:
        if len(self._said) >= _MOST:
            for kind in [kind for kind, last in self._said.items() if now - last >= self._pause]:
                del self._said[kind]
                self._unsaid.pop(kind, None)
        return len(self._said) < _MOST
