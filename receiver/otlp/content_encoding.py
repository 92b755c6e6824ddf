"""Decodes HTTP's Content-Encoding: the algorithms that the Collector's confighttp supports, by the same names.

Pure functions over bytes. Decompression stops at the limit, so that a small body cannot take much memory: zlib, zstd
and lz4 decompress piece by piece, and snappy's blocks state their size first.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

import cramjam
import lz4.frame

from receiver.errors import MalformedError, TooLargeError

if sys.version_info >= (3, 14):
    from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
else:
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

_GZIP_WINDOW, _ZLIB_WINDOW, _RAW_WINDOW = 31, 15, -15  # zlib.decompressobj's wbits
_ZSTD: Mapping[int, int] = {DecompressionParameter.window_log_max: 23}  # 8 MiB, the most that HTTP allows (RFC 9659, 3)
_PIECE_BYTES = 1 << 18

# confighttp's names; the empty one is no compression.
ALGORITHMS = ("", "gzip", "zstd", "zlib", "snappy", "deflate", "lz4", "x-snappy-framed")
_ALIASES = {"identity": "", "x-gzip": "gzip"}  # RFC 9110, 8.4.1 and 8.4.1.3

# Snappy's framing format (framing_format.txt): each chunk has a header of four bytes; only some chunks contain data.
_SNAPPY_STREAM = b"\xff\x06\x00\x00sNaPpY"
_COMPRESSED_CHUNK, _PLAIN_CHUNK, _CHECKSUM = 0, 1, 4

_ERRORS = (zlib.error, ZstdError, RuntimeError, EOFError, ValueError, cramjam.DecompressionError)


class _Stream(Protocol):
    """What zstd's and lz4's decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def algorithm(encoding: str) -> str:
    """The algorithm that a Content-Encoding names; an unknown name is returned unchanged."""
    return _ALIASES.get(encoding, encoding)


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """`body` decompressed from `encoding`, whose algorithm is one of ALGORITHMS.

    Raises TooLargeError when the result would exceed `limit` bytes, MalformedError for a broken or truncated body.
    """
    name = algorithm(encoding)
    if not name:
        return body
    try:
        if name in ("snappy", "x-snappy-framed"):
            return _snappy(body, limit)
        return _join(_PIECES[name](body), limit)
    except _ERRORS as error:
        raise MalformedError(f"the body is not valid {encoding}: {error}") from None


def too_large(limit: int) -> TooLargeError:
    """The error for a body over `limit` bytes."""
    return TooLargeError(f"the request body is larger than {limit} bytes after decompression")


def _join(pieces: Iterable[bytes], limit: int) -> bytes:
    whole = bytearray()
    for piece in pieces:
        whole += piece
        if len(whole) > limit:
            raise too_large(limit)
    return bytes(whole)


def _gzip(body: bytes) -> Iterator[bytes]:
    rest = body
    while True:
        member = zlib.decompressobj(_GZIP_WINDOW)
        yield from _inflate(member, rest)
        rest = member.unused_data.lstrip(b"\0")  # padding between members is allowed (RFC 1952, gzip's manual)
        if not rest:
            return


def _deflate(body: bytes) -> Iterator[bytes]:
    """HTTP's deflate is zlib's format, but some clients send the bare stream (RFC 9110, 8.4.1.2)."""
    is_zlib = len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return _inflate(zlib.decompressobj(_ZLIB_WINDOW if is_zlib else _RAW_WINDOW), body)


def _inflate(stream: zlib._Decompress, body: bytes) -> Iterator[bytes]:
    rest = body
    while not stream.eof:
        piece = stream.decompress(rest, _PIECE_BYTES)
        rest = stream.unconsumed_tail
        if not piece and not rest and not stream.eof:
            raise _truncated()
        yield piece


def _frames(make: Callable[[], _Stream]) -> Callable[[bytes], Iterator[bytes]]:
    """zstd and lz4: one frame after another (RFC 8878, 3.1; lz4_Frame_format.md)."""

    def pieces(body: bytes) -> Iterator[bytes]:
        rest: bytes | None = body
        while rest or rest is body:
            stream = make()
            piece = stream.decompress(rest or b"", _PIECE_BYTES)
            while not stream.eof:
                yield piece
                piece = stream.decompress(b"", _PIECE_BYTES)
                if not piece and not stream.eof:
                    raise _truncated()
            yield piece
            rest = stream.unused_data

    return pieces


_PIECES: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": _gzip,
    "deflate": _deflate,
    "zlib": _deflate,
    "zstd": _frames(lambda: ZstdDecompressor(options=_ZSTD)),
    "lz4": _frames(lz4.frame.LZ4FrameDecompressor),
}


def _snappy(body: bytes, limit: int) -> bytes:
    """A block, or framed. The Collector's exporter frames what it calls snappy by default, and its receiver accepts
    both; the stream identifier, with which no useful block begins, tells them apart.
    """
    if not body.startswith(_SNAPPY_STREAM):
        if _block_size(body) > limit:
            raise too_large(limit)
        return bytes(cramjam.snappy.decompress_raw(body))
    if sum(_chunk_sizes(body)) > limit:
        raise too_large(limit)
    return bytes(cramjam.snappy.decompress(body))


def _chunk_sizes(body: bytes) -> Iterator[int]:
    """The decompressed size that each chunk states."""
    at = 0
    while at < len(body):
        kind, size = body[at], int.from_bytes(body[at + 1 : at + 4], "little")
        data, at = body[at + 4 : at + 4 + size], at + 4 + size
        if at > len(body) or len(data) < size:
            raise _truncated()
        if kind == _COMPRESSED_CHUNK:
            yield _block_size(data[_CHECKSUM:])
        elif kind == _PLAIN_CHUNK:
            yield max(0, size - _CHECKSUM)


def _block_size(block: bytes) -> int:
    """The decompressed size that a block begins with, a number in seven-bit groups."""
    size = 0
    for position, byte in enumerate(block[:5]):
        size |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return size
    raise _truncated()


def _truncated() -> MalformedError:
    return MalformedError("the compressed body is truncated")
