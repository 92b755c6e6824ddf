"""A backend's answer becomes a PermanentExportError or a RetryableExportError here, and nowhere else.

The rules are OTLP's (specification, "Failures", "OTLP/gRPC Throttling") as the Collector reads them: what is not
named as retryable is permanent, wrong credentials too. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, cast

import grpc
import msgspec
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from receiver.errors import ExportError, PermanentExportError, RetryableExportError
from receiver.exporters.error_hints import with_remedy

_RETRYABLE_CODES = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}
_RETRYABLE_HTTP = {429, 502, 503, 504}
_PAGES = {"text/html", "application/xhtml+xml"}
JSON, PROTOBUF = "application/json", "application/x-protobuf"
_MESSAGE_LIMIT = 300


def grpc_failure(error: grpc.aio.AioRpcError, endpoint: str, others: str = "") -> ExportError:
    """The error for a gRPC call that did not end with OK. `others`: what the name's other addresses said before."""
    code = error.code()
    message = with_remedy(f"{endpoint}: {code.name}: {one_line(error.details() or 'no details')}{others}")
    retry_info = _retry_info(error)
    if code in _RETRYABLE_CODES or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and retry_info is not None):
        return RetryableExportError(message, _seconds(retry_info))
    return PermanentExportError(message)


def http_failure(status: int, headers: Mapping[str, str], body: bytes, endpoint: str, now: float) -> ExportError:
    """The error for an HTTP answer outside 2xx. `now` is in seconds since the Unix epoch."""
    message = f"{endpoint}: HTTP {status}"
    if 300 <= status < 400:
        # Following would turn the POST into a GET, whose 200 would be taken for a success.
        return PermanentExportError(f"{message}: redirected to {headers.get('Location', 'nowhere')}")
    said = _said(headers.get("Content-Type", ""), body)
    message = with_remedy(f"{message}: {said}" if said else message)
    if status in _RETRYABLE_HTTP:
        return RetryableExportError(message, _retry_after(headers.get("Retry-After", ""), now))
    return PermanentExportError(message)


def unreachable(error: Exception, endpoint: str) -> RetryableExportError:
    """The error for a backend that did not answer: no connection, or not in time."""
    if isinstance(error, TimeoutError):
        return RetryableExportError(f"{endpoint}: no answer in time")
    return RetryableExportError(with_remedy(f"{endpoint}: {one_line(str(error) or type(error).__name__)}"))


def no_answer_of_otlp(content_type: str, endpoint: str) -> PermanentExportError | None:
    """The error for a success that is a web page: whoever answers so has taken nothing. Other answers are believed."""
    if essence(content_type) not in _PAGES:
        return None
    return PermanentExportError(f"{endpoint}: answered with a web page, which OTLP never is (look at the endpoint)")


def _retry_info(error: grpc.aio.AioRpcError) -> RetryInfo | None:
    for key, value in cast(Any, error.trailing_metadata()) or ():
        if key == "grpc-status-details-bin":
            return _retry_info_of(bytes(value))
    return None


def _retry_info_of(details: bytes) -> RetryInfo | None:
    info = RetryInfo()
    try:
        for detail in Status.FromString(details).details:
            if detail.Unpack(info):
                return info
    except DecodeError:
        pass
    return None


def _seconds(info: RetryInfo | None) -> float | None:
    delay = info.retry_delay.ToMilliseconds() / 1000 if info is not None else 0.0
    return delay if delay > 0 else None


def _retry_after(value: str, now: float) -> float | None:
    """Seconds from a Retry-After header: a number of seconds or an HTTP date (RFC 9110, 10.2.3)."""
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _said(content_type: str, body: bytes) -> str:
    """What the body of a failure says to a person: a google.rpc.Status in either encoding, or plain text."""
    try:
        if essence(content_type) == PROTOBUF:
            return one_line(Status.FromString(body).message)
        if essence(content_type) == JSON:
            return one_line(str(msgspec.json.decode(body)["message"]))
    except (DecodeError, msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        pass
    return one_line(body.decode("utf-8", "replace"))


def essence(content_type: str) -> str:
    """A content type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def one_line(text: str) -> str:
    """One line without control characters: it goes to a terminal, and it was written by somebody else."""
    printable = "".join(char if char.isprintable() else " " for char in text[: 4 * _MESSAGE_LIMIT])
    return " ".join(printable.split())[:_MESSAGE_LIMIT]
