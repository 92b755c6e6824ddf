"""Reading fields that may be missing, empty or of another type than agreed: what can be used is used (FACTS 6).

Numbers may come as int, double or text, booleans as text, times in milliseconds or as ISO 8601.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec

from receiver.model import Attributes, LogRecord, Value

Wanted: TypeAlias = frozenset[str]
"""Words of `capture_content`: content that is costly to put together is read only where it is asked for."""

MS = 1_000_000
MAX_ID = 512  # bytes; OpenCode's ids have 30 characters, providers' call ids up to some 100
LATEST = 1 << 62  # ns: the year 2116
_MOST = 1e12  # of dollars; of milliseconds it is 31 years
SLACK = 1_000 * MS  # a record's time may be this much after its observed time: two clocks in one process


def as_text(value: Value, limit: int = 65_536) -> str | None:
    """A non-empty text, cut at `limit` characters."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        return value[:limit] or None
    if isinstance(value, (int, float)):
        return str(value)
    return None


def as_id(value: Value) -> str | None:
    """An identifier: a text of sane length without surrounding blanks."""
    if not isinstance(value, str):
        return None
    value = value.strip()
    return value if 0 < len(value) <= MAX_ID else None


def as_known_id(value: Value) -> str | None:
    """An identifier; `unknown` is what plugins send where they know none."""
    known = as_id(value)
    return None if known == "unknown" else known


def as_number(value: Value) -> float | int | None:
    """A finite number, also if it came as text."""
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
    """A whole number that is not negative."""
    number = as_number(value)
    return int(number) if number is not None and 0 <= number < 1 << 53 else None


def as_cost(value: Value) -> float | None:
    """An amount of money that is neither negative nor absurd."""
    number = as_number(value)
    return float(number) if number is not None and 0 <= number < _MOST else None


def as_duration(value: Value) -> int | None:
    """A duration in milliseconds, as nanoseconds; None if it is negative or absurd."""
    number = as_number(value)
    return int(number * MS) if number is not None and 0 <= number < _MOST else None


def with_cached(fresh: int | None, read: int | None, written: int | None) -> int | None:
    """Input tokens as the semantic conventions count them: with the cached ones, which OpenCode (session.ts, getUsage)
    and Anthropic count apart."""
    return fresh + (read or 0) + (written or 0) if fresh is not None else None


def as_bool(value: Value) -> bool | None:
    """A truth value, also if it came as text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return None


def as_map(value: Value) -> Mapping[str, Value]:
    """A mapping, empty if it is none."""
    return value if isinstance(value, Mapping) else {}


def from_json(value: Value) -> Mapping[str, Value]:
    """The object that a JSON text holds, empty if it holds none."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, (str, bytes)):
        return {}
    try:
        return as_map(msgspec.json.decode(value))
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return {}


def ms_time(value: Value) -> int | None:
    """A time in milliseconds since the epoch, as nanoseconds; None if absent or absurd."""
    number = as_number(value)
    if number is None or not 0 < number < LATEST / MS:
        return None
    return int(number) * MS if number == int(number) else int(number * MS)


def iso_time(value: Value) -> int | None:
    """A time in ISO 8601, as nanoseconds to the microsecond; None if absent or absurd."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    time = ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
    return time if 0 < time < LATEST else None


def record_time(record: LogRecord) -> int | None:
    """When a log record's event was (ns): a time beyond the observed one is not to be believed (FACTS 2)."""
    time, observed = record.time, record.observed
    if 0 < time < LATEST and (not observed or time <= observed + SLACK):
        return time
    return observed if 0 < observed < LATEST else None


def not_after(time: int | None, record: LogRecord) -> int | None:
    """A time (ns) that a record's body tells, unless it lies beyond the record itself: not to be believed."""
    limit = max(record.observed, record_time(record) or 0)
    return time if time is not None and (not limit or time <= limit + SLACK) else None


def event_name(record: LogRecord) -> str:
    """The event's name: the record's own field, or the attribute that came before it."""
    if record.event_name:
        return record.event_name
    name = record.attributes.get("event.name")
    return name if isinstance(name, str) else ""


def first(attributes: Attributes, *names: str) -> Value:
    """The first of several attributes that is set."""
    for name in names:
        if (value := attributes.get(name)) is not None:
            return value
    return None


def label(text: str | None) -> str | None:
    """A digest of a name that may be content, for telling whether two are the same without keeping either."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest() if text else None


def to_json(value: Value) -> str:
    """A value as JSON text, the same in every process: protobuf's maps have an order of their own in each."""
    return msgspec.json.encode(_solid(value)).decode()


def _solid(value: Value) -> Any:
    if isinstance(value, Mapping):
        return {k: _solid(value[k]) for k in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_solid(v) for v in value]
    return value
