"""Lines that repeat themselves: so many of a kind are said in a while, and how many were not is said with the next one,
as `left_out`. So neither a client nor a backend nor a full disk can fill the log.

Whoever knows what repeats itself asks a LogRateLimiter of its own, and says one line of a kind in a minute: a kind of
refusal, a reason. Behind them all stands logs.Sparing, for what nobody thought of and what libraries say: ten lines in
a minute of one text, whatever the values in it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

PAUSE = 60.0  # s between two lines of one kind
_MOST = 20  # kinds in a while: where a kind is told by somebody else's words, those could be new every time


@dataclass(slots=True)
class _While:
    began: float
    asked: int = 0


class LogRateLimiter:
    """Remembers of each kind when its last while began and how many lines there were since: `at_once` are said in it,
    and of `most` kinds. May be asked by any thread.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        pause: float = PAUSE,
        *,
        at_once: int = 1,
        most: int = _MOST,
    ) -> None:
        self._clock = clock
        self._pause = pause
        self._at_once = at_once
        self._most = most
        self._lock = threading.Lock()
        self._whiles: dict[Hashable, _While] = {}

    def unsaid(self, kind: Hashable) -> int | None:
        """How many of the kind were not said since the last that was; None where this one is not to be said either."""
        with self._lock:
            return self._unsaid(kind, self._clock())

    def _unsaid(self, kind: Hashable, now: float) -> int | None:
        last = self._whiles.get(kind)
        if last is not None and now - last.began < self._pause:
            last.asked += 1
            return 0 if last.asked <= self._at_once else None
        if last is None and not self._has_room(now):
            return None
        self._whiles[kind] = _While(now, 1)
        return max(0, last.asked - self._at_once) if last else 0

    def _has_room(self, now: float) -> bool:
        if len(self._whiles) >= self._most:
            for kind in [kind for kind, last in self._whiles.items() if now - last.began >= self._pause]:
                del self._whiles[kind]
        return len(self._whiles) < self._most
