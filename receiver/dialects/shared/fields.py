"""Reads fields that may be missing, empty or of an unexpected type, and then returns None (docs/producers.md 6).

Numbers may arrive as int, double or text, booleans as text, times in milliseconds or as ISO 8601.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec

from receiver.model import Attributes, LogRecord, Value

Captured: TypeAlias = frozenset[str]
"""The words of `capture_content`. Content that is costly to assemble is read only where they ask for it."""

MS = 1_000_000
MAX_ID_LENGTH = 512  # characters; OpenCode's ids have 30, call ids of model providers up to some 100
MAX_TIME = 1 << 62  # ns; the year 2116
_MAX_AMOUNT = 1e12  # dollars, or milliseconds (31 years)
CLOCK_TOLERANCE = 1_000 * MS  # a record's time may be this much later than its observed time: a process has two clocks


def as_text(value: Value, limit: int = 65_536) -> str | None:
    """A non-empty text, cut at `limit` characters. Numbers become text."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        return value[:limit] or None
    if isinstance(value, (int, float)):
        return str(value)
    return None


def as_id(value: Value) -> str | None:
    """An identifier: a text of 1 to MAX_ID_LENGTH characters, without surrounding blanks."""
    if not isinstance(value, str):
        return None
    value = value.strip()
    return value if 0 < len(value) <= MAX_ID_LENGTH else None


def as_id_unless_unknown(value: Value) -> str | None:
    """An identifier; None for `unknown`, which plugins send where they have none."""
    found = as_id(value)
    return None if found == "unknown" else found


def as_number(value: Value) -> float | int | None:
    """A finite number, from text too."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        try:
            value = int(value) if value.lstrip("-").isdecimal() and len(value) < 20 else float(value)
        except ValueError:
            return None
    try:
        return value if isinstance(value, (int, float)) and math.isfinite(value) else None
    except OverflowError:  # a JSON text's integer may have hundreds of digits
        return None


def as_count(value: Value) -> int | None:
    """A whole number from 0 to 2^53."""
    number = as_number(value)
    return int(number) if number is not None and 0 <= number < 1 << 53 else None


def as_cost(value: Value) -> float | None:
    """An amount of money from 0 to _MAX_AMOUNT dollars."""
    number = as_number(value)
    return float(number) if number is not None and 0 <= number < _MAX_AMOUNT else None


def as_duration(value: Value) -> int | None:
    """Milliseconds as nanoseconds; None if they are negative or more than _MAX_AMOUNT."""
    number = as_number(value)
    return int(number * MS) if number is not None and 0 <= number < _MAX_AMOUNT else None


def total_input_tokens(fresh: int | None, read: int | None, written: int | None) -> int | None:
    """Input tokens as the semantic conventions count them: cached ones included.

    OpenCode (session.ts, getUsage) and Anthropic count the cached ones separately.
    """
    return fresh + (read or 0) + (written or 0) if fresh is not None else None


def as_bool(value: Value) -> bool | None:
    """A boolean, from text too."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return None


def as_map(value: Value) -> Mapping[str, Value]:
    """The mapping; an empty one for any other value."""
    return value if isinstance(value, Mapping) else {}


def from_json(value: Value) -> Mapping[str, Value]:
    """The object in a JSON text; an empty one if there is none."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, (str, bytes)):
        return {}
    try:
        return as_map(msgspec.json.decode(value))
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return {}


class MalformedBodyError(ValueError):
    """A body that begins like JSON and is none, such as one that was cut."""


def structured_body(record: LogRecord) -> Value:
    """The body of a record that holds a map or a list. Shippers such as Fluent Bit and Vector turn it into JSON text,
    which is read again; other texts stay as they are.

    Raises MalformedBodyError for a text that begins with a brace or a bracket and is no JSON.
    """
    body = record.body
    if not isinstance(body, str) or not body.lstrip().startswith(("{", "[")):
        return body
    try:
        decoded: Value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise MalformedBodyError from error
    return decoded


def ms_time(value: Value) -> int | None:
    """A time in milliseconds since the epoch, as nanoseconds; None if absent or out of range."""
    number = as_number(value)
    if number is None or not 0 < number < MAX_TIME / MS:
        return None
    return int(number) * MS if number == int(number) else int(number * MS)


def iso_time(value: Value) -> int | None:
    """A time in ISO 8601, as nanoseconds (exact to the microsecond); None if absent or out of range."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    time = ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
    return time if 0 < time < MAX_TIME else None


def record_time(record: LogRecord) -> int | None:
    """The time of a log record's event (ns). A time later than the observed time is wrong (docs/producers.md 2)."""
    time, observed = record.time, record.observed
    if 0 < time < MAX_TIME and (not observed or time <= observed + CLOCK_TOLERANCE):
        return time
    return observed if 0 < observed < MAX_TIME else None


def not_after(time: int | None, record: LogRecord) -> int | None:
    """A time (ns) from a record's body; None if it is later than the record itself, which cannot be right."""
    limit = max(record.observed, record_time(record) or 0)
    return time if time is not None and (not limit or time <= limit + CLOCK_TOLERANCE) else None


def event_name(record: LogRecord) -> str:
    """The event's name: the record's own field, or the older attribute `event.name`."""
    if record.event_name:
        return record.event_name
    name = record.attributes.get("event.name")
    return name if isinstance(name, str) else ""


def first_set(attributes: Attributes, *names: str) -> Value:
    """The first of several attributes that is set."""
    for name in names:
        if (value := attributes.get(name)) is not None:
            return value
    return None


def name_digest(text: str | None) -> str | None:
    """A digest of a name that may be content: it tells whether two names are equal without storing them."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest() if text else None


def to_json(value: Value) -> str:
    """A value as JSON text with sorted keys, since the order of protobuf's maps differs between processes."""
    return msgspec.json.encode(_with_sorted_keys(value)).decode()


def _with_sorted_keys(value: Value) -> Any:
    if isinstance(value, Mapping):
        return {k: _with_sorted_keys(value[k]) for k in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_with_sorted_keys(v) for v in value]
    return value
