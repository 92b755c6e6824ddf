"""Reads the protocol names (ALPN) that a TLS client offers in its ClientHello, before any TLS library sees it.

Pure. The layout is that of RFC 8446 (4.1.2) and RFC 7301 (3.1). An incomplete or broken ClientHello yields no names;
the TLS library that the connection is passed to reports what is wrong with it.
"""

from __future__ import annotations

_HANDSHAKE, _CLIENT_HELLO, _ALPN = 22, 1, 16
_RECORD_HEADER = 5
_MAX_RECORD = 1 << 14  # bytes; RFC 8446, 5.1


def is_tls(first_bytes: bytes) -> bool:
    """Whether a connection begins with a TLS handshake."""
    return first_bytes[:1] == bytes([_HANDSHAKE])


def is_whole(first_bytes: bytes) -> bool:
    """Whether the first record, which contains the ClientHello, has arrived completely."""
    if len(first_bytes) < _RECORD_HEADER:
        return False
    return len(first_bytes) >= _RECORD_HEADER + min(_number(first_bytes[3:5]), _MAX_RECORD)


def wants_grpc(first_bytes: bytes) -> bool:
    """Whether the client offers HTTP/2 but not HTTP/1.1, as gRPC clients do. OTLP/HTTP clients offer HTTP/1.1."""
    names = alpn(first_bytes)
    return b"h2" in names and b"http/1.1" not in names


def alpn(first_bytes: bytes) -> list[bytes]:
    """The protocol names that a ClientHello offers."""
    if not is_tls(first_bytes) or not is_whole(first_bytes):
        return []
    if first_bytes[_RECORD_HEADER : _RECORD_HEADER + 1] != bytes([_CLIENT_HELLO]):
        return []
    rest = first_bytes[_RECORD_HEADER + 4 + 2 + 32 :]  # handshake header, version, random
    for width in (1, 2, 1):  # session id, cipher suites, compression methods
        _, rest = _take(rest, width)
    extensions, _ = _take(rest, 2)
    while len(extensions) >= 4:
        kind = _number(extensions[:2])
        body, extensions = _take(extensions[2:], 2)
        if kind == _ALPN:
            return _names(_take(body, 2)[0])
    return []


def _names(encoded: bytes) -> list[bytes]:
    names = []
    while encoded:
        name, encoded = _take(encoded, 1)
        names.append(name)
    return names


def _take(data: bytes, width: int) -> tuple[bytes, bytes]:
    """A vector that follows its length, a number of `width` bytes; and the rest after it."""
    end = width + _number(data[:width])
    return data[width:end], data[end:]


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
