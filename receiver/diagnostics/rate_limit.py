"""Rate-limits log lines per key; the next line says how many were suppressed, as `left_out`. So neither a client nor a
backend nor a full disk can fill the log.

Two limits, both in RateLimitProcessor. An event that is known to repeat itself names a `limit_key`, such as the reason
of a refusal: one line a minute passes for each key. All other warnings and errors, those of libraries too, are limited
by their text: ten lines a minute.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from structlog import DropEvent

LIMIT_SECONDS = 60.0
MAX_KEYS = 20  # of one event in LIMIT_SECONDS: a key in somebody else's words could be a new one every time
MAX_LINES_PER_TEXT = 10  # in LIMIT_SECONDS; more of them say no more
MAX_TEXTS = 1_000  # that are remembered: what libraries log is not from a fixed list

Event: TypeAlias = MutableMapping[str, Any]

_LIMITED_METHODS = {"warn", "warning", "error", "exception", "critical"}


@dataclass(slots=True)
class _Window:
    began: float  # seconds of the clock
    lines: int = 0


class LogRateLimiter:
    """Lets `max_lines` of a key pass in a window of `seconds`, and `max_keys` different keys. Thread-safe."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        seconds: float = LIMIT_SECONDS,
        *,
        max_lines: int = 1,
        max_keys: int = MAX_KEYS,
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._max_lines = max_lines
        self._max_keys = max_keys
        self._lock = threading.Lock()
        self._windows: dict[Hashable, _Window] = {}

    def suppressed(self, key: Hashable) -> int | None:
        """How many lines of the key were suppressed in its last window; None where this one is to be suppressed too."""
        with self._lock:
            return self._suppressed(key, self._clock())

    def _suppressed(self, key: Hashable, now: float) -> int | None:
        window = self._windows.get(key)
        if window is not None and now - window.began < self._seconds:
            window.lines += 1
            return 0 if window.lines <= self._max_lines else None
        if window is None and not self._has_room(now):
            return None
        self._windows[key] = _Window(now, 1)
        return max(0, window.lines - self._max_lines) if window else 0

    def _has_room(self, now: float) -> bool:
        if len(self._windows) >= self._max_keys:
            for key in [key for key, window in self._windows.items() if now - window.began >= self._seconds]:
                del self._windows[key]
        return len(self._windows) < self._max_keys


class RateLimitProcessor:
    """The limit of the whole log as a structlog processor. It takes these keys out of an event:

    - `limit_key`: hashable; one line for each key passes in `limit_seconds`, counted per event text and exporter
    - `limit_seconds`: the window of `limit_key`, 60 s without it; always the same for one event text
    - `limit_text`: stands for the event's text where values are formatted into it already

    With `keep_as_debug`, suppressed lines that have a `limit_key` pass at level debug instead. `clock` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, keep_as_debug: bool = False) -> None:
        self._clock = clock
        self._keep_as_debug = keep_as_debug
        self._by_text = LogRateLimiter(clock, max_lines=MAX_LINES_PER_TEXT, max_keys=MAX_TEXTS)
        self._by_key: dict[tuple[object, object], LogRateLimiter] = {}

    def __call__(self, logger: Any, method: str, event: Event) -> Event:
        """The event without the keys above. Raises DropEvent where it is suppressed."""
        text, exporter = event.pop("limit_text", event.get("event")), event.get("exporter", "")
        key, seconds = event.pop("limit_key", None), event.pop("limit_seconds", LIMIT_SECONDS)
        if key is not None:
            limiter = self._by_key.setdefault((text, exporter), LogRateLimiter(self._clock, seconds))
            suppressed = limiter.suppressed(key)
        elif method in _LIMITED_METHODS:
            suppressed = self._by_text.suppressed((text, exporter))
        else:
            return event
        if suppressed is None and key is not None and self._keep_as_debug:
            event["level"] = "debug"
        elif suppressed is None:
            raise DropEvent
        elif suppressed:
            event["left_out"] = suppressed
        return event
