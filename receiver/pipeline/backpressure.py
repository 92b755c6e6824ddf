"""Building waits while an exporter's queue is full. The log says when the wait begins and ends, at most once a minute
for each exporter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from receiver.diagnostics.rate_limit import LogRateLimiter
from receiver.storage.interface import Store

_REMEDY = "`opencode-trace-receiver queue` shows why sending fails; raise sending_queue::queue_size for a larger queue"
_log = structlog.get_logger(__name__)


class Backpressure:
    """Knows whether one of the `exporters` has a full queue; `limit` gives each queue's bound, in items."""

    def __init__(
        self, store: Store, exporters: Iterable[str], limit: Callable[[str], int], limiter: LogRateLimiter | None = None
    ) -> None:
        self._store = store
        self._exporters = sorted(exporters)
        self._limit = limit
        self._limiter = limiter or LogRateLimiter()
        self._logged_exporter = ""  # the exporter that the last warning named; empty when building does not wait

    def is_full(self) -> bool:
        """Whether building has to wait now."""
        full = [name for name in self._exporters if self._items(name) >= self._limit(name)]
        if not full and self._logged_exporter:
            _log.info("building resumed")
            self._logged_exporter = ""
        elif full and self._logged_exporter not in full:
            self._warn(full[0])
        return bool(full)

    def _warn(self, exporter: str) -> None:
        if self._limiter.suppressed(exporter) is None:
            return
        self._logged_exporter = exporter
        _log.warning(
            "building waits: the queue of an exporter is full",
            exporter=exporter,
            items=self._items(exporter),
            queue_size=self._limit(exporter),
            then=_REMEDY,
        )

    def _items(self, exporter: str) -> int:
        return self._store.queue_size(exporter).items
