"""A request that a backend took, but not wholly: read, told, and never sent again (OTLP, "Partial Success")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError

from receiver.codec.export_service import EXPORT_SERVICES
from receiver.exporters.responses import JSON, PROTOBUF, essence, one_line
from receiver.model import Signal

OnRejected: TypeAlias = Callable[[Signal, int, str], None]  # signal, records, the backend's message

_REJECTED: dict[Signal, str] = {
    "logs": "rejected_log_records",
    "metrics": "rejected_data_points",
    "traces": "rejected_spans",
}


@dataclass(frozen=True, slots=True)
class Rejection:
    """What a backend says of a request that it took: `count` records of it were refused; 0 is only a warning."""

    count: int
    message: str


def rejection(signal: Signal, body: bytes, content_type: str = PROTOBUF) -> Rejection | None:
    """The partial success that a serialized Export response tells of, if any.

    Another content type, or a body that is no such response, tells of none: the request was taken all the same.
    """
    response: Any = EXPORT_SERVICES[signal].response()
    try:
        if essence(content_type) == PROTOBUF:
            response.ParseFromString(body)
        elif essence(content_type) == JSON and body:
            Parse(body, response, ignore_unknown_fields=True)
    except (DecodeError, ParseError, UnicodeDecodeError):
        return None
    partial = response.partial_success
    count = int(getattr(partial, _REJECTED[signal]))
    return Rejection(count, one_line(partial.error_message)) if count or partial.error_message else None


def tell(rejected: Rejection | None, signal: Signal, listener: OnRejected | None) -> None:
    """Put a rejection, if there is one, before the listener."""
    if rejected is not None and listener is not None:
        listener(signal, rejected.count, rejected.message)
