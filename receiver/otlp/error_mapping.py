"""Maps errors to responses, here and nowhere else: a gRPC status, or an HTTP status with a google.rpc.Status.

OTLP lets a client retry after UNAVAILABLE, or 503 with Retry-After; RESOURCE_EXHAUSTED without RetryInfo tells it not
to (specification, "Failures"). An error outside the tree of receiver.errors is INTERNAL with a fixed message: clients
never see what went wrong inside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from receiver.errors import (
    MalformedError,
    RefusedError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)

Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]

_INTERNAL_MESSAGE = "internal error; the receiver's log has the details"
_MESSAGE_LIMIT = 1024  # a trailer must fit in the client's header limit, 8 KiB by default


@dataclass(frozen=True, slots=True)
class _Codes:
    grpc: grpc.StatusCode
    http: int


# The first class that matches wins, so subclasses come before their bases.
_CODES: tuple[tuple[type[BaseException], _Codes], ...] = (
    (MalformedError, _Codes(grpc.StatusCode.INVALID_ARGUMENT, 400)),
    (TooLargeError, _Codes(grpc.StatusCode.RESOURCE_EXHAUSTED, 413)),
    (UnauthenticatedError, _Codes(grpc.StatusCode.UNAUTHENTICATED, 401)),
    (RefusedError, _Codes(grpc.StatusCode.INVALID_ARGUMENT, 400)),
    (UnavailableError, _Codes(grpc.StatusCode.UNAVAILABLE, 503)),
)
_INTERNAL = _Codes(grpc.StatusCode.INTERNAL, 500)

# For requests that are not for an Export service: a wrong method, path or content type.
_HTTP_REFUSALS = {
    404: grpc.StatusCode.NOT_FOUND,
    405: grpc.StatusCode.UNIMPLEMENTED,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    417: grpc.StatusCode.INVALID_ARGUMENT,
}


def expected(error: BaseException) -> bool:
    """Whether the error is in the tree of receiver.errors, so that its message is meant for the client."""
    return _codes(error) is not _INTERNAL


def grpc_status(error: BaseException) -> tuple[grpc.StatusCode, str, Metadata]:
    """The status code, message and trailing metadata for an error; with RetryInfo where the client may retry."""
    codes, message = _codes(error), _message(error)
    if not isinstance(error, UnavailableError):
        return codes.grpc, message, ()
    details = _status(codes.grpc, message, error).SerializeToString()
    return codes.grpc, message, (("grpc-status-details-bin", details),)


def http_status(error: BaseException) -> tuple[int, dict[str, str], Status]:
    """The HTTP status, headers and body for an error. Retry-After is in whole seconds, at least one."""
    codes = _codes(error)
    headers: dict[str, str] = {}
    if isinstance(error, UnavailableError):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return codes.http, headers, _status(codes.grpc, _message(error), error)


def reason(transport: str, error: BaseException) -> str:
    """The code of an error's response, as a label: `401` over HTTP, `unauthenticated` over gRPC."""
    codes = _codes(error)
    return str(codes.http) if transport == "http" else codes.grpc.name.lower()


def http_refusal(http: int, message: str) -> Status:
    """The body for a request that HTTP itself refuses: 404, 405, 408, 415 or 417."""
    return Status(code=_number(_HTTP_REFUSALS[http]), message=message)


def _codes(error: BaseException) -> _Codes:
    return next((codes for kind, codes in _CODES if isinstance(error, kind)), _INTERNAL)


def _message(error: BaseException) -> str:
    return str(error)[:_MESSAGE_LIMIT] if expected(error) else _INTERNAL_MESSAGE


def _status(code: grpc.StatusCode, message: str, error: BaseException) -> Status:
    status = Status(code=_number(code), message=message)
    if isinstance(error, UnavailableError):
        delay = Duration()
        delay.FromMilliseconds(max(0, round(error.retry_after * 1000)))
        detail = Any()
        detail.Pack(RetryInfo(retry_delay=delay))
        status.details.append(detail)
    return status


def _number(code: grpc.StatusCode) -> int:
    return int(code.value[0])
