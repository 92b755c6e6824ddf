"""Reads a partial success: the backend took a request but rejected some of its records. It is reported and never sent
again (OTLP, "Partial Success").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError

from receiver.codec.export_service import EXPORT_SERVICES
from receiver.exporters.responses import JSON, PROTOBUF, media_type, one_line
from receiver.model import Signal

OnRejected: TypeAlias = Callable[[Signal, int, str], None]  # signal, records, the backend's message

_COUNT_FIELDS: dict[Signal, str] = {
    "logs": "rejected_log_records",
    "metrics": "rejected_data_points",
    "traces": "rejected_spans",
}


@dataclass(frozen=True, slots=True)
class Rejection:
    """`count` records of a request were rejected; 0 means that the backend only warns."""

    count: int
    message: str


def parse_partial_success(signal: Signal, body: bytes, content_type: str = PROTOBUF) -> Rejection | None:
    """The partial success in a serialized Export response; None for a full success.

    None too for another content type or an unreadable body: the request was taken all the same.
    """
    response: Any = EXPORT_SERVICES[signal].response()
    try:
        if media_type(content_type) == PROTOBUF:
            response.ParseFromString(body)
        elif media_type(content_type) == JSON and body:
            Parse(body, response, ignore_unknown_fields=True)
    except (DecodeError, ParseError, UnicodeDecodeError):
        return None
    partial = response.partial_success
    count = int(getattr(partial, _COUNT_FIELDS[signal]))
    return Rejection(count, one_line(partial.error_message)) if count or partial.error_message else None
