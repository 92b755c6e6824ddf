"""Undoing Content-Encoding, with limits."""

import gzip
import tracemalloc
import zlib

import pytest

from receiver.errors import MalformedError, TooLargeError
from receiver.otlp.content_encoding import decompress

TEXT = b"hello, hello, hello " * 1000
BARE = zlib.compress(TEXT)[2:-4]


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("", TEXT),
        ("identity", TEXT),
        ("gzip", gzip.compress(TEXT)),
        ("x-gzip", gzip.compress(TEXT)),
        ("gzip", gzip.compress(TEXT[:500]) + gzip.compress(TEXT[500:])),
        ("gzip", gzip.compress(TEXT) + bytes(64)),
        ("gzip", gzip.compress(TEXT[:500]) + gzip.compress(b"") + gzip.compress(TEXT[500:])),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", BARE),
        ("zlib", zlib.compress(TEXT)),
    ],
)
def test_every_encoding_is_undone(encoding, body):
    assert decompress(body, encoding, len(TEXT)) == TEXT


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zlib"])
def test_an_empty_payload_is_empty(encoding):
    body = gzip.compress(b"") if encoding == "gzip" else zlib.compress(b"")
    assert decompress(body, encoding, 10) == b""


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zlib"])
@pytest.mark.parametrize("damage", [lambda b: b[:-6], lambda b: b"", lambda b: b[:1], lambda b: b"nonsense" + b])
def test_broken_bodies_are_malformed(encoding, damage):
    body = gzip.compress(TEXT) if encoding == "gzip" else zlib.compress(TEXT)
    with pytest.raises(MalformedError):
        decompress(damage(body), encoding, 1 << 20)


def test_what_follows_a_gzip_member_must_be_another():
    with pytest.raises(MalformedError):
        decompress(gzip.compress(TEXT) + b"trailing", "gzip", 1 << 20)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_stopped_at_the_limit_without_taking_memory(encoding):
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    bomb = pack(bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            decompress(bomb, encoding, 1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_exactly_the_limit_is_allowed():
    assert len(decompress(gzip.compress(bytes(1000)), "gzip", 1000)) == 1000
    with pytest.raises(TooLargeError):
        decompress(gzip.compress(bytes(1001)), "gzip", 1000)
