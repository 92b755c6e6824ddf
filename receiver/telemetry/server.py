"""Serves GET /metrics for Prometheus, and updates the gauges before each scrape. Without start() it serves nothing and
updates the gauges for the push.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

import structlog
from aiohttp import web

from receiver.errors import described
from receiver.net.http_site import HttpSite
from receiver.telemetry.exposition import CONTENT_TYPE, exposition
from receiver.telemetry.metrics import Metrics
from receiver.telemetry.state import Process, State, set_gauges, set_initial

PATH = "/metrics"
_STORE_TIMEOUT = 5.0  # s; Prometheus' own timeout is 10

_log = structlog.get_logger(__name__)


class MetricsServer:
    """Serves the metrics. `read_state` reads the sizes in the store; while it fails, the gauges
    are left out.

    `capacity` gives the bound of an exporter's queue, in items.
    """

    def __init__(
        self, metrics: Metrics, read_state: Callable[[], Awaitable[State]], capacity: Callable[[str], int]
    ) -> None:
        self._metrics = metrics
        self._read_state = read_state
        self._capacity = capacity
        self._process = Process()
        app = web.Application()
        app.router.add_get(PATH, self._handle)
        self._site = HttpSite(app)

    async def count_initial(self) -> None:
        """Set the metrics of the initial contents of the store. Call it before anything is received, built or sent."""
        set_initial(self._metrics, await self._read_state())

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Serve these listening sockets; stop() closes them."""
        await self._site.start(sockets)

    async def stop(self) -> None:
        """Stop serving."""
        await self._site.stop()

    async def refresh(self) -> None:
        """Update the gauges, and the metrics of the process."""
        self._process.update(self._metrics)
        try:
            async with asyncio.timeout(_STORE_TIMEOUT):
                set_gauges(self._metrics, await self._read_state(), self._capacity)
        except Exception as error:
            _log.warning("the gauges of the store could not be updated", error=described(error))

    async def _handle(self, request: web.Request) -> web.Response:
        await self.refresh()
        text = exposition(self._metrics.collect())
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})
