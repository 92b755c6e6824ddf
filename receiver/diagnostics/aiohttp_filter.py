"""What aiohttp logs of strangers: of what is not HTTP, and of whoever hangs up, an error with a traceback. They could
fill a disk with it.
"""

from __future__ import annotations

import logging

from aiohttp.http import HttpProcessingError


def not_a_clients_doing(record: logging.LogRecord) -> bool:
    """A filter of the standard library's: whether the record tells of something else."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | ConnectionError)
