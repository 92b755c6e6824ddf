"""Decompression of request bodies, within limits."""

import gzip
import resource
import sys
import tracemalloc
import zlib

import cramjam
import lz4.frame
import pytest

from receiver.errors import MalformedError, TooLargeError
from receiver.otlp.content_encoding import decompress

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b"hello, hello, hello " * 1000
BARE = zlib.compress(TEXT)[2:-4]
SNAPPY, FRAMED = (
    (lambda data: bytes(cramjam.snappy.compress_raw(data))),
    lambda data: bytes(cramjam.snappy.compress(data)),
)
PACK = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zlib": zlib.compress,
    "zstd": zstd.compress,
    "lz4": lz4.frame.compress,
    "snappy": SNAPPY,
    "x-snappy-framed": FRAMED,
}


def test_every_content_encoding_is_decompressed(subtests):
    for encoding, body in [
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
        ("zstd", zstd.compress(TEXT)),
        ("zstd", zstd.compress(TEXT[:500]) + zstd.compress(b"") + zstd.compress(TEXT[500:])),
        ("lz4", lz4.frame.compress(TEXT)),
        ("lz4", lz4.frame.compress(TEXT[:500]) + lz4.frame.compress(TEXT[500:])),
        ("snappy", SNAPPY(TEXT)),
        ("snappy", FRAMED(TEXT)),
        ("x-snappy-framed", FRAMED(TEXT)),
    ]:
        with subtests.test(encoding=encoding, body=body):
            assert decompress(body, encoding, len(TEXT)) == TEXT


def test_a_compressed_empty_payload_is_empty(subtests):
    for encoding in PACK:
        with subtests.test(encoding=encoding):
            packed = PACK[encoding](b"") or b"\xff\x06\x00\x00sNaPpY"  # cramjam leaves even the identifier out
            assert decompress(packed, encoding, 10) == b""


def test_broken_compressed_bodies_are_malformed(subtests):
    for encoding in PACK:
        for damage in [lambda b: b[:-3], lambda b: b"", lambda b: b[:1], lambda b: b"nonsense" + b]:
            with subtests.test(encoding=encoding, damage=damage), pytest.raises(MalformedError):
                decompress(damage(PACK[encoding](TEXT)), encoding, 1 << 20)


def test_garbage_after_a_gzip_member_is_malformed():
    with pytest.raises(MalformedError):
        decompress(gzip.compress(TEXT) + b"trailing", "gzip", 1 << 20)


def test_a_decompression_bomb_stops_at_the_limit_within_little_memory(subtests):
    for encoding in PACK:
        with subtests.test(encoding=encoding):
            bomb = PACK[encoding](bytes(256 << 20))
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            tracemalloc.start()
            try:
                with pytest.raises(TooLargeError):
                    decompress(bomb, encoding, 1 << 20)
                # lz4 keeps a copy of what it has not read yet
                assert tracemalloc.get_traced_memory()[1] < (4 << 20) + 2 * len(bomb)
                assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10  # KiB
            finally:
                tracemalloc.stop()


def test_a_nested_bomb_is_decompressed_once():
    inner = gzip.compress(bytes(64 << 20))
    assert decompress(gzip.compress(inner), "gzip", 1 << 20) == inner


def test_a_zstd_frame_with_a_large_window_is_refused():
    large = zstd.compress(bytes(100), options={zstd.CompressionParameter.window_log: 27})
    streamed = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    body = streamed.compress(b"x" * 100) + streamed.flush()
    assert decompress(large, "zstd", 1000) == bytes(100)  # it says that it is small
    with pytest.raises(MalformedError, match="zstd"):
        decompress(body, "zstd", 1000)


def test_snappy_with_a_false_size_takes_no_memory():
    with pytest.raises(TooLargeError):
        decompress(b"\xff\xff\xff\xff\x0f" + b"x", "snappy", 1 << 20)
    with pytest.raises(MalformedError):
        decompress(b"\xff\xff\xff\xff\xff\xff", "snappy", 1 << 20)


def test_a_body_of_exactly_the_limit_is_decompressed():
    assert len(decompress(gzip.compress(bytes(1000)), "gzip", 1000)) == 1000
    with pytest.raises(TooLargeError):
        decompress(gzip.compress(bytes(1001)), "gzip", 1000)
