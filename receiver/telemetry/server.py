"""The metrics' door: GET /metrics for Prometheus, and nothing else. Its sockets are bound by whoever starts it. Without
any, it still brings the gauges up to date for those who push.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

import structlog
from aiohttp import web

from receiver.errors import described
from receiver.telemetry.exposition import CONTENT_TYPE, exposition
from receiver.telemetry.metrics import Metrics
from receiver.telemetry.state import Process, State, show_start, show_state

PATH = "/metrics"
_PATIENCE = 5.0  # s; Prometheus gives up after 10

_log = structlog.get_logger(__name__)


class MetricsServer:
    """Serves one program's metrics. `look` asks for the state of the store; while it fails, counters are served alone.

    `capacity` gives the bound of an exporter's queue, in items.
    """

    def __init__(self, metrics: Metrics, look: Callable[[], Awaitable[State]], capacity: Callable[[str], int]) -> None:
        self._metrics = metrics
        self._look = look
        self._capacity = capacity
        self._process = Process()
        self._runner: web.AppRunner | None = None

    async def begin(self) -> None:
        """Note what the store holds, before anything is received, built or sent."""
        show_start(self._metrics, await self._look())

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Serve these listening sockets, which belong to the server from now on."""
        app = web.Application()
        app.router.add_get(PATH, self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        for listening in sockets:
            await web.SockSite(self._runner, listening).start()

    async def stop(self) -> None:
        """Close the door."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def refresh(self) -> None:
        """Bring up to date what is not counted but looked at."""
        self._process.show(self._metrics)
        try:
            async with asyncio.timeout(_PATIENCE):
                show_state(self._metrics, await self._look(), self._capacity)
        except Exception as error:
            _log.warning("the store's state is missing from the metrics", error=described(error))

    async def _answer(self, request: web.Request) -> web.Response:
        await self.refresh()
        text = exposition(self._metrics.collect())
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})
