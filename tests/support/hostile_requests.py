"""Small requests that a parser makes large: so many of one item that the bytes of each are as few as they can be."""

from __future__ import annotations

from collections.abc import Callable

from receiver.model import Signal


def varint(number: int) -> bytes:
    """A number in seven-bit groups."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, value: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def below(path: tuple[int, ...], value: bytes) -> bytes:
    """`value` in a message in a message, by the fields' numbers, the outermost first."""
    for number in reversed(path):
        value = field(number, value)
    return value


def _many(path: tuple[int, ...], item: bytes) -> Callable[[int], bytes]:
    def body(size: int) -> bytes:
        """A request of about `size` bytes."""
        return below(path, item * (size // len(item)))

    return body


_EMPTY = {number: field(number, b"") for number in range(1, 16)}
_RECORD, _METRIC, _SPAN = (1, 2, 2), (1, 2, 2), (1, 2, 2)

HOSTILE: dict[str, tuple[Signal, Callable[[int], bytes]]] = {
    "resources": ("logs", _many((), _EMPTY[1])),
    "scopes": ("metrics", _many((1,), _EMPTY[2])),
    "log records": ("logs", _many((1, 2), _EMPTY[2])),
    "attributes of a record": ("logs", _many(_RECORD, _EMPTY[6])),
    "attributes of a resource": ("logs", _many((1, 1), _EMPTY[1])),
    "elements of a list": ("logs", _many((*_RECORD, 5, 5), _EMPTY[1])),
    "lists in a list": ("logs", _many((*_RECORD, 5, 5), field(1, field(5, b"")))),
    "a value that changes its kind": ("logs", _many((*_RECORD, 5), _EMPTY[5] + _EMPTY[6])),
    "metrics": ("metrics", _many((1, 2), _EMPTY[2])),
    "points": ("metrics", _many((*_METRIC, 7), _EMPTY[1])),
    "exemplars": ("metrics", _many((*_METRIC, 7, 1), _EMPTY[5])),
    "quantiles": ("metrics", _many((*_METRIC, 11, 1), _EMPTY[6])),
    "spans": ("traces", _many((1, 2), _EMPTY[2])),
    "events": ("traces", _many(_SPAN, _EMPTY[11])),
    "links": ("traces", _many(_SPAN, _EMPTY[13])),
    "packed buckets": ("metrics", lambda size: below((*_METRIC, 10, 1, 8, 2), bytes(size))),
    "unknown fields": ("logs", _many(_RECORD, _EMPTY[15])),
}
