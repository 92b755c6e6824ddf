"""The OTLP/HTTP receiver: POST /v1/logs, /v1/metrics and /v1/traces in protobuf or JSON, answered in the same encoding.

HTTP's own rules are here: methods, content types, encodings, sizes. gRPC clients that connect to this port are proxied
to the gRPC server, because the plugins' settings lead many users there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from aiohttp import web
from google.protobuf.message import Message

from receiver.codec.otlp_json import response_json, to_protobuf
from receiver.codec.validate import Validated, validate
from receiver.diagnostics.aiohttp_filter import AIOHTTP_SERVER_LOG
from receiver.errors import MalformedError, UnauthenticatedError
from receiver.model import Signal
from receiver.net.tls import TLSSettings, server_ssl_context
from receiver.otlp.auth import Auth
from receiver.otlp.content_encoding import ALGORITHMS, algorithm, decompress, too_large
from receiver.otlp.cors import CORSPolicy
from receiver.otlp.error_mapping import http_refusal, http_status
from receiver.otlp.listen import bind, bind_unix
from receiver.otlp.protocol_mux import InProcessHandler, ProtocolMux
from receiver.otlp.request_handler import Accept, Observe, OnRefused, RequestHandler
from receiver.otlp.socket_proxy import ABSTRACT, ConnectionHandler, SocketProxy

DEFAULT_MAX_REQUEST_BODY_SIZE = 20 << 20  # confighttp's default
DEFAULT_TIMEOUT = 60.0  # s; confighttp's read_header_timeout and idle_timeout; the SDKs give up after 10
DEFAULT_PATHS: Mapping[str, Signal] = {"/v1/logs": "logs", "/v1/metrics": "metrics", "/v1/traces": "traces"}

_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
_LINGERING_TIME = 10.0  # s to read the rest of a refused body, so that the client sees the response
_DECODING_THREADS = 2  # Python would not be faster with more
# Decoding more than this would block the loop for tens of milliseconds; a compressed body grows many times.
_INLINE_BYTES, _INLINE_COMPRESSED_BYTES = 256 << 10, 32 << 10
_MAX_LOGGED_PATH = 200  # characters


@dataclass(frozen=True, slots=True)
class GrpcBackend:
    """The server that gRPC on the HTTP port is proxied to, without TLS: `host:port` or `unix:` path.

    `auth` and `tls` are what that server requires at its own port. Where they differ from the HTTP server's, nothing is
    proxied: one server's port must not be a way around the other's credentials.
    """

    address: str
    auth: Auth | None = None
    tls: TLSSettings | None = None


class _HTTPRefusal(Exception):  # noqa: N818  HTTP's response to what is no Export request; never leaves this file
    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


class HttpReceiver:
    """The OTLP/HTTP server.

    `max_request_body_size` is in bytes, before and after decompression. `unix_endpoint` is a `unix:` path where this
    server also listens, with its TLS, for connections that arrive on the gRPC port. `timeout` (s) is what a client has
    for a request's head, for its body, and between two requests.
    """

    def __init__(
        self,
        accept: Accept,
        *,
        endpoint: str = "localhost:4318",
        observe: Observe | None = None,
        max_request_body_size: int = DEFAULT_MAX_REQUEST_BODY_SIZE,
        compression_algorithms: Collection[str] = ALGORITHMS,
        paths: Mapping[str, Signal] = DEFAULT_PATHS,
        auth: Auth | None = None,
        tls: TLSSettings | None = None,
        cors: CORSPolicy | None = None,
        grpc: GrpcBackend | None = None,
        unix_endpoint: str = "",
        timeout: float = DEFAULT_TIMEOUT,
        on_refused: OnRefused | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._requests = RequestHandler("http", accept, observe, on_refused=on_refused)
        self._limit = max_request_body_size
        self._algorithms = compression_algorithms
        self._paths = dict(paths)
        self._auth = auth
        self._tls = tls
        self._cors = cors
        self._unix_endpoint = unix_endpoint
        self._timeout = timeout
        same_access = grpc is not None and (grpc.auth, grpc.tls) == (auth, tls)
        self._grpc_proxy = SocketProxy(grpc.address) if grpc is not None and same_access else None
        # A large body takes many times its size while it is decoded: few at a time, and the others wait.
        self._decoding = ThreadPoolExecutor(_DECODING_THREADS, "otlp-http")
        self._server: web.Server | None = None
        self._mux: ProtocolMux | None = None

    async def start(self) -> int:
        """Listen and serve; returns the bound port.

        Raises ReceiverError when it cannot bind, ConfigError when TLS cannot be set up.
        """
        context = server_ssl_context(self._tls, http2=self._grpc_proxy is not None) if self._tls else None
        sockets = bind(self._endpoint)
        port = int(sockets[0].getsockname()[1])
        self._server = web.Server(
            self._handle,
            auto_decompress=False,
            access_log=None,
            logger=AIOHTTP_SERVER_LOG,
            keepalive_timeout=self._timeout,
            lingering_time=min(_LINGERING_TIME, self._timeout),
        )
        self._mux = ProtocolMux(InProcessHandler(self._server), self._grpc_proxy, self._timeout)
        if self._unix_endpoint and context is not None:
            sockets.append(bind_unix(self._unix_endpoint))
        await self._mux.open(sockets, context)
        return port

    def connection_handler(self) -> ConnectionHandler:
        """Serves connections that another port has accepted, before TLS. To be asked for after start()."""
        assert self._server is not None
        return InProcessHandler(self._server) if self._tls is None else SocketProxy(self._unix_endpoint)

    async def stop(self, grace: float = 5.0) -> None:
        """Take no new request, give those in flight up to `grace` seconds.

        Connections proxied to the gRPC server end when that one stops: stop both at the same time.
        """
        if self._mux is None or self._server is None:
            return
        self._mux.close()
        closing = [self._server.shutdown(grace)]
        if self._grpc_proxy is not None:
            closing.append(self._grpc_proxy.close(grace))
        await asyncio.gather(*closing)
        self._decoding.shutdown(wait=False)
        self._mux = self._server = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._cors and request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return web.Response(status=204, headers=self._cors.preflight_headers(request.headers))
        response = await self._answer(request)
        if self._cors:
            response.headers.update(self._cors.response_headers(request.headers))
        return response

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        signal = self._paths.get(request.path)
        try:
            self._check(request, signal)
            assert signal is not None
            body = await self._read(request)
            validated = await self._decode(signal, request, body)
            return _response(request, 200, await self._requests.handle(signal, validated))
        except _HTTPRefusal as refusal:
            self._requests.refuse_non_otlp(str(refusal.status), str(refusal), _peer(request))
            status = http_refusal(refusal.status, str(refusal))
            return _response(request, refusal.status, status, refusal.headers)
        except ConnectionError:
            raise  # the client is gone; nobody would get a response
        except Exception as error:  # every other error becomes a response
            self._requests.refuse(signal, error, _peer(request))
            http, headers, status = http_status(error)
            if isinstance(error, UnauthenticatedError) and self._auth:
                headers["WWW-Authenticate"] = self._auth.challenge
            return _response(request, http, status, headers)

    def _check(self, request: web.BaseRequest, signal: Signal | None) -> None:
        """Refuse what can be refused before a byte of the body is read."""
        if signal is None:
            paths = ", ".join(self._paths)
            path = request.path[:_MAX_LOGGED_PATH]
            raise _HTTPRefusal(404, f"nothing is served at {path}; OTLP/HTTP is at {paths}")
        if request.method != "POST":
            raise _HTTPRefusal(405, f"{request.method} is not allowed; use POST", {"Allow": "POST"})
        if self._auth:
            self._auth.check(request.headers.get("Authorization"))
        if request.content_type not in (_PROTOBUF, _JSON):
            raise _HTTPRefusal(
                415, f"content type must be {_PROTOBUF} or {_JSON}", {"Accept-Post": f"{_PROTOBUF}, {_JSON}"}
            )
        if algorithm(_encoding(request)) not in self._algorithms:
            names = ", ".join(name or "none" for name in self._algorithms)
            accepted = ", ".join(name for name in self._algorithms if name not in ("", "zlib"))  # HTTP has no zlib
            raise _HTTPRefusal(
                415, f"content encoding must be one of: {names}", {"Accept-Encoding": accepted or "identity"}
            )
        if request.content_length is not None and request.content_length > self._limit:
            raise too_large(self._limit)

    async def _read(self, request: web.BaseRequest) -> bytes:
        """The body as sent. Reads no more than the limit, whatever the client sends."""
        await _continue(request)
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._timeout):
                while chunk := await request.content.readany():
                    size += len(chunk)
                    if size > self._limit:
                        raise too_large(self._limit)
                    chunks.append(chunk)
        except TimeoutError:
            raise _HTTPRefusal(
                408, f"the body did not arrive within {self._timeout:.0f} s", {"Connection": "close"}
            ) from None
        except web.RequestPayloadError as error:
            raise MalformedError(f"the body could not be read: {error}") from None
        return b"".join(chunks)

    async def _decode(self, signal: Signal, request: web.BaseRequest, body: bytes) -> Validated:
        encoding, is_json = _encoding(request), request.content_type == _JSON
        inline = _INLINE_COMPRESSED_BYTES if encoding not in ("", "identity") else _INLINE_BYTES
        if len(body) <= inline:
            return _decode(signal, body, encoding, is_json, self._limit)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._decoding, _decode, signal, body, encoding, is_json, self._limit)


def _decode(signal: Signal, body: bytes, encoding: str, is_json: bool, limit: int) -> Validated:
    plain = decompress(body, encoding, limit)
    return validate(signal, to_protobuf(signal, plain) if is_json else plain)


def _encoding(request: web.BaseRequest) -> str:
    return request.headers.get("Content-Encoding", "").strip().lower()


async def _continue(request: web.BaseRequest) -> None:
    """Answer `Expect: 100-continue`, which curl sends before a large body (RFC 9110, 10.1.1)."""
    expect = request.headers.get("Expect", "").lower()
    if not expect:
        return
    if expect != "100-continue":
        raise _HTTPRefusal(417, "the only supported expectation is 100-continue")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the response itself has not begun


def _peer(request: web.BaseRequest) -> str:
    """The client's address, also where a SocketProxy of this process stands between."""
    named = request.get_extra_info("peername")
    return named.decode().removeprefix(ABSTRACT) if isinstance(named, bytes) else str(request.remote)


def _response(
    request: web.BaseRequest, status: int, message: Message, headers: Mapping[str, str] | None = None
) -> web.Response:
    """In the request's encoding; as text where the request's content type is neither of the two."""
    kind = request.content_type if "Content-Type" in request.headers else ""
    if kind == _JSON:
        return web.Response(status=status, body=response_json(message), content_type=_JSON, headers=headers)
    if kind == _PROTOBUF:
        return web.Response(status=status, body=message.SerializeToString(), content_type=_PROTOBUF, headers=headers)
    text = f"{getattr(message, 'message', '')}\n"
    return web.Response(status=status, text=text, headers=headers)
