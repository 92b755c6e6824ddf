"""Errors become answers here, and nowhere else: a gRPC status, or an HTTP status with a google.rpc.Status.

OTLP lets a client send again what was answered UNAVAILABLE, or 503 with Retry-After; RESOURCE_EXHAUSTED
without RetryInfo tells it not to (specification, "Failures"). What is not in the error tree is INTERNAL, with
a fixed message: a client is never shown what went wrong inside.
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
class _Answer:
    code: grpc.StatusCode
    http: int


# The first class that matches wins, so subclasses come before their bases.
_ANSWERS: tuple[tuple[type[BaseException], _Answer], ...] = (
    (MalformedError, _Answer(grpc.StatusCode.INVALID_ARGUMENT, 400)),
    (TooLargeError, _Answer(grpc.StatusCode.RESOURCE_EXHAUSTED, 413)),
    (UnauthenticatedError, _Answer(grpc.StatusCode.UNAUTHENTICATED, 401)),
    (RefusedError, _Answer(grpc.StatusCode.INVALID_ARGUMENT, 400)),
    (UnavailableError, _Answer(grpc.StatusCode.UNAVAILABLE, 503)),
)
_INTERNAL = _Answer(grpc.StatusCode.INTERNAL, 500)

# Requests that no Export service stands behind: a wrong method, path or content type.
_HTTP_REFUSALS = {
    404: grpc.StatusCode.NOT_FOUND,
    405: grpc.StatusCode.UNIMPLEMENTED,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    417: grpc.StatusCode.INVALID_ARGUMENT,
}


def expected(error: BaseException) -> bool:
    """Whether the error is in the tree, so that its message is meant for the client."""
    return _answer(error) is not _INTERNAL


def grpc_status(error: BaseException) -> tuple[grpc.StatusCode, str, Metadata]:
    """The status code, message and trailing metadata for an error; details where the client may retry."""
    answer, message = _answer(error), _message(error)
    if not isinstance(error, UnavailableError):
        return answer.code, message, ()
    details = _status(answer.code, message, error).SerializeToString()
    return answer.code, message, (("grpc-status-details-bin", details),)


def http_status(error: BaseException) -> tuple[int, dict[str, str], Status]:
    """The HTTP status, headers and body for an error. Retry-After is in whole seconds, at least one."""
    answer = _answer(error)
    headers: dict[str, str] = {}
    if isinstance(error, UnavailableError):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return answer.http, headers, _status(answer.code, _message(error), error)


def reason(transport: str, error: BaseException) -> str:
    """How an error is answered, as a label: `401` over HTTP, `unauthenticated` over gRPC."""
    answer = _answer(error)
    return str(answer.http) if transport == "http" else answer.code.name.lower()


def http_refusal(http: int, message: str) -> Status:
    """The body for a request that HTTP itself refuses: 404, 405, 408, 415 or 417."""
    return Status(code=_number(_HTTP_REFUSALS[http]), message=message)


def _answer(error: BaseException) -> _Answer:
    return next((answer for kind, answer in _ANSWERS if isinstance(error, kind)), _INTERNAL)


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
