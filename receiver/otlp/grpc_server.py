"""OTLP/gRPC in: the three Export services, health and reflection on one grpc.aio server.

grpcio can be given neither a connection that is accepted already nor a word in what it accepts. So where HTTP is to be
taken on the same port, a door stands before the server, and the server listens on a socket in a private folder.

The Export handlers have no deserializer: a request's bytes are the bytes that are kept. Sizes are enforced by
gRPC itself, after decompression too. Credentials are checked before a message is read.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import unquote

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from receiver.codec.export_service import EXPORT_SERVICES
from receiver.codec.validate import validate
from receiver.errors import ReceiverError, UnauthenticatedError
from receiver.model import SIGNALS, Signal
from receiver.net.tls import TLSSettings, server_credentials
from receiver.otlp.auth import Auth
from receiver.otlp.error_mapping import grpc_status
from receiver.otlp.listen import bind
from receiver.otlp.protocol_mux import FIRST_BYTES_TIMEOUT, Door
from receiver.otlp.request_handler import Accept, Admission, Observe, OnRefused
from receiver.otlp.socket_proxy import Backend, Splice

# OTLP 1.11 recommends 64 MiB; gRPC's own default, 4 MiB, is less than a batch of spans with prompts in them.
DEFAULT_MAX_RECV_MSG_SIZE = 64 << 20

_Context: TypeAlias = "aio.ServicerContext[bytes, bytes]"
_UNIX = "unix:"
_FLUSH = 1.0  # s in which the last answers pass the door, after the server has given them
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared with, not bound


@dataclass(frozen=True, slots=True)
class Keepalive:
    """configgrpc's server_parameters and enforcement_policy, in seconds. None leaves gRPC's default."""

    max_connection_idle: float | None = None
    max_connection_age: float | None = None
    max_connection_age_grace: float | None = None
    time: float | None = None
    timeout: float | None = None
    min_time: float | None = None
    permit_without_stream: bool | None = None

    def options(self) -> list[tuple[str, int]]:
        """The same as gRPC channel arguments."""
        seconds = {
            "grpc.max_connection_idle_ms": self.max_connection_idle,
            "grpc.max_connection_age_ms": self.max_connection_age,
            "grpc.max_connection_age_grace_ms": self.max_connection_age_grace,
            "grpc.keepalive_time_ms": self.time,
            "grpc.keepalive_timeout_ms": self.timeout,
            "grpc.http2.min_ping_interval_without_data_ms": self.min_time,
        }
        options = [(name, min(round(value * 1000), _NEVER)) for name, value in seconds.items() if value is not None]
        if self.permit_without_stream is not None:
            options.append(("grpc.keepalive_permit_without_calls", int(self.permit_without_stream)))
        return options


_NEVER = 2**31 - 1  # ms: gRPC's 32 bits, and its word for never


class GrpcReceiver:
    """The OTLP/gRPC server.

    `endpoint` is host:port, or `unix:` and a path for a socket that only this machine reaches.
    With a private `folder` the port is shared: nothing is accepted before share() says where HTTP goes.
    `max_recv_msg_size` is in bytes, after decompression; `max_concurrent_streams` is per connection (0: any).
    """

    def __init__(
        self,
        accept: Accept,
        *,
        endpoint: str = "localhost:4317",
        observe: Observe | None = None,
        max_recv_msg_size: int = DEFAULT_MAX_RECV_MSG_SIZE,
        max_concurrent_streams: int = 0,
        keepalive: Keepalive | None = None,
        auth: Auth | None = None,
        tls: TLSSettings | None = None,
        folder: str = "",
        on_refused: OnRefused | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._folder = folder
        self._sockets: list[socket.socket] = []
        self._door: Door | None = None
        self._splice: Splice | None = None
        self._admission = Admission("grpc", accept, observe, on_refused=on_refused)
        self._auth = auth
        self._tls = tls
        self._options = _options(max_recv_msg_size, max_concurrent_streams, keepalive or Keepalive())
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        self._server: aio.Server | None = None
        self._address = ""

    @property
    def address(self) -> str:
        """Where another part of this process reaches the server: host:port or `unix:` path, once started.

        Without TLS where the port is shared, since the other part has undone it.
        """
        return self._address

    async def start(self) -> int:
        """Listen and serve; returns the bound port (0 for a unix socket).

        Raises ReceiverError when it cannot bind, ConfigError when TLS cannot be set up.
        """
        credentials = server_credentials(self._tls) if self._tls else None
        addresses, port = self._shared() if self._folder else _addresses(self._endpoint)
        server = aio.server(options=self._options)
        exports = {f"/{EXPORT_SERVICES[signal].name}/Export": self._handler(signal) for signal in SIGNALS}
        server.add_generic_rpc_handlers((_ExportHandlers(exports, self._auth, self._admission),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(_service_names(), server)
        server.add_generic_rpc_handlers((_Unknown(self._admission),))  # asked when no other one knows the method
        self._bind(server, addresses, credentials)
        if self._folder and credentials is not None:
            self._bind(server, addresses := [self._inner("plain")], None)
        await server.start()
        self._server = server
        self._address = _reachable(addresses[0])
        await self.set_serving(True)
        return port

    async def share(self, http: Backend, patience: float = FIRST_BYTES_TIMEOUT) -> None:
        """Open the port; HTTP/1 goes to `http`. `patience` (s) is how long a client may take to show what it speaks."""
        self._splice = Splice(self._inner("grpc"))
        self._door = Door(http, self._splice, patience, tls=self._tls is not None)
        await self._door.open(self._sockets)
        self._sockets = []

    async def set_serving(self, serving: bool) -> None:
        """What grpc.health.v1 answers, for the server and for each Export service."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *(service.name for service in EXPORT_SERVICES.values())):
            await self._health.set(name, status)

    async def stop(self, grace: float | None = 5.0) -> None:
        """Say NOT_SERVING, take no new request, let those in flight finish for up to `grace` seconds."""
        if self._door is not None:
            self._door.close()
        for bound in self._sockets:
            bound.close()
        if self._server is not None:
            await self._health.enter_graceful_shutdown()
            await self._server.stop(grace)
            self._server = None
        if self._splice is not None:
            await self._splice.close(_FLUSH)

    def _shared(self) -> tuple[list[str], int]:
        self._sockets = bind(self._endpoint)
        return [self._inner("grpc")], int(self._sockets[0].getsockname()[1])

    def _inner(self, name: str) -> str:
        return f"{_UNIX}{self._folder}/{name}"

    def _bind(self, server: aio.Server, addresses: list[str], credentials: grpc.ServerCredentials | None) -> None:
        try:
            for address in addresses:
                if credentials is None:
                    server.add_insecure_port(address)
                else:
                    server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise ReceiverError(f"cannot listen on {self._endpoint}: {error}") from None

    def _handler(self, signal: Signal) -> grpc.RpcMethodHandler[bytes, bytes]:
        async def export(body: bytes, context: _Context) -> bytes:
            try:
                response = await self._admission.take(signal, validate(signal, body))
                return response.SerializeToString()
            except Exception as error:  # every error becomes an answer
                self._admission.refuse(signal, error, _peer(context))
                refusal = error
            return await _abort(context, refusal)

        return grpc.unary_unary_rpc_method_handler(export)


