"""The admin service's gRPC server, with reflection: listening, and the status code for each error. The methods are in
servicer.py. It has no authentication: everyone who can connect may read and close every session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
import structlog
from google.protobuf.message import Message
from grpc import aio
from grpc_reflection.v1alpha import reflection

from receiver.admin.methods import METHODS, SERVICE, Method
from receiver.admin.servicer import AdminServicer
from receiver.errors import InputError, ReceiverError, UnavailableError

_log = structlog.get_logger(__name__)


class AdminServer:
    """Serves the servicer's methods."""

    def __init__(self, servicer: AdminServicer) -> None:
        self._servicer = servicer
        self._server: aio.Server | None = None

    async def start(self, addresses: Sequence[str]) -> int:
        """Listen on these addresses (host:port); the first one's port. Raises ReceiverError if it cannot bind."""
        server = aio.server(options=[("grpc.so_reuseport", 0)])  # otherwise two receivers could share the port
        handlers = {method.name: self._handler(method) for method in METHODS.values()}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.full_name, handlers),))
        reflection.enable_server_reflection([SERVICE.full_name, reflection.SERVICE_NAME], server)
        try:
            ports = [server.add_insecure_port(address) for address in addresses]
        except RuntimeError as error:
            raise ReceiverError(f"cannot listen on {', '.join(addresses)}: {error}") from None
        await server.start()
        self._server = server
        return ports[0]

    async def stop(self, grace: float = 1.0) -> None:
        """Stop. Calls in progress have `grace` seconds to finish."""
        if self._server is not None:
            await self._server.stop(grace)
            self._server = None

    def _handler(self, method: Method) -> grpc.RpcMethodHandler[Any, Any]:
        async def call(request: Message, context: aio.ServicerContext[Any, Any]) -> Message:
            try:
                return await self._servicer.call(method.name, request)
            except Exception as error:  # every error becomes a status code
                failure = error
            await context.abort(*_status(failure, method))
            raise AssertionError("abort() raises")

        return grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=method.request.FromString,
            response_serializer=method.response.SerializeToString,
        )


def _status(error: Exception, method: Method) -> tuple[grpc.StatusCode, str]:
    if isinstance(error, InputError):
        return grpc.StatusCode.NOT_FOUND, str(error)
    if isinstance(error, UnavailableError):
        return grpc.StatusCode.UNAVAILABLE, str(error)
    _log.error("an admin call failed", method=method.name, exc_info=error)
    return grpc.StatusCode.INTERNAL, f"unexpected {type(error).__name__}; see the receiver's log"
