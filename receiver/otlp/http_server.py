"""OTLP/HTTP in: POST /v1/logs, /v1/metrics and /v1/traces in protobuf or JSON, answered in the same encoding.

HTTP's own rules live here (methods, content types, encodings, sizes). gRPC clients that were pointed at this
port are passed to the gRPC server, because the plugins' settings lead many users there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from aiohttp import web
from google.protobuf.message import Message

from receiver.codec.otlp_json import response_json, to_protobuf
from receiver.codec.validate import Validated, validate
from receiver.diagnostics.aiohttp_filter import not_a_clients_doing
from receiver.errors import MalformedError, UnauthenticatedError
from receiver.model import Signal
from receiver.net.tls import TLSSettings, server_ssl_context
from receiver.otlp.auth import Auth
from receiver.otlp.content_encoding import ALGORITHMS, algorithm, decompress, too_large
from receiver.otlp.cors import Cors
from receiver.otlp.error_mapping import http_refusal, http_status
from receiver.otlp.listen import bind, bind_unix
from receiver.otlp.protocol_mux import Door, InProcess
from receiver.otlp.request_handler import Accept, Admission, Observe, OnRefused
from receiver.otlp.socket_proxy import ABSTRACT, Backend, Splice

DEFAULT_MAX_REQUEST_BODY_SIZE = 20 << 20  # confighttp's default
DEFAULT_TIMEOUT = 60.0  # s; confighttp's read_header_timeout and idle_timeout; the SDKs give up after 10
DEFAULT_PATHS: Mapping[str, Signal] = {"/v1/logs": "logs", "/v1/metrics": "metrics", "/v1/traces": "traces"}

_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
_LINGERING = 10.0  # s in which what is left of a refused body is read, so that the client sees the answer
_DECODING = 2  # at the same time; Python would not be faster with more
# Decoding more than this would hold the loop for tens of milliseconds; a compressed body grows many times.
_INLINE_BYTES, _INLINE_COMPRESSED_BYTES = 256 << 10, 32 << 10

_aiohttp_log = logging.getLogger(f"{__name__}.aiohttp")
_aiohttp_log.addFilter(not_a_clients_doing)
logging.getLogger("aiohttp.server").addFilter(not_a_clients_doing)  # of the doors for operators


@dataclass(frozen=True, slots=True)
class GrpcBackend:
    """Where gRPC that arrives on the HTTP port goes: `host:port` or `unix:` path, served without TLS.

    `auth` and `tls` are what that server demands at its own port. Where they differ from the HTTP server's, nothing is
    passed on: one server's port must not be a way around the other's credentials.
    """

    address: str
    auth: Auth | None = None
    tls: TLSSettings | None = None


class _Refusal(Exception):  # noqa: N818  HTTP's answer to what is no Export request; never leaves this file
    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


class HttpReceiver:
    """The OTLP/HTTP server.

    `max_request_body_size` is in bytes, before and after decompression. `inner` is a `unix:` path for what another door
    passes on of this server's own TLS. `timeout` (s) is what a client has for a request's head, for its body, and
    between two requests.
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
        cors: Cors | None = None,
        grpc: GrpcBackend | None = None,
        inner: str = "",
        timeout: float = DEFAULT_TIMEOUT,
        on_refused: OnRefused | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._admission = Admission("http", accept, observe, on_refused=on_refused)
        self._limit = max_request_body_size
        self._algorithms = compression_algorithms
        self._paths = dict(paths)
        self._auth = auth
        self._tls = tls
        self._cors = cors
        self._inner = inner
        self._timeout = timeout
        spliced = grpc is not None and (grpc.auth, grpc.tls) == (auth, tls)
        self._splice = Splice(grpc.address) if grpc is not None and spliced else None
        # A large body takes many times its size while it is decoded: few at a time, and the others wait.
        self._decoding = ThreadPoolExecutor(_DECODING, "otlp-http")
        self._server: web.Server | None = None
        self._door: Door | None = None

    async def start(self) -> int:
        """Listen and serve; returns the bound port.

        Raises ReceiverError when it cannot bind, ConfigError when TLS cannot be set up.
        """
        context = server_ssl_context(self._tls, http2=self._splice is not None) if self._tls else None
        sockets = bind(self._endpoint)
        port = int(sockets[0].getsockname()[1])
        self._server = web.Server(
            self._handle,
            auto_decompress=False,
            access_log=None,
            logger=_aiohttp_log,
            keepalive_timeout=self._timeout,
            lingering_time=min(_LINGERING, self._timeout),
        )
        self._door = Door(InProcess(self._server), self._splice, self._timeout)
        if self._inner and context is not None:
            sockets.append(bind_unix(self._inner))
        await self._door.open(sockets, context)
        return port

    def backend(self) -> Backend:
        """Takes connections that came to another door, once started: as they came, that is, before TLS."""
        assert self._server is not None
        return InProcess(self._server) if self._tls is None else Splice(self._inner)

    async def stop(self, grace: float = 5.0) -> None:
        """Take no new request, let those in flight finish for up to `grace` seconds.

        Connections spliced to the gRPC server end when that one stops: stop both at the same time.
        """
        if self._door is None or self._server is None:
            return
        self._door.close()
        closing = [self._server.shutdown(grace)]
        if self._splice is not None:
            closing.append(self._splice.close(grace))
        await asyncio.gather(*closing)
        self._decoding.shutdown(wait=False)
        self._door = self._server = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._cors and request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return web.Response(status=204, headers=self._cors.preflight(request.headers))
        response = await self._answer(request)
        if self._cors:
            response.headers.update(self._cors.answer(request.headers))
        return response

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        signal = self._paths.get(request.path)
        try:
            self._check(request, signal)
            assert signal is not None
            body = await self._read(request)
            validated = await self._decode(signal, request, body)
            return _response(request, 200, await self._admission.take(signal, validated))
        except _Refusal as refusal:
            self._admission.refuse_foreign(str(refusal.status), str(refusal), str(request.remote))
            status = http_refusal(refusal.status, str(refusal))
            return _response(request, refusal.status, status, refusal.headers)
        except ConnectionError:
            raise  # the client has gone; there is nobody to answer
        except Exception as error:  # every other error becomes an answer
            self._admission.refuse(signal, error, _peer(request))
            http, headers, status = http_status(error)
            if isinstance(error, UnauthenticatedError) and self._auth:
                headers["WWW-Authenticate"] = self._auth.challenge
            return _response(request, http, status, headers)

    def _check(self, request: web.BaseRequest, signal: Signal | None) -> None:
        """What can be refused before a byte of the body is read."""
        if signal is None:
            known = ", ".join(self._paths)
            raise _Refusal(404, f"nothing is served at {request.path[:200]}; OTLP/HTTP is at {known}")
        if request.method != "POST":
            raise _Refusal(405, f"{request.method} is not allowed; use POST", {"Allow": "POST"})
        if self._auth:
            self._auth.check(request.headers.get("Authorization"))
        if request.content_type not in (_PROTOBUF, _JSON):
            raise _Refusal(
                415, f"content type must be {_PROTOBUF} or {_JSON}", {"Accept-Post": f"{_PROTOBUF}, {_JSON}"}
            )
        if algorithm(_encoding(request)) not in self._algorithms:
            words = ", ".join(name or "none" for name in self._algorithms)
            known = ", ".join(name for name in self._algorithms if name not in ("", "zlib"))  # zlib is not HTTP's word
            raise _Refusal(415, f"content encoding must be one of: {words}", {"Accept-Encoding": known or "identity"})
        if request.content_length is not None and request.content_length > self._limit:
            raise too_large(self._limit)

    async def _read(self, request: web.BaseRequest) -> bytes:
        """The body as sent. No more than the limit is held, whatever the client sends."""
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
            raise _Refusal(
                408, f"the body did not come within {self._timeout:.0f} s", {"Connection": "close"}
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
        raise _Refusal(417, "the only expectation that can be met is 100-continue")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the answer itself has not begun


def _peer(request: web.BaseRequest) -> str:
    """Who asks, also behind the door of the other port (splicing.py)."""
    named = request.get_extra_info("peername")
    return named.decode().removeprefix(ABSTRACT) if isinstance(named, bytes) else str(request.remote)


def _response(
    request: web.BaseRequest, status: int, message: Message, headers: Mapping[str, str] | None = None
) -> web.Response:
    """In the request's encoding; as text where the request has none that is known."""
    kind = request.content_type if "Content-Type" in request.headers else ""
    if kind == _JSON:
        return web.Response(status=status, body=response_json(message), content_type=_JSON, headers=headers)
    if kind == _PROTOBUF:
        return web.Response(status=status, body=message.SerializeToString(), content_type=_PROTOBUF, headers=headers)
    text = f"{getattr(message, 'message', '')}\n"
    return web.Response(status=status, text=text, headers=headers)
