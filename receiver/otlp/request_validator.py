"""Decompresses and validates requests: small ones at once, large ones off the event loop, a few at a time.

So one client's large request does not keep the others from their answers. A large body takes many times its size while
it is decoded, so the others wait for their turn.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from receiver.codec.otlp_json import to_protobuf
from receiver.codec.validate import Validated, validate
from receiver.model import Signal
from receiver.otlp.content_encoding import decompress

THREADS = 2  # Python would not be faster with more
# Decoding more than this would block the loop for tens of milliseconds; a compressed body grows many times.
_INLINE_BYTES, _INLINE_COMPRESSED_BYTES = 256 << 10, 32 << 10


class RequestValidator:
    """Validates the requests of one server, which have at most `max_items` items.

    `max_body_size` is in bytes, after decompression; `name` is that of the threads.
    """

    def __init__(self, max_items: int, name: str, max_body_size: int = 0) -> None:
        self._max_items = max_items
        self._max_body_size = max_body_size
        self._threads = ThreadPoolExecutor(THREADS, name)

    async def validate(self, signal: Signal, body: bytes, encoding: str = "", *, is_json: bool = False) -> Validated:
        """The valid request. `encoding` is a Content-Encoding.

        Raises MalformedError or TooLargeError.
        """
        is_compressed = encoding not in ("", "identity")
        if len(body) <= (_INLINE_COMPRESSED_BYTES if is_compressed else _INLINE_BYTES):
            return self._validated(signal, body, encoding, is_json)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._validated, signal, body, encoding, is_json)

    def close(self) -> None:
        """Take no more requests; does not wait for those in progress."""
        self._threads.shutdown(wait=False)

    def _validated(self, signal: Signal, body: bytes, encoding: str, is_json: bool) -> Validated:
        plain = decompress(body, encoding, self._max_body_size)
        return validate(signal, to_protobuf(signal, plain, self._max_items) if is_json else plain, self._max_items)
