"""Serves HTTP/1 and HTTP/2 (gRPC) on one port: each connection goes to one of two handlers by the first bytes it sends.

gRPC without TLS uses HTTP/2 with prior knowledge, which begins with a fixed preface. Where TLS is terminated behind the
port, the protocol names in the ClientHello decide. Everything else is HTTP/1. Nothing here reads further than that.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import cast

import structlog

from receiver.otlp.client_hello import is_tls, is_whole, wants_grpc
from receiver.otlp.socket_proxy import ConnectionHandler

HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, 3.4
FIRST_BYTES_TIMEOUT = 60.0  # s; net/http's ReadHeaderTimeout as confighttp sets it

_SPEAKS_TLS = "client speaks TLS to an endpoint without it"
_SPEAKS_NO_TLS = "client speaks no TLS to an endpoint that requires it"
_REMEDIES = {
    _SPEAKS_TLS: "begin the client's endpoint with http://, or set tls for this endpoint",
    _SPEAKS_NO_TLS: "begin the client's endpoint with https://",
}

_log = structlog.get_logger(__name__)


class ProtocolMux:
    """Accepts connections and passes each to `http1` or `http2`; without `http2` all go to `http1`.

    A client has `first_bytes_timeout` seconds to show its protocol. `tls` says whether the handlers expect TLS:
    a client that does otherwise is logged here, since nobody else sees why it fails.
    """

    def __init__(
        self,
        http1: ConnectionHandler,
        http2: ConnectionHandler | None = None,
        first_bytes_timeout: float = FIRST_BYTES_TIMEOUT,
        *,
        tls: bool = False,
    ) -> None:
        self._http1 = http1
        self._http2 = http2
        self._timeout = first_bytes_timeout
        self._tls = tls
        self._undecided: set[_ProtocolDetector] = set()
        self._servers: list[asyncio.Server] = []

    async def open(self, sockets: Sequence[socket.socket], context: ssl.SSLContext | None = None) -> None:
        """Serve the listening `sockets`, and close them in the end; with a `context`, terminate TLS here."""
        loop = asyncio.get_running_loop()
        for listening in sockets:
            if listening.family == socket.AF_UNIX:
                self._servers.append(await loop.create_unix_server(self._detector, sock=listening, ssl=context))
            else:
                self._servers.append(await loop.create_server(self._detector, sock=listening, ssl=context))

    def close(self) -> None:
        """Accept no more connections and close those without a handler yet; the others go on."""
        for server in self._servers:
            server.close()
        for detector in list(self._undecided):
            detector.close()

    def _detector(self) -> _ProtocolDetector:
        return _ProtocolDetector(self._http1, self._http2, self._undecided, self._timeout, self._check_tls)

    def _check_tls(self, transport: asyncio.Transport, first_bytes: bytes) -> None:
        terminated_here = transport.get_extra_info("sslcontext") is not None
        speaks_tls = is_tls(first_bytes)
        if terminated_here or speaks_tls == self._tls:
            return
        event = _SPEAKS_TLS if speaks_tls else _SPEAKS_NO_TLS
        host, port = (transport.get_extra_info("sockname") or ("", ""))[:2]
        peer = (transport.get_extra_info("peername") or ("unknown",))[0]
        endpoint = f"{host}:{port}"
        _log.warning(event, peer=peer, endpoint=endpoint, then=_REMEDIES[event], limit_key=endpoint)


class _ProtocolDetector(asyncio.Protocol):
    """Reads until the client's protocol is certain: without TLS, HTTP/1 shows in the first or second byte."""

    def __init__(
        self,
        http1: ConnectionHandler,
        http2: ConnectionHandler | None,
        undecided: set[_ProtocolDetector],
        timeout: float,
        on_decided: Callable[[asyncio.Transport, bytes], None],
    ) -> None:
        self._http1 = http1
        self._http2 = http2
        self._undecided = undecided
        self._seconds = timeout
        self._on_decided = on_decided
        self._first_bytes = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._undecided.add(self)
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self.close)

    def data_received(self, data: bytes) -> None:
        self._first_bytes += data
        if self._http2 is None or not self._could_be_http2():
            self._pass_to(self._http1)
        elif self._first_bytes.startswith(HTTP2_PREFACE) or wants_grpc(self._first_bytes):
            self._pass_to(self._http2)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _could_be_http2(self) -> bool:
        if is_tls(self._first_bytes):
            return not is_whole(self._first_bytes) or wants_grpc(self._first_bytes)
        return HTTP2_PREFACE.startswith(self._first_bytes) or self._first_bytes.startswith(HTTP2_PREFACE)

    def _pass_to(self, handler: ConnectionHandler) -> None:
        transport, self._transport = self._transport, None
        self._end()
        if transport is not None:
            self._on_decided(transport, self._first_bytes)
            handler(transport, self._first_bytes)

    def _end(self) -> None:
        self._undecided.discard(self)
        if self._timer is not None:
            self._timer.cancel()


class InProcessHandler:
    """A ConnectionHandler that lets an asyncio protocol, made by `factory`, serve the connection."""

    def __init__(self, factory: Callable[[], asyncio.Protocol]) -> None:
        self._factory = factory

    def __call__(self, transport: asyncio.Transport, first_bytes: bytes) -> None:
        protocol = self._factory()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(first_bytes)
