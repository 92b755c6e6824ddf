"""Health over HTTP, as the Collector's health_check answers it: 200 while requests can be persisted, 503 otherwise and
while stopping. An edge: whether they can be is asked, not decided here.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from aiohttp import web

_PATIENCE = 5.0  # s that the store may take to answer
_REMEMBERED = 1.0  # s that an answer holds: asking costs a write, and anybody may ask as often as he likes


class HealthServer:
    """Answers GET and HEAD on `path`; on `/` whatever the path. `check` raises when nothing can be persisted."""

    def __init__(
        self,
        check: Callable[[], Awaitable[object]],
        path: str = "/",
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._check = check
        self._path = path
        self._started = datetime.now(UTC)
        self._clock = clock
        self._since = self._clock()
        self._stopping = False
        self._answered: float | None = None
        self._available = False
        self._asking = asyncio.Lock()
        self._runner: web.AppRunner | None = None

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Serve these listening sockets, which belong to the server from now on."""
        app = web.Application()
        app.router.add_get("/{path:.*}" if self._path == "/" else self._path, self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        for listening in sockets:
            await web.SockSite(self._runner, listening).start()

    def stopping(self) -> None:
        """Say 503 from now on, whatever the store says."""
        self._stopping = True

    async def stop(self) -> None:
        """Close the door."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        if not await self._is_available():
            return web.json_response({"status": "Server not available"}, status=503)
        uptime = self._clock() - self._since
        return web.json_response(
            {"status": "Server available", "upSince": self._started.isoformat(), "uptime": go_duration(uptime)}
        )

    async def _is_available(self) -> bool:
        async with self._asking:
            fresh = self._answered is not None and self._clock() - self._answered < _REMEMBERED
            if not (self._stopping or fresh):
                self._available = await self._ask()
                self._answered = self._clock()
        return self._available and not self._stopping

    async def _ask(self) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._check()
        except Exception:  # whatever it is, requests cannot be persisted
            return False
        return True


def go_duration(seconds: float) -> str:
    """As Go writes a duration, which is what the Collector's readers parse: `1h2m3.5s`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:.3f}".rstrip("0").rstrip(".")
    if hours:
        return f"{hours}h{minutes}m{text}s"
    return f"{minutes}m{text}s" if minutes else f"{text}s"
