"""The OTLP/gRPC receiver: the three Export services, health and reflection on one grpc.aio server.

grpcio cannot take over a connection that is accepted already. So where HTTP is served on the same port, a ProtocolMux
accepts the connections, and the gRPC server listens on a Unix socket in a private directory behind it.

The Export handlers have no deserializer: a request's bytes are stored as they came. gRPC itself enforces sizes, after
decompression too. Credentials are checked before a message is read. Large requests are validated off the event loop.
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
from receiver.codec.item_count import DEFAULT_MAX_ITEMS
from receiver.errors import ReceiverError, UnauthenticatedError
from receiver.model import SIGNALS, Signal
from receiver.net.address import join_host_port, reachable_host, split_host_port
from receiver.net.tls import TLSSettings, server_credentials
from receiver.otlp.auth import Auth
from receiver.otlp.error_mapping import Metadata, grpc_status
from receiver.otlp.listen import bind, release_for_grpc
from receiver.otlp.protocol_mux import FIRST_BYTES_TIMEOUT, ProtocolMux
from receiver.otlp.request_handler import Accept, Observe, OnRefused, RequestHandler
from receiver.otlp.request_validator import RequestValidator
from receiver.otlp.socket_proxy import ConnectionHandler, SocketProxy

# OTLP 1.11 recommends 64 MiB; gRPC's own default, 4 MiB, is less than a batch of spans with prompts in them.
DEFAULT_MAX_RECV_MSG_SIZE = 64 << 20
MAX_PENDING_REQUESTS = 100_000  # calls of all clients, not yet begun; one takes some kilobytes
MAX_PENDING_SECONDS = 600

_Context: TypeAlias = "aio.ServicerContext[bytes, bytes]"
_UNIX = "unix:"
_PROXY_GRACE = 1.0  # s for the last responses to pass the proxy, after the server has sent them
_MAX_MILLISECONDS = 2**31 - 1  # gRPC's 32 bits, which it takes as never
_MAX_LOGGED_METHOD = 200  # characters


@dataclass(frozen=True, slots=True)
class Keepalive:
    """configgrpc's server_parameters and enforcement_policy, in seconds. None keeps gRPC's default."""

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
        options = [
            (name, min(round(value * 1000), _MAX_MILLISECONDS)) for name, value in seconds.items() if value is not None
        ]
        if self.permit_without_stream is not None:
            options.append(("grpc.keepalive_permit_without_calls", int(self.permit_without_stream)))
        return options


class GrpcReceiver:
    """The OTLP/gRPC server.

    `endpoint` is host:port, or `unix:` and a path for a socket that only this machine reaches.
    With a private `socket_dir` the port is shared with HTTP: nothing is accepted before serve_shared_port().
    `max_recv_msg_size` is in bytes, after decompression; `max_items` bounds what one request contains (item_count.py);
    `max_concurrent_streams` is per connection (0: no limit).
    """

    def __init__(
        self,
        accept: Accept,
        *,
        endpoint: str = "localhost:4317",
        observe: Observe | None = None,
        max_recv_msg_size: int = DEFAULT_MAX_RECV_MSG_SIZE,
        max_items: int = DEFAULT_MAX_ITEMS,
        max_concurrent_streams: int = 0,
        keepalive: Keepalive | None = None,
        auth: Auth | None = None,
        tls: TLSSettings | None = None,
        socket_dir: str = "",
        on_refused: OnRefused | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._socket_dir = socket_dir
        self._sockets: list[socket.socket] = []
        self._mux: ProtocolMux | None = None
        self._proxy: SocketProxy | None = None
        self._requests = RequestHandler("grpc", accept, observe, on_refused=on_refused)
        self._validator = RequestValidator(max_items, "otlp-grpc")
        self._auth = auth
        self._tls = tls
        self._options = _options(max_recv_msg_size, max_concurrent_streams, keepalive or Keepalive())
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        self._server: aio.Server | None = None
        self._address = ""

    @property
    def address(self) -> str:
        """Where another part of this process reaches the server: host:port or `unix:` path, once started.

        Without TLS where the port is shared, since the other part has terminated it.
        """
        return self._address

    async def start(self) -> int:
        """Listen and serve; returns the bound port (0 for a unix socket).

        Raises ReceiverError when it cannot bind, ConfigError when TLS cannot be set up.
        """
        credentials = server_credentials(self._tls) if self._tls else None
        addresses, port = self._shared() if self._socket_dir else _addresses(self._endpoint)
        server = aio.server(options=self._options)
        exports = {f"/{EXPORT_SERVICES[signal].name}/Export": self._handler(signal) for signal in SIGNALS}
        server.add_generic_rpc_handlers((_ExportHandlers(exports, self._auth, self._requests),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(_service_names(), server)
        server.add_generic_rpc_handlers((_UnknownMethods(self._requests),))  # asked when no other one knows the method
        self._bind(server, addresses, credentials)
        if self._socket_dir and credentials is not None:
            self._bind(server, addresses := [self._unix_endpoint("plain")], None)
        await server.start()
        self._server = server
        self._address = _reachable(addresses[0])
        await self.set_serving(True)
        return port

    async def serve_shared_port(
        self, http: ConnectionHandler, first_bytes_timeout: float = FIRST_BYTES_TIMEOUT
    ) -> None:
        """Open the port; HTTP/1 goes to `http`. A client has `first_bytes_timeout` seconds to show its protocol."""
        self._proxy = SocketProxy(self._unix_endpoint("grpc"))
        self._mux = ProtocolMux(http, self._proxy, first_bytes_timeout, tls=self._tls is not None)
        await self._mux.open(self._sockets)
        self._sockets = []

    async def set_serving(self, serving: bool) -> None:
        """Set what grpc.health.v1 answers, for the server and for each Export service."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *(service.name for service in EXPORT_SERVICES.values())):
            await self._health.set(name, status)

    async def stop(self, grace: float | None = 5.0) -> None:
        """Answer NOT_SERVING, take no new request, give those in flight up to `grace` seconds."""
        if self._mux is not None:
            self._mux.close()
        for bound in self._sockets:
            bound.close()
        if self._server is not None:
            await self._health.enter_graceful_shutdown()
            await self._server.stop(grace)
            self._server = None
        if self._proxy is not None:
            await self._proxy.close(_PROXY_GRACE)
        self._validator.close()

    def _shared(self) -> tuple[list[str], int]:
        self._sockets = bind(self._endpoint)
        return [self._unix_endpoint("grpc")], int(self._sockets[0].getsockname()[1])

    def _unix_endpoint(self, name: str) -> str:
        return f"{_UNIX}{self._socket_dir}/{name}"

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
                response = await self._requests.handle(signal, await self._validator.validate(signal, body))
                return response.SerializeToString()
            except Exception as error:  # every error becomes a response
                self._requests.refuse(signal, error, _peer(context))
                # Not the error itself: its traceback refers to this frame, and the cycle would keep the body.
                status = grpc_status(error)
            return await _abort(context, *status)

        return grpc.unary_unary_rpc_method_handler(export)


