"""The admin service as a command line asks it: one call, one answer, or one error of ours."""

from __future__ import annotations

from typing import cast

import grpc
from google.protobuf.message import Message

from receiver.admin import admin_pb2 as pb
from receiver.admin.methods import METHODS
from receiver.diagnostics.escape import printable
from receiver.errors import InputError, ReceiverError

DEFAULT_ENDPOINT = "localhost:13134"
_PATIENCE = 30.0  # s: closing many sessions takes a while

_OPTIONS = (
    ("grpc.enable_http_proxy", 0),  # a proxy is for the world outside
    ("grpc.max_receive_message_length", -1),  # a tree has no limit, and the receiver is ours
)


def _each(field: object) -> list[object]:
    return list(field) if isinstance(field, list) else [field]


class AdminClient:
    """A blocking client of the receiver at `endpoint` (host:port; a scheme before it is left out).

    Its methods raise InputError for what the receiver does not know, ReceiverError where there is no receiver.
    """

    def __init__(self, endpoint: str = DEFAULT_ENDPOINT) -> None:
        self._endpoint = printable(endpoint.removeprefix("http://").rstrip("/") or DEFAULT_ENDPOINT)
        self._channel = grpc.insecure_channel(self._endpoint, options=_OPTIONS)

    def __enter__(self) -> AdminClient:
        return self

    def __exit__(self, *raised: object) -> None:
        self._channel.close()

    def sessions(self, limit: int = 0) -> pb.ListSessionsResponse:
        """The open sessions, so many at most (0: as many as the receiver likes)."""
        return cast(pb.ListSessionsResponse, self._call("ListSessions", limit=limit))

    def tree(self, session: str) -> pb.GetTreeResponse:
        """A session's tree as it would be built now."""
        return cast(pb.GetTreeResponse, self._call("GetTree", session_id=session))

    def flush(self, session: str | None = None) -> int:
        """Close one session, with the tree that it is in, or all; how many closed."""
        named = [] if session is None else [session]  # an empty id is nobody's, and does not stand for all
        return cast(pb.FlushResponse, self._call("Flush", session_ids=named)).closed

    def queues(self) -> pb.QueueStateResponse:
        """The sending queues."""
        return cast(pb.QueueStateResponse, self._call("QueueState"))

    def set_aside(self, limit: int = 0) -> pb.ListSetAsideResponse:
        """What was set aside, so many rows at most (0: as many as the receiver likes)."""
        return cast(pb.ListSetAsideResponse, self._call("ListSetAside", limit=limit))

    def resend(self, ids: list[int]) -> pb.ResendResponse:
        """Put what was set aside (these, or all) back into the queues."""
        return cast(pb.ResendResponse, self._call("Resend", ids=ids))

    def _call(self, name: str, **fields: object) -> Message:
        method = METHODS[name]
        try:
            request = method.request(**fields)
        except ValueError:  # bytes that are no text, a number that is too large
            asked = printable(", ".join(str(one) for field in fields.values() for one in _each(field)))
            raise InputError(f"nothing has the id {asked}; `sessions` and `queue` list what there is") from None
        call = self._channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        try:
            return cast(Message, call(request, timeout=_PATIENCE))
        except grpc.RpcError as error:
            raise self._error(error) from None

    def _error(self, error: grpc.RpcError) -> ReceiverError:
        # what a call raises is a Call too, though the types do not say so
        code, details = error.code(), error.details() or ""
        details = printable(" ".join(details.split()))
        if code == grpc.StatusCode.NOT_FOUND:
            return InputError(details)
        if code == grpc.StatusCode.UNAVAILABLE and "resolving" in details:
            return ReceiverError(
                f"{self._endpoint} is no address; give HOST:PORT, that of extensions::admin::endpoint, as --endpoint"
            )
        if code == grpc.StatusCode.UNAVAILABLE and "connect" in details.lower():
            return ReceiverError(
                f"no receiver answers at {self._endpoint}; start one (`opencode-trace-receiver run`), "
                "or give its extensions::admin::endpoint as --endpoint"
            )
        if code in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNKNOWN):
            return ReceiverError(
                f"what answers at {self._endpoint} is no admin service; give extensions::admin::endpoint as --endpoint"
            )
        said = details or code.name
        return ReceiverError(f"the receiver at {self._endpoint} did not answer: {said} ({code.name})")
