"""The command line's client of the admin service. gRPC errors become this program's errors, of one line each."""

from __future__ import annotations

from typing import cast

import grpc
from google.protobuf.message import Message

from receiver.admin import admin_pb2 as pb
from receiver.admin.methods import METHODS
from receiver.diagnostics.escape import printable
from receiver.errors import InputError, ReceiverError

DEFAULT_ENDPOINT = "localhost:13134"
_TIMEOUT = 30.0  # s; closing thousands of sessions takes several

_OPTIONS = (
    ("grpc.enable_http_proxy", 0),  # the receiver is on this machine or network: no proxy
    ("grpc.max_receive_message_length", -1),  # a tree may have any size, and the server is trusted
)


def _each(field: object) -> list[object]:
    return list(field) if isinstance(field, list) else [field]


class AdminClient:
    """A blocking client of the receiver at `endpoint` (host:port; `http://` before it is ignored).

    Its methods raise InputError for an id that the receiver does not know, ReceiverError if the call fails.
    """

    def __init__(self, endpoint: str = DEFAULT_ENDPOINT) -> None:
        self._endpoint = printable(endpoint.removeprefix("http://").rstrip("/") or DEFAULT_ENDPOINT)
        self._channel = grpc.insecure_channel(self._endpoint, options=_OPTIONS)

    def __enter__(self) -> AdminClient:
        return self

    def __exit__(self, *raised: object) -> None:
        self._channel.close()

    def sessions(self, limit: int = 0) -> pb.ListSessionsResponse:
        """The open sessions, at most `limit` (0: the receiver's default)."""
        return cast(pb.ListSessionsResponse, self._call("ListSessions", limit=limit))

    def tree(self, session: str) -> pb.GetTreeResponse:
        """A session's tree as it would be built now."""
        return cast(pb.GetTreeResponse, self._call("GetTree", session_id=session))

    def flush(self, session: str | None = None) -> int:
        """Close one session with its whole tree, or all sessions; how many closed."""
        named = [] if session is None else [session]  # the empty id does not mean all
        return cast(pb.FlushResponse, self._call("Flush", session_ids=named)).closed

    def queues(self) -> pb.QueueStateResponse:
        """The sending queues."""
        return cast(pb.QueueStateResponse, self._call("QueueState"))

    def set_aside(self, limit: int = 0) -> pb.ListSetAsideResponse:
        """The rows set aside, at most `limit` (0: the receiver's default)."""
        return cast(pb.ListSetAsideResponse, self._call("ListSetAside", limit=limit))

    def resend(self, ids: list[int]) -> pb.ResendResponse:
        """Put rows set aside (these, or all) back into the queues."""
        return cast(pb.ResendResponse, self._call("Resend", ids=ids))

    def _call(self, name: str, **fields: object) -> Message:
        method = METHODS[name]
        try:
            request = method.request(**fields)
        except ValueError:  # an id that is not UTF-8, or a number over 64 bits
            asked = printable(", ".join(str(one) for field in fields.values() for one in _each(field)))
            raise InputError(f"no session or row has the id {asked}; `sessions` and `queue` list the ids") from None
        call = self._channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        try:
            return cast(Message, call(request, timeout=_TIMEOUT))
        except grpc.RpcError as error:
            raise self._error(error) from None

    def _error(self, error: grpc.RpcError) -> ReceiverError:
        # an RpcError of a call is also a grpc.Call; the types do not say so
        code, details = error.code(), error.details() or ""
        details = printable(" ".join(details.split()))
        if code == grpc.StatusCode.NOT_FOUND:
            return InputError(details)
        if code == grpc.StatusCode.UNAVAILABLE and "resolving" in details:
            return ReceiverError(
                f"{self._endpoint} is not an address; give the HOST:PORT of extensions::admin::endpoint as --endpoint"
            )
        if code == grpc.StatusCode.UNAVAILABLE and "connect" in details.lower():
            return ReceiverError(
                f"no receiver answers at {self._endpoint}; start one (`opencode-trace-receiver run`), "
                "or give the address of its extensions::admin::endpoint as --endpoint"
            )
        if code in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNKNOWN):
            return ReceiverError(
                f"the server at {self._endpoint} is not the admin service; give "
                "the address of extensions::admin::endpoint as --endpoint"
            )
        return ReceiverError(
            f"the call to the receiver at {self._endpoint} failed: {details or code.name} ({code.name})"
        )