class _ExportHandlers(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Checks the caller's credentials, then finds the Export method's handler."""

    def __init__(
        self,
        exports: dict[str, grpc.RpcMethodHandler[bytes, bytes]],
        auth: Auth | None,
        requests: RequestHandler,
    ) -> None:
        self._exports = exports
        self._auth = auth
        self._requests = requests

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
            self._requests.refuse(None, error, _peer(context))
            return await _abort(context, *grpc_status(error))

        # A stream's handler reads no message before it asks for one, so nothing of the request is read.
        return grpc.stream_unary_rpc_method_handler(refuse)


class _UnknownMethods(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Counts and logs calls of methods that do not exist; gRPC answers them UNIMPLEMENTED."""

    def __init__(self, requests: RequestHandler) -> None:
        self._requests = requests

    def service(self, details: grpc.HandlerCallDetails) -> None:
        code = grpc.StatusCode.UNIMPLEMENTED.name.lower()
        method = details.method[:_MAX_LOGGED_METHOD]
        self._requests.refuse_non_otlp(code, f"nothing is served at {method}", "unknown")


def _peer(context: _Context) -> str:
    """The client's address, also where a SocketProxy of this process stands between."""
    return unquote(context.peer()).removeprefix("unix-abstract:")


async def _abort(context: _Context, code: grpc.StatusCode, message: str, metadata: Metadata) -> bytes:
    await context.abort(code, message, trailing_metadata=metadata)
    raise AssertionError("abort() raises")


def _authorization(details: grpc.HandlerCallDetails) -> str | None:
    for key, value in details.invocation_metadata or ():
        if key == "authorization":
            return value if isinstance(value, str) else value.decode("utf-8", "replace")
    return None


def _options(size: int, streams: int, keepalive: Keepalive) -> list[tuple[str, int]]:
    options = [
        ("grpc.so_reuseport", 0),  # or two receivers could share a port, and each would get half of a session
        ("grpc.max_receive_message_length", size),
        # gRPC cancels calls that wait for this program, at random between these two numbers (1,000 and 3,000 by
        # default) or after a time (30 s): without RetryInfo, log or count. One client's backlog would cancel another's.
        ("grpc.server.max_pending_requests", MAX_PENDING_REQUESTS),
        ("grpc.server.max_pending_requests_hard_limit", MAX_PENDING_REQUESTS),
        ("grpc.server_max_unrequested_time_in_server", MAX_PENDING_SECONDS),
        ("grpc.server_handshake_timeout_ms", round(FIRST_BYTES_TIMEOUT * 1000)),  # until the client's SETTINGS
        *keepalive.options(),
    ]
    if streams:
        options.append(("grpc.max_concurrent_streams", streams))
        # gRPC counts streams that are answered but not cleaned up yet, and would refuse calls of clients that keep
        # to the limit. The plugins' client never retries; it queues by the limit that the server announced.
        options.append(("grpc.http.overload_protection", 0))
    return options


def _service_names() -> list[str]:
    exports = (service.name for service in EXPORT_SERVICES.values())
    return [*exports, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME]


def _addresses(endpoint: str) -> tuple[list[str], int]:
    """The addresses that gRPC is to bind for an endpoint, and their port (0 for a Unix socket)."""
    if endpoint.startswith(_UNIX):
        return [endpoint], 0
    addresses = release_for_grpc(bind(endpoint))
    return addresses, split_host_port(addresses[0])[1]


def _reachable(address: str) -> str:
    if address.startswith(_UNIX):
        return address
    host, port = split_host_port(address)
    return join_host_port(reachable_host(host), port)
