"""What a TLS client would like to speak: the ALPN names of its ClientHello, read before anything is answered.

Pure. RFC 8446 (4.1.2) and RFC 7301 (3.1) say where they are. A ClientHello that is not whole yet, or broken, has none
that are known; the TLS library behind the door says what is wrong with it.
"""

from __future__ import annotations

_HANDSHAKE, _CLIENT_HELLO, _ALPN = 22, 1, 16
_RECORD_HEADER = 5
_MAX_RECORD = 1 << 14


def is_tls(seen: bytes) -> bool:
    """Whether a connection begins as TLS does."""
    return seen[:1] == bytes([_HANDSHAKE])


def is_whole(seen: bytes) -> bool:
    """Whether the first record, in which clients put their ClientHello, has arrived."""
    return len(seen) >= _RECORD_HEADER and len(seen) >= _RECORD_HEADER + min(_number(seen[3:5]), _MAX_RECORD)


def wants_grpc(seen: bytes) -> bool:
    """Whether the client speaks HTTP/2 and nothing else. gRPC's clients do; those of OTLP/HTTP, if they offer HTTP/2
    at all, take HTTP/1.1 as well.
    """
    names = alpn(seen)
    return b"h2" in names and b"http/1.1" not in names


def alpn(seen: bytes) -> list[bytes]:
    """The names that a ClientHello offers."""
    if not is_tls(seen) or not is_whole(seen) or seen[_RECORD_HEADER : _RECORD_HEADER + 1] != bytes([_CLIENT_HELLO]):
        return []
    rest = seen[_RECORD_HEADER + 4 + 2 + 32 :]  # handshake header, version, random
    for width in (1, 2, 1):  # session id, cipher suites, compression methods
        _, rest = _take(rest, width)
    extensions, _ = _take(rest, 2)
    while len(extensions) >= 4:
        kind = _number(extensions[:2])
        body, extensions = _take(extensions[2:], 2)
        if kind == _ALPN:
            return _names(_take(body, 2)[0])
    return []


def _names(listed: bytes) -> list[bytes]:
    names = []
    while listed:
        name, listed = _take(listed, 1)
        names.append(name)
    return names


def _take(data: bytes, width: int) -> tuple[bytes, bytes]:
    """A vector whose length stands before it in `width` bytes, and what follows it."""
    end = width + _number(data[:width])
    return data[width:end], data[end:]


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
