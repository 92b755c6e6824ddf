"""A small HTTP server on sockets that are already bound: how the operator endpoints over HTTP start and stop. The OTLP
server is another one (otlp/http_server.py), since it limits its clients.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from aiohttp import web


class HttpSite:
    """Serves one aiohttp application."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._runner: web.AppRunner | None = None

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Serve these listening sockets; stop() closes them."""
        self._runner = web.AppRunner(self._app, access_log=None)
        await self._runner.setup()
        for listening in sockets:
            await web.SockSite(self._runner, listening).start()

    async def stop(self) -> None:
        """Close the sockets and end the requests in progress. Does nothing before start()."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
