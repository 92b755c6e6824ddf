"""HTTP's Content-Encoding, undone: identity, gzip (several members too), deflate and zlib.

Pure functions over bytes. Inflating stops at the limit, so that a small body cannot take a large memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from receiver.errors import MalformedError, TooLargeError

_GZIP_WINDOW, _ZLIB_WINDOW, _RAW_WINDOW = 31, 15, -15  # zlib.decompressobj's wbits
_PIECE = 1 << 18

ALGORITHMS = ("", "gzip", "zlib", "deflate")  # as confighttp calls them; the empty one is none
_OTHER_NAMES = {"identity": "", "x-gzip": "gzip"}  # RFC 9110, 8.4.1 and 8.4.1.3


def algorithm(encoding: str) -> str:
    """The algorithm that a Content-Encoding names; what is not known comes back as it is."""
    return _OTHER_NAMES.get(encoding, encoding)


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """`body` without `encoding`, whose algorithm is one of ALGORITHMS.

    Raises TooLargeError when it would exceed `limit` bytes, MalformedError when it is broken or cut short.
    """
    if encoding in ("", "identity"):
        return body
    try:
        if encoding in ("gzip", "x-gzip"):
            return _join(_gzip_members(body), limit)
        return _join(_pieces(zlib.decompressobj(_deflate_window(body)), body), limit)
    except zlib.error as error:
        raise MalformedError(f"the body is not valid {encoding}: {error}") from None


def too_large(limit: int) -> TooLargeError:
    """The error for a body over `limit` bytes, wherever that is found out."""
    return TooLargeError(f"the request body is larger than {limit} bytes after decompression")


def _join(pieces: Iterable[bytes], limit: int) -> bytes:
    whole = bytearray()
    for piece in pieces:
        whole += piece
        if len(whole) > limit:
            raise too_large(limit)
    return bytes(whole)


def _gzip_members(body: bytes) -> Iterable[bytes]:
    rest = body
    while True:
        member = zlib.decompressobj(_GZIP_WINDOW)
        yield from _pieces(member, rest)
        rest = member.unused_data.lstrip(b"\0")  # padding between members is allowed (RFC 1952, gzip's manual)
        if not rest:
            return


def _pieces(stream: zlib._Decompress, body: bytes) -> Iterable[bytes]:
    rest = body
    while not stream.eof:
        piece = stream.decompress(rest, _PIECE)
        rest = stream.unconsumed_tail
        if not piece and not rest and not stream.eof:
            raise MalformedError("the compressed body is cut short")
        yield piece


def _deflate_window(body: bytes) -> int:
    """HTTP's deflate is zlib's format, but some clients send the bare stream (RFC 9110, 8.4.1.2)."""
    is_zlib = len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return _ZLIB_WINDOW if is_zlib else _RAW_WINDOW
