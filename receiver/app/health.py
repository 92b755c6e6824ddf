"""Health over HTTP, like the Collector's health_check: 200 while requests can be persisted, 503 otherwise and while the
receiver stops.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from aiohttp import web

from receiver.net.http_site import HttpSite

_CHECK_TIMEOUT = 5.0  # s
_CACHE_TIME = 1.0  # s that a result is reused: a check writes to the disk, and clients are not limited


class HealthServer:
    """Answers GET and HEAD on `path`; with `/`, on every path. `check` raises when requests cannot be persisted."""

    def __init__(
        self,
        check: Callable[[], Awaitable[object]],
        path: str = "/",
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._check = check
        self._started = datetime.now(UTC)
        self._clock = clock
        self._since = self._clock()
        self._stopping = False
        self._checked_at: float | None = None
        self._available = False
        self._checking = asyncio.Lock()
        app = web.Application()
        app.router.add_get("/{path:.*}" if path == "/" else path, self._handle)
        self._site = HttpSite(app)

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Serve these listening sockets; stop() closes them."""
        await self._site.start(sockets)

    def stopping(self) -> None:
        """Answer 503 from now on."""
        self._stopping = True

    async def stop(self) -> None:
        """Stop serving."""
        await self._site.stop()

    async def _handle(self, request: web.Request) -> web.Response:
        if not await self._is_available():
            return web.json_response({"status": "Server not available"}, status=503)
        uptime = self._clock() - self._since
        return web.json_response(
            {"status": "Server available", "upSince": self._started.isoformat(), "uptime": go_duration(uptime)}
        )

    async def _is_available(self) -> bool:
        async with self._checking:
            fresh = self._checked_at is not None and self._clock() - self._checked_at < _CACHE_TIME
            if not (self._stopping or fresh):
                self._available = await self._run_check()
                self._checked_at = self._clock()
        return self._available and not self._stopping

    async def _run_check(self) -> bool:
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT):
                await self._check()
        except Exception:  # whatever the error is, requests cannot be persisted
            return False
        return True


def go_duration(seconds: float) -> str:
    """A duration in Go's form, which clients of the Collector's health_check parse: `1h2m3.5s`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:.3f}".rstrip("0").rstrip(".")
    if hours:
        return f"{hours}h{minutes}m{text}s"
    return f"{minutes}m{text}s" if minutes else f"{text}s"
