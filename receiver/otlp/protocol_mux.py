"""A door: a listening socket whose connections go to one of two backends, by the first bytes that they send.

HTTP/2 with prior knowledge, which is how gRPC speaks without TLS, opens with a fixed preface. Under TLS that is not
undone here, the names in the ClientHello tell. All else is HTTP/1. A backend is given the transport and what was read,
once. Nothing here knows what gRPC or HTTP/1 say after that, so a door can stand before either server.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import cast

from receiver.diagnostics.rate_limit import LogRateLimiter
from receiver.otlp.client_hello import is_tls, is_whole, wants_grpc
from receiver.otlp.socket_proxy import Backend

HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, 3.4

_SPEAKS_TLS = "speaks TLS to %s, which has none: its endpoint must begin with http://, or this one needs tls"
_SPEAKS_NO_TLS = "speaks no TLS to %s, which wants it: its endpoint must begin with https://"

_log = logging.getLogger(__name__)

FIRST_BYTES_TIMEOUT = 60.0  # net/http's ReadHeaderTimeout as confighttp sets it


class Door:
    """Accepts connections and hands each to `http1` or `http2`; without `http2` all go to `http1`.

    `first_bytes_timeout` is how long (s) a client may take until it is known what it speaks. `tls` says whether those
    behind want it: a client that does otherwise is told of, since nobody else sees why it fails.
    """

    def __init__(
        self,
        http1: Backend,
        http2: Backend | None = None,
        first_bytes_timeout: float = FIRST_BYTES_TIMEOUT,
        *,
        tls: bool = False,
    ) -> None:
        self._http1 = http1
        self._http2 = http2
        self._timeout = first_bytes_timeout
        self._tls = tls
        self._seldom = LogRateLimiter()
        self._undecided: set[_Peek] = set()
        self._servers: list[asyncio.Server] = []

    async def open(self, sockets: Sequence[socket.socket], context: ssl.SSLContext | None = None) -> None:
        """Serve the listening `sockets`, which are the door's from now on; over TLS with a `context`."""
        loop = asyncio.get_running_loop()
        for listening in sockets:
            if listening.family == socket.AF_UNIX:
                self._servers.append(await loop.create_unix_server(self._peek, sock=listening, ssl=context))
            else:
                self._servers.append(await loop.create_server(self._peek, sock=listening, ssl=context))

    def close(self) -> None:
        """Accept no more. What was handed on lives; what is not decided yet is closed."""
        for server in self._servers:
            server.close()
        for peek in list(self._undecided):
            peek.close()

    def _peek(self) -> _Peek:
        return _Peek(self._http1, self._http2, self._undecided, self._timeout, self._look)

    def _look(self, transport: asyncio.Transport, seen: bytes) -> None:
        undone = transport.get_extra_info("sslcontext") is not None
        speaks = is_tls(seen)
        if undone or speaks == self._tls or self._seldom.unsaid(speaks) is None:
            return
        told = _SPEAKS_TLS if speaks else _SPEAKS_NO_TLS
        host, port = (transport.get_extra_info("sockname") or ("", ""))[:2]
        peer = (transport.get_extra_info("peername") or ("somebody",))[0]
        _log.warning("%s %s", peer, told % f"{host}:{port}")


class _Peek(asyncio.Protocol):
    """Reads until it is known what the client speaks: without TLS, HTTP/1 is known by its first or second byte."""

    def __init__(
        self,
        http1: Backend,
        http2: Backend | None,
        undecided: set[_Peek],
        timeout: float,
        look: Callable[[asyncio.Transport, bytes], None],
    ) -> None:
        self._http1 = http1
        self._http2 = http2
        self._undecided = undecided
        self._patience = timeout
        self._look = look
        self._seen = b""
        self._transport: asyncio.Transport | None = None
        self._timeout: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._undecided.add(self)
        self._timeout = asyncio.get_running_loop().call_later(self._patience, self.close)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if self._http2 is None or not self._could_be_http2():
            self._hand_to(self._http1)
        elif self._seen.startswith(HTTP2_PREFACE) or wants_grpc(self._seen):
            self._hand_to(self._http2)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _could_be_http2(self) -> bool:
        if is_tls(self._seen):
            return not is_whole(self._seen) or wants_grpc(self._seen)
        return HTTP2_PREFACE.startswith(self._seen) or self._seen.startswith(HTTP2_PREFACE)

    def _hand_to(self, backend: Backend) -> None:
        transport, self._transport = self._transport, None
        self._forget()
        if transport is not None:
            self._look(transport, self._seen)
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
