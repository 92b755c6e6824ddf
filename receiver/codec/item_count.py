"""Bounds the items of a serialized Export request before it is parsed.

A few bytes of protobuf become an object of some hundred bytes: 57 MiB of empty log records take 4 GB. So items are
counted on the wire first, and counting stops at the bound. Pure: bytes in, a number out, whatever the bytes are.

An item is a message in a repeated field: a record, point, span, event, link, exemplar, attribute, list element, metric,
scope or resource. What else can take memory many times its bytes counts too: packed integers (16 to the item), and the
fields of one message beyond those that an honest one has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from receiver.codec.export_service import EXPORT_SERVICES
from receiver.errors import TooLargeError
from receiver.model import SIGNALS, Signal

# An item of a request takes 100 to 150 bytes while it is parsed: these take some 70 MiB. 64 MiB of 150,000 log records
# with two attributes each have 450,000.
DEFAULT_MAX_ITEMS = 500_000
# Every field takes a byte for its tag and one for its length or value.
_MIN_ITEM_BYTES = 2
_FREE_FIELDS = 24  # of one message; a span, the largest, has 16
_PACKED_PER_ITEM = 16  # a packed integer takes eight bytes of memory

_VARINT, _FIXED64, _BYTES, _START_GROUP, _END_GROUP, _FIXED32 = range(6)
_SKIPPED_GROUPS = (_START_GROUP, _END_GROUP)  # OTLP has none; their fields count as those of the message around them


@dataclass(slots=True, eq=False)
class _Message:
    """What the scan knows of a message type. Keys are tags: field number and wire type."""

    repeated: dict[int, _Message] = field(default_factory=dict)
    single: dict[int, _Message] = field(default_factory=dict)
    packed: set[int] = field(default_factory=set)
    strings: set[int] = field(default_factory=set)


def check_items(signal: Signal, body: bytes, limit: int) -> None:
    """Raises TooLargeError where a serialized Export request of `signal` has more than `limit` items."""
    if len(body) // _MIN_ITEM_BYTES > limit and count_items(signal, body, limit) > limit:
        raise too_many_items(limit)


def too_many_items(limit: int) -> TooLargeError:
    """The error for a request of more than `limit` items."""
    return TooLargeError(
        f"the request has more than {limit} items (max_items), counting attributes and list elements;"
        " send smaller batches"
    )


def count_items(signal: Signal, body: bytes, limit: int) -> int:
    """The items of a serialized Export request, or some number above `limit` where there are more.

    Where the bytes are no protobuf message, those up to the mistake are counted: a parser stops there too.
    """
    message = _REQUESTS[signal]
    repeated = message.repeated
    at, end = 0, len(body)
    count, free, has_single = 0, _FREE_FIELDS, False
    outer: list[tuple[_Message, int, int, bool]] = []
    try:
        while count <= limit:
            if at >= end:
                if at > end or not outer:
                    return count
                message, end, free, has_single = outer.pop()
                repeated = message.repeated
                continue
            tag = body[at]
            at += 1
            if tag > 0x7F:
                tag, at = _varint(body, at - 1)
            wire_type = tag & 7
            if wire_type == _BYTES:
                size = body[at]
                at += 1
                if size > 0x7F:
                    size, at = _varint(body, at - 1)
                child = repeated.get(tag)
                if child is not None:
                    count += 1
                elif (child := message.single.get(tag)) is not None:
                    count += has_single  # a choice (oneof) that is made again makes another message
                    has_single = True
                elif tag in message.packed:
                    count += size // _PACKED_PER_ITEM
                elif tag in message.strings:
                    count += 1
                if child is not None:
                    if size:
                        outer.append((message, end, free, has_single))
                        message, end = child, at + size
                        if end > outer[-1][1]:
                            return count
                        repeated, free, has_single = child.repeated, _FREE_FIELDS, False
                    continue
                at += size
            elif wire_type == _VARINT:
                while body[at] > 0x7F:
                    at += 1
                at += 1
            elif wire_type == _FIXED64:
                at += 8
            elif wire_type == _FIXED32:
                at += 4
            elif wire_type not in _SKIPPED_GROUPS:
                return count
            free -= 1
            if free < 0:
                count += 1
    except IndexError:  # a number is cut off
        pass
    return count


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """A number in seven-bit groups, and the index after it."""
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 or shift > 63:
            return value, at
        shift += 7


def _message(descriptor: Any, made: dict[str, _Message]) -> _Message:
    """The scan's view of a message type and of those below it; AnyValue contains itself, so `made` ends the descent."""
    known = made.get(descriptor.full_name)
    if known is not None:
        return known
    message = made[descriptor.full_name] = _Message()
    for one in descriptor.fields:
        tag = one.number << 3 | _BYTES
        if one.message_type is not None:
            children = message.repeated if one.is_repeated else message.single
            children[tag] = _message(one.message_type, made)
        elif one.is_repeated and one.cpp_type == one.CPPTYPE_STRING:
            message.strings.add(tag)
        elif one.is_repeated and one.type in (one.TYPE_UINT64, one.TYPE_INT64):
            message.packed.add(tag)
    return message


_REQUESTS: dict[Signal, _Message] = {
    signal: _message(EXPORT_SERVICES[signal].request.DESCRIPTOR, {}) for signal in SIGNALS
}
