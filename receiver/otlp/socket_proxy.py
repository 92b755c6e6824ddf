"""Splicing: the bytes of a connection are copied, both ways, to a server of this program behind another socket.

It is on the way of every gRPC request, so it is built from asyncio's callbacks alone: no task, stream or queue stands
between a read and the write that follows it (`benchmarks/bench_doors.py` says what it costs).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias, cast

Backend: TypeAlias = Callable[[asyncio.Transport, bytes], None]

_log = logging.getLogger(__name__)
_CHUNK = 1 << 18  # asyncio's own; less makes more turns of the loop of a large request
ABSTRACT = "\0"  # how a Unix socket's name begins that is no file's (unix(7)); gRPC calls it `unix-abstract:`
_HIGH_WATER = 1 << 20  # what may wait for a side that reads slowly before the other is held back


class Splice:
    """A backend behind another socket, `host:port` or `unix:` path.

    A side that reads slowly makes the other wait. A client may end its direction and still read the answer; when the
    server ends, so does the connection.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        # One for all: between get_buffer() and buffer_updated() of a connection, asyncio runs nothing else.
        self._buffer = memoryview(bytearray(_CHUNK))
        self._connecting: set[asyncio.Task[None]] = set()
        self._clients: set[_End] = set()
        self._none_left = asyncio.Event()
        self._none_left.set()

    def __call__(self, transport: asyncio.Transport, seen: bytes) -> None:
        client = _End(self._buffer, self._left)
        transport.pause_reading()
        transport.set_protocol(client)
        client.connection_made(transport)
        self._clients.add(client)
        self._none_left.clear()
        task = asyncio.get_running_loop().create_task(self._join(client, transport, seen))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def close(self, grace: float) -> None:
        """Wait up to `grace` seconds for the spliced connections to end, then cut them."""
        try:
            await asyncio.wait_for(self._none_left.wait(), grace)
        except TimeoutError:
            for client in list(self._clients):
                client.abort()
        for task in list(self._connecting):
            task.cancel()

    async def _join(self, client: _End, transport: asyncio.Transport, seen: bytes) -> None:
        try:
            server = await self._connect(transport)
        except OSError as error:
            _log.debug("nothing is behind this door at %s: %s", self._address, error)
            client.abort()
            return
        client.join(server)
        server.join(client)
        server.write(seen)
        if transport.is_closing():
            server.abort()
        else:
            transport.resume_reading()

    async def _connect(self, client: asyncio.Transport) -> _End:
        loop = asyncio.get_running_loop()

        def make() -> _End:
            return _End(self._buffer)

        if self._address.startswith("unix:"):
            named = _named_after(client.get_extra_info("peername"))
            try:
                named.setblocking(False)
                await loop.sock_connect(named, self._address.removeprefix("unix:"))
            except OSError:
                named.close()
                raise
            return (await loop.create_unix_connection(make, sock=named))[1]
        host, _, port = self._address.rpartition(":")
        return (await loop.create_connection(make, host.strip("[]"), int(port)))[1]

    def _left(self, client: _End) -> None:
        self._clients.discard(client)
        if not self._clients:
            self._none_left.set()


def _named_after(client: Any) -> socket.socket:
    """A Unix socket that bears the client's address, so that the server behind can say who it was; where names that are
    no files exist (Linux). Two connections of one name are told apart by nothing, so the second has none."""
    named = socket.socket(socket.AF_UNIX)
    if sys.platform == "linux" and isinstance(client, tuple):
        host, port = client[:2]
        name = f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
        with suppress(OSError):
            named.bind(f"{ABSTRACT}{name}")
    return named


class _End(asyncio.BufferedProtocol):
    """One end of a splice: what it reads, the other writes. The client's end tells `left` when it is gone."""

    def __init__(self, buffer: memoryview, left: Callable[[_End], None] | None = None) -> None:
        self._buffer = buffer
        self._left = left
        self._transport: asyncio.Transport | None = None
        self._other: _End | None = None

    def join(self, other: _End) -> None:
        self._other = other

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(_HIGH_WATER)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._other is not None:
            self._other.write(bytes(self._buffer[:nbytes]))  # a copy: a transport may keep what it cannot send yet

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def pause_writing(self) -> None:
        if self._other is not None and self._other._transport is not None:
            self._other._transport.pause_reading()

    def resume_writing(self) -> None:
        other = self._other._transport if self._other is not None else None
        if other is not None and not other.is_closing():
            other.resume_reading()

    def eof_received(self) -> bool:
        if self._other is None:
            return False
        return self._other.end(half=self._left is not None)

    def end(self, half: bool) -> bool:
        """The other end has no more to say. Returns whether it may still be told something."""
        if self._transport is None or self._transport.is_closing():
            return False
        if half and self._transport.can_write_eof():
            self._transport.write_eof()
            return True
        self._transport.close()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        other, self._other = self._other, None
        if other is not None and other._transport is not None:
            if exc is None:
                other._transport.close()
            else:
                other._transport.abort()
        if self._left is not None:
            self._left(self)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
