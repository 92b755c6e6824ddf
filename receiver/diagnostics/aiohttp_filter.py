"""Drops what aiohttp logs about clients that send no HTTP or hang up: an error with a traceback for each of them, with
which any client could fill the disk.
"""

from __future__ import annotations

import logging

from aiohttp.http import HttpProcessingError


def is_not_caused_by_client(record: logging.LogRecord) -> bool:
    """A filter for the standard library's logging: False where a client's bytes or hang-up caused the record."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | ConnectionError)


AIOHTTP_SERVER_LOG = logging.getLogger("aiohttp.server")  # aiohttp's default for every server
AIOHTTP_SERVER_LOG.addFilter(is_not_caused_by_client)
