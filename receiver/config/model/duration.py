"""Durations in Go's syntax ("60s", "1h30m", "250ms", "0"), parsed to whole nanoseconds and rendered back. Pure."""

from __future__ import annotations

import re
from fractions import Fraction

_UNITS = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
_SPELLINGS = {**_UNITS, "µs": 1_000, "μs": 1_000}  # micro sign and Greek mu, as in Go's time package
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(h|ms|m|s|us|µs|μs|ns)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_MAX_NANOSECONDS = 2**63 - 1  # Go's time.Duration is an int64 of nanoseconds
_REMEDY = "write a number with a unit, such as 250ms, 60s, 10m or 1h30m"


def parse(value: object) -> int:
    """The nanoseconds of a duration's text; 0 needs no unit. Raises ValueError with the remedy."""
    if value == 0 and not isinstance(value, bool):
        return 0
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"{value} has no unit; write {value}s for seconds")
    if not isinstance(value, str):
        raise ValueError(f"must be a duration; {_REMEDY}")
    return _parse_text(value.strip())


def _parse_text(text: str) -> int:
    if text in ("0", "+0", "-0"):
        return 0
    if text.startswith("-"):
        raise ValueError(f"{text!r} is negative; a duration here is 0 or longer")
    text = text.removeprefix("+")
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration; {_REMEDY}")
    total = sum(Fraction(number) * _SPELLINGS[unit] for number, unit in _PART.findall(text))
    if total > _MAX_NANOSECONDS:
        raise ValueError(f"{text!r} is longer than 292 years; {_REMEDY}")
    return int(total)


def render(nanoseconds: int) -> str:
    """The shortest exact text: `1h30m`, `250ms`, `0s`. `parse` reads it back to the same number."""
    if nanoseconds == 0:
        return "0s"
    parts = []
    for unit, size in _UNITS.items():
        count, nanoseconds = divmod(nanoseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)
