"""Maps a backend's response to a PermanentExportError or a RetryableExportError, here and nowhere else.

The rules are OTLP's (specification, "Failures", "OTLP/gRPC Throttling") as the Collector implements them: an error that
is not named as retryable is permanent, wrong credentials included. A failed export's message has the cause, every
address of the name that failed otherwise, and a fix where one is known. No I/O, no clock.
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
from receiver.exporters.error_hints import with_hint

_RETRYABLE_CODES = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}
_RETRYABLE_HTTP = {429, 502, 503, 504}
_WEB_PAGES = {"text/html", "application/xhtml+xml"}
JSON, PROTOBUF = "application/json", "application/x-protobuf"
_MAX_MESSAGE = 300  # characters


def grpc_failure(error: grpc.aio.AioRpcError, endpoint: str, others: str = "") -> ExportError:
    """The error for a gRPC call that did not end with OK. `others`: the errors of the name's other addresses."""
    code = error.code()
    message = with_hint(f"{endpoint}: {code.name}: {one_line(error.details() or 'no details')}{others}")
    retry_info = _retry_info(error)
    if code in _RETRYABLE_CODES or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and retry_info is not None):
        return RetryableExportError(message, _seconds(retry_info))
    return PermanentExportError(message)


def http_failure(status: int, headers: Mapping[str, str], body: bytes, endpoint: str, now: float) -> ExportError:
    """The error for an HTTP response outside 2xx. `now` is in seconds since the Unix epoch."""
    message = f"{endpoint}: HTTP {status}"
    if 300 <= status < 400:
        # Following would turn the POST into a GET, whose 200 would look like a success.
        return PermanentExportError(f"{message}: redirected to {headers.get('Location', 'nowhere')}")
    reason = _reason(headers.get("Content-Type", ""), body)
    message = with_hint(f"{message}: {reason}" if reason else message)
    if status in _RETRYABLE_HTTP:
        return RetryableExportError(message, _retry_after(headers.get("Retry-After", ""), now))
    return PermanentExportError(message)


def unreachable(error: Exception, endpoint: str) -> RetryableExportError:
    """The error for a backend that did not respond: no connection, or not in time."""
    if isinstance(error, TimeoutError):
        return RetryableExportError(f"{endpoint}: no answer in time")
    return RetryableExportError(with_hint(f"{endpoint}: {one_line(str(error) or type(error).__name__)}"))


def web_page_error(content_type: str, endpoint: str) -> PermanentExportError | None:
    """The error for a 2xx response that is a web page, as of a login proxy, which took nothing; None for any other."""
    if media_type(content_type) not in _WEB_PAGES:
        return None
    return PermanentExportError(f"{endpoint}: answered with a web page, which OTLP never is (check the endpoint)")


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


def _reason(content_type: str, body: bytes) -> str:
    """The message in a failure's body: a google.rpc.Status in either encoding, or plain text."""
    try:
        if media_type(content_type) == PROTOBUF:
            return one_line(Status.FromString(body).message)
        if media_type(content_type) == JSON:
            return one_line(str(msgspec.json.decode(body)["message"]))
    except (DecodeError, msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        pass
    return one_line(body.decode("utf-8", "replace"))


def media_type(content_type: str) -> str:
    """A content type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def one_line(text: str) -> str:
    """The text in one line without control characters: a backend wrote it, and it goes to a terminal."""
    printable = "".join(char if char.isprintable() else " " for char in text[: 4 * _MAX_MESSAGE])
    return " ".join(printable.split())[:_MAX_MESSAGE]
