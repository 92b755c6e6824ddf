"""The receiver's clock: all deadlines and ages are in it, so that no step of the wall clock can stop or hasten a span.

At a start it is the later of the wall clock and the time that the store has last seen; then it runs with the time since
boot, which counts suspended time and is never set. Wall time is only shown to people.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # Linux; macOS' monotonic clock counts suspension


def boot_time() -> int:
    """Time since boot, suspended time included where the system counts it (ns)."""
    return time.clock_gettime_ns(_BOOT_CLOCK)


class ReceiverClock:
    """Called, it gives the time (ns since the Unix epoch, by the wall clock of its start). It never goes back, also
    over a restart: `stored` is the time that the store has last seen. `boot` counts suspended time, `awake` does not.
    """

    def __init__(
        self,
        stored: int = 0,
        *,
        wall: Callable[[], int] = time.time_ns,
        boot: Callable[[], int] = boot_time,
        awake: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._boot, self._awake = boot, awake
        self._offset = max(stored, wall()) - boot()
        self._suspended_before = boot() - awake()

    def __call__(self) -> int:
        """The time (ns)."""
        return self._offset + self._boot()

    def suspended(self) -> int:
        """For how long the machine was suspended since the start (ns)."""
        return self._boot() - self._awake() - self._suspended_before
