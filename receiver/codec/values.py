"""AnyValue, decoded only when it is asked for. A value that does not parse reads as None: the request as a whole was
validated when it was received, and what a dialect cannot read it counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from google.protobuf.message import DecodeError

from receiver.codec.wire_pb2 import Value
from receiver.model import Value as PlainValue

_MAX_DEPTH = 64  # nested deeper than any body of an agent; protobuf itself refuses at 100


def plain(raw: bytes, depth: int = 0) -> PlainValue:
    """The plain value of a serialized AnyValue; an unset one is None (OTLP 1.9: receivers must accept it)."""
    if not raw or depth > _MAX_DEPTH:
        return None
    try:
        value = Value.FromString(raw)
    except (DecodeError, UnicodeDecodeError):
        return None
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [plain(v, depth + 1) for v in value.array_value.values]
    if kind == "kvlist_value":
        return LazyMap(value.kvlist_value.values, depth + 1)
    found: PlainValue = getattr(value, kind)
    return found


class LazyMap(Mapping[str, PlainValue]):
    """A read-only mapping over still serialized AnyValues."""

    __slots__ = ("_depth", "_raw")

    def __init__(self, raw: Mapping[str, bytes], depth: int = 0) -> None:
        self._raw = raw
        self._depth = depth

    def __getitem__(self, key: str) -> PlainValue:
        if key not in self._raw:
            raise KeyError(key)
        return plain(self._raw[key], self._depth)

    def get(self, key: str, default: PlainValue = None) -> PlainValue:  # type: ignore[override]
        """The value, or the default where it is missing or unset."""
        raw = self._raw.get(key)
        if not raw:
            return default
        value = plain(raw, self._depth)
        return default if value is None else value

    def __contains__(self, key: object) -> bool:
        return key in self._raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)
