"""A door: a listening socket whose connections go to one of two backends, by the first bytes that they send.

HTTP/2 with prior knowledge, which is how gRPC speaks without TLS, opens with a fixed preface; all else is
HTTP/1. A backend is given the transport and what was read, once; a connection that stays in this process pays
nothing more. Nothing here knows what gRPC or HTTP/1 say after that, so a door can stand before either server.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, 3.4

Backend: TypeAlias = Callable[[asyncio.Transport, bytes], None]

_log = logging.getLogger(__name__)
_CHUNK = 1 << 16
_FIRST_BYTES_TIMEOUT = 60.0  # net/http's ReadHeaderTimeout as confighttp sets it


class Door:
    """Accepts connections and hands each to `http1` or `http2`; without `http2` all go to `http1`."""

    def __init__(self, http1: Backend, http2: Backend | None = None) -> None:
        self._http1 = http1
        self._http2 = http2
        self._undecided: set[_Peek] = set()
        self._servers: list[asyncio.Server] = []

    async def open(self, sockets: Sequence[socket.socket], context: ssl.SSLContext | None = None) -> None:
        """Serve the listening `sockets`, which are the door's from now on; over TLS with a `context`."""
        loop = asyncio.get_running_loop()
        for listening in sockets:
            self._servers.append(await loop.create_server(self._peek, sock=listening, ssl=context))

    def close(self) -> None:
        """Accept no more. What was handed on lives; what is not decided yet is closed."""
        for server in self._servers:
            server.close()
        for peek in list(self._undecided):
            peek.close()

    def _peek(self) -> _Peek:
        return _Peek(self._http1, self._http2, self._undecided)


class _Peek(asyncio.Protocol):
    """Reads until the preface is complete or ruled out: for HTTP/1 that is the first or second byte."""

    def __init__(self, http1: Backend, http2: Backend | None, undecided: set[_Peek]) -> None:
        self._http1 = http1
        self._http2 = http2
        self._undecided = undecided
        self._seen = b""
        self._transport: asyncio.Transport | None = None
        self._timeout: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._undecided.add(self)
        self._timeout = asyncio.get_running_loop().call_later(_FIRST_BYTES_TIMEOUT, self.close)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if self._http2 is None:
            return self._hand_to(self._http1)
        if self._seen.startswith(HTTP2_PREFACE):
            return self._hand_to(self._http2)
        if not HTTP2_PREFACE.startswith(self._seen):
            return self._hand_to(self._http1)
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _hand_to(self, backend: Backend) -> None:
        transport, self._transport = self._transport, None
        self._forget()
        if transport is not None:
            backend(transport, self._seen)

    def _forget(self) -> None:
        self._undecided.discard(self)
        if self._timeout is not None:
            self._timeout.cancel()


class InProcess:
    """A backend that is an asyncio protocol of this process, made by `factory`."""

    def __init__(self, factory: Callable[[], asyncio.Protocol]) -> None:
        self._factory = factory

    def __call__(self, transport: asyncio.Transport, seen: bytes) -> None:
        protocol = self._factory()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(seen)


class Splice:
    """A backend behind another socket, `host:port` or `unix:` path: bytes are copied both ways.

    A side that reads slowly makes the other wait; the end of one direction is passed on, and the other lives.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._running: set[asyncio.Task[None]] = set()

    def __call__(self, transport: asyncio.Transport, seen: bytes) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_CHUNK, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        reader.feed_data(seen)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        task = loop.create_task(self._run(reader, writer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self, grace: float) -> None:
        """Wait up to `grace` seconds for the spliced connections to end, then cut them."""
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            backend_reader, backend_writer = await self._connect()
            ends.append(backend_writer)
            async with asyncio.TaskGroup() as copying:
                copying.create_task(_copy(reader, backend_writer))
                copying.create_task(_copy(backend_reader, writer))
        except* OSError as group:
            _log.debug("a connection spliced to %s was cut: %s", self._address, group.exceptions[0])
        finally:
            for end in ends:  # whatever was to be delivered has been, or never will be
                end.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._address.startswith("unix:"):
            return await asyncio.open_unix_connection(self._address.removeprefix("unix:"), limit=_CHUNK)
        host, _, port = self._address.rpartition(":")
        return await asyncio.open_connection(host.strip("[]"), int(port), limit=_CHUNK)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof() and not writer.is_closing():
        writer.write_eof()
