"""Proxies connections to a server of this program that listens on another socket: bytes are copied both ways.

Every gRPC request on a shared port passes here, so this is built from asyncio's callbacks alone: no task, stream or
queue stands between a read and the write that follows it (`benchmarks/bench_shared_port.py` measures the cost).
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias, cast

import structlog

from receiver.net.address import split_host_port

# Takes over an accepted connection: its transport, and the bytes that were read from it already.
ConnectionHandler: TypeAlias = Callable[[asyncio.Transport, bytes], None]

_log = structlog.get_logger(__name__)
ABSTRACT = "\0"  # starts the name of a Unix socket that is no file (unix(7)); gRPC calls it `unix-abstract:`
_BUFFER_BYTES = 1 << 18  # asyncio's own size; with less, a large request takes more turns of the loop
_MAX_UNSENT_BYTES = 1 << 20  # unsent to one side before reading from the other side pauses


class SocketProxy:
    """A ConnectionHandler that proxies to a server at `address`: `host:port` or `unix:` and a path.

    A side that reads slowly makes the other wait. A client may close its direction and still read the answer; when the
    server closes, the connection ends.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        # One for all connections: asyncio runs nothing between get_buffer() and buffer_updated().
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._connecting: set[asyncio.Task[None]] = set()
        self._clients: set[_Side] = set()
        self._no_clients = asyncio.Event()
        self._no_clients.set()

    def __call__(self, transport: asyncio.Transport, first_bytes: bytes) -> None:
        client = _Side(self._buffer, self._client_closed)
        transport.pause_reading()
        transport.set_protocol(client)
        client.connection_made(transport)
        self._clients.add(client)
        self._no_clients.clear()
        task = asyncio.get_running_loop().create_task(self._connect_sides(client, transport, first_bytes))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def close(self, grace: float) -> None:
        """Wait up to `grace` seconds for the proxied connections to end, then abort them."""
        try:
            await asyncio.wait_for(self._no_clients.wait(), grace)
        except TimeoutError:
            for client in list(self._clients):
                client.abort()
        for task in list(self._connecting):
            task.cancel()

    async def _connect_sides(self, client: _Side, transport: asyncio.Transport, first_bytes: bytes) -> None:
        try:
            server = await self._connect(transport)
        except OSError as error:
            _log.debug("cannot proxy a connection: its server does not answer", address=self._address, error=str(error))
            client.abort()
            return
        client.other = server
        server.other = client
        server.write(first_bytes)
        if transport.is_closing():
            server.abort()
        else:
            transport.resume_reading()

    async def _connect(self, client: asyncio.Transport) -> _Side:
        loop = asyncio.get_running_loop()

        def make() -> _Side:
            return _Side(self._buffer)

        if self._address.startswith("unix:"):
            named = _socket_named_after(client.get_extra_info("peername"))
            try:
                named.setblocking(False)
                await loop.sock_connect(named, self._address.removeprefix("unix:"))
            except OSError:
                named.close()
                raise
            return (await loop.create_unix_connection(make, sock=named))[1]
        host, port = split_host_port(self._address)
        return (await loop.create_connection(make, host, port))[1]

    def _client_closed(self, client: _Side) -> None:
        self._clients.discard(client)
        if not self._clients:
            self._no_clients.set()


def _socket_named_after(client: Any) -> socket.socket:
    """A Unix socket with the client's address as its abstract name (Linux only), so that the server can log the client.

    Where another connection has the name already, the socket has none.
    """
    named = socket.socket(socket.AF_UNIX)
    if sys.platform == "linux" and isinstance(client, tuple):
        host, port = client[:2]
        name = f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
        with suppress(OSError):
            named.bind(f"{ABSTRACT}{name}")
    return named


class _Side(asyncio.BufferedProtocol):
    """One side of a proxied connection: what it reads, the `other` writes. The client's side calls `on_close`."""

    def __init__(self, buffer: memoryview, on_close: Callable[[_Side], None] | None = None) -> None:
        self.other: _Side | None = None
        self._buffer = buffer
        self._on_close = on_close
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(_MAX_UNSENT_BYTES)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self.other is not None:
            self.other.write(bytes(self._buffer[:nbytes]))  # a copy: a transport may keep what it cannot send yet

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and self.other._transport is not None:
            self.other._transport.pause_reading()

    def resume_writing(self) -> None:
        other = self.other._transport if self.other is not None else None
        if other is not None and not other.is_closing():
            other.resume_reading()

    def eof_received(self) -> bool:
        if self.other is None:
            return False
        return self.other.end(half=self._on_close is not None)

    def end(self, half: bool) -> bool:
        """The other side sends no more; `half`: it still reads. Returns whether this side may still send to it."""
        if self._transport is None or self._transport.is_closing():
            return False
        if half and self._transport.can_write_eof():
            self._transport.write_eof()
            return True
        self._transport.close()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        other, self.other = self.other, None
        if other is not None and other._transport is not None:
            if exc is None:
                other._transport.close()
            else:
                other._transport.abort()
        if self._on_close is not None:
            self._on_close(self)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
