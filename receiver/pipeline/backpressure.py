"""Building waits while the queue of an exporter is full. The log says so when it begins to, and when it goes on; of a
queue that is full again and again, once in a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from receiver.diagnostics.rate_limit import LogRateLimiter
from receiver.storage.interface import Store

_REMEDY = "`opencode-trace-receiver queue` shows why it is not sent; its sending_queue::queue_size may be raised"
_log = structlog.get_logger(__name__)


class Backpressure:
    """Knows whether one of the `exporters` is full; `limit` gives the bound of each, in items."""

    def __init__(
        self, store: Store, exporters: Iterable[str], limit: Callable[[str], int], seldom: LogRateLimiter | None = None
    ) -> None:
        self._store = store
        self._exporters = sorted(exporters)
        self._limit = limit
        self._seldom = seldom or LogRateLimiter()
        self._told = ""  # the exporter that building is said to wait for

    def is_full(self) -> bool:
        """Whether building has to wait now."""
        full = [name for name in self._exporters if self._items(name) >= self._limit(name)]
        if not full and self._told:
            _log.info("building goes on")
            self._told = ""
        elif full and self._told not in full:
            self._tell(full[0])
        return bool(full)

    def _tell(self, exporter: str) -> None:
        if self._seldom.suppressed(exporter) is None:
            return
        self._told = exporter
        _log.warning(
            "building waits: the queue of an exporter is full",
            exporter=exporter,
            items=self._items(exporter),
            queue_size=self._limit(exporter),
            then=_REMEDY,
        )

    def _items(self, exporter: str) -> int:
        return self._store.queue_size(exporter).items
