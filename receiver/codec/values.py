"""AnyValue, decoded on access. A value that does not parse is None; the receiver validated the request as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from google.protobuf.message import DecodeError

from receiver.codec.wire_pb2 import Value
from receiver.model import Value as PlainValue

_MAX_DEPTH = 64  # levels; no agent's body has as many, and protobuf itself allows 100


def plain(raw: bytes, depth: int = 0) -> PlainValue:
    """The plain value of a serialized AnyValue; None if it is unset, which receivers must accept (OTLP 1.9)."""
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
    """A read-only mapping of serialized AnyValues."""

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