class _ExportHandlers(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Finds an Export method's handler, after its caller's credentials were checked."""

    def __init__(
        self,
        exports: dict[str, grpc.RpcMethodHandler[bytes, bytes]],
        auth: Auth | None,
        admission: Admission,
    ) -> None:
        self._exports = exports
        self._auth = auth
        self._admission = admission

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = self._exports.get(details.method)
        if handler is None or self._auth is None:
            return handler
        try:
            self._auth.check(_authorization(details))
        except UnauthenticatedError as error:
            return self._refusal(error)
        return handler

    def _refusal(self, error: UnauthenticatedError) -> grpc.RpcMethodHandler[Any, Any]:
        async def refuse(_: AsyncIterator[bytes], context: _Context) -> bytes:
            self._admission.refuse(None, error, _peer(context))
            return await _abort(context, error)

        # A handler of a stream reads no message before it asks for one: nothing of the request is taken in.
        return grpc.stream_unary_rpc_method_handler(refuse)


class _Unknown(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Counts and notes the calls of methods that are not served; gRPC answers them UNIMPLEMENTED."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def service(self, details: grpc.HandlerCallDetails) -> None:
        code = grpc.StatusCode.UNIMPLEMENTED.name.lower()
        self._admission.refuse_foreign(code, f"nothing is served at {details.method[:200]}", "a client")


def _peer(context: _Context) -> str:
    """Who asks, also behind a door of this process (splicing.py)."""
    return unquote(context.peer()).removeprefix("unix-abstract:")


async def _abort(context: _Context, error: BaseException) -> bytes:
    code, message, metadata = grpc_status(error)
    await context.abort(code, message, trailing_metadata=metadata)
    raise AssertionError("abort() raises")


def _authorization(details: grpc.HandlerCallDetails) -> str | None:
    for key, value in details.invocation_metadata or ():
        if key == "authorization":
            return value if isinstance(value, str) else value.decode("utf-8", "replace")
    return None


def _options(size: int, streams: int, keepalive: Keepalive) -> list[tuple[str, int]]:
    options = [
        ("grpc.so_reuseport", 0),  # or two receivers would share a port, and each see half of a session
        ("grpc.max_receive_message_length", size),
        ("grpc.server_handshake_timeout_ms", round(FIRST_BYTES_TIMEOUT * 1000)),  # until the client's SETTINGS
        *keepalive.options(),
    ]
    if streams:
        options.append(("grpc.max_concurrent_streams", streams))
        # gRPC counts streams that are answered but not yet cleared away, and would refuse calls of clients that
        # keep to the limit. The plugins' client never retries; it queues by the limit it was told.
        options.append(("grpc.http.overload_protection", 0))
    return options


def _service_names() -> list[str]:
    exports = (service.name for service in EXPORT_SERVICES.values())
    return [*exports, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME]


def _addresses(endpoint: str) -> tuple[list[str], int]:
    """What to give to gRPC for an endpoint, which is bound here first to learn what gRPC would not say."""
    if endpoint.startswith(_UNIX):
        return [endpoint], 0
    sockets = bind(endpoint)
    names = [bound.getsockname()[:2] for bound in sockets]
    for bound in sockets:
        bound.close()
    if names[0][0] in _WILDCARDS:
        names = names[:1]  # gRPC makes any wildcard stand for both families
    return [_join(host, port) for host, port in names], names[0][1]


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reachable(address: str) -> str:
    if address.startswith(_UNIX):
        return address
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    return _join(_WILDCARDS.get(host, host), int(port))
