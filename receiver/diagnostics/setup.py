"""Sets up the program's own log: structlog to standard error, for people (console) or machines (json). Standard output
is for trees. A line that cannot be written is lost: no telemetry may be lost for it.

Clients decide neither how long the log gets nor what it contains: repeated lines are limited, tracebacks show neither
variables nor the text of a defect, and control characters in text from outside are escaped.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from collections.abc import Iterator
from typing import Any, Literal, TextIO, cast

import structlog

from receiver.diagnostics.aiohttp_filter import is_not_caused_by_client
from receiver.diagnostics.escape import printable
from receiver.diagnostics.rate_limit import Event, RateLimitProcessor
from receiver.errors import described

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


class _StandardError:
    """Writes to the current sys.stderr, and drops what cannot be written: it may be closed, or its reader may be gone
    (`run 2>&1 | head`)."""

    def write(self, text: str) -> int:
        """Write, if that is possible."""
        with contextlib.suppress(OSError, ValueError):
            return sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if that is possible."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


class _LibraryRecords(logging.Handler):
    """Passes the records of libraries, which use the standard library's logging, on to structlog."""

    def __init__(self) -> None:
        super().__init__()
        self._log = structlog.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level = max(
                logging.DEBUG, min(logging.CRITICAL, record.levelno // 10 * 10)
            )  # those structlog has names for
            more = {"exc_info": record.exc_info} if record.exc_info else {}
            self._log.log(level, record.getMessage(), limit_text=f"{record.name} {record.msg}", **more)
        except Exception:
            self.handleError(record)


def set_up_logs(level: str, encoding: Literal["console", "json"]) -> None:
    """Send structlog's events and the libraries' records to standard error, in one form and under one limit.

    `level` is debug, info, warn or error. Libraries are logged from warning on.
    """
    lowest = _LEVELS.get(level, logging.INFO)
    renderers: list[Any]
    if encoding == "json":
        renderers = [structlog.processors.ExceptionRenderer(_traceback_text), structlog.processors.JSONRenderer()]
    else:
        colors = sys.stderr.isatty()
        renderers = [_escape_values, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=_write_traceback)]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            RateLimitProcessor(keep_as_debug=lowest == logging.DEBUG),
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _StandardError())),
    )
    handler = _LibraryRecords()
    handler.addFilter(is_not_caused_by_client)
    logging.basicConfig(handlers=[handler], level=max(lowest, logging.WARNING), force=True)


def _escape_values(logger: Any, method: str, event: Event) -> Event:
    return {key: printable(value) if isinstance(value, str) else value for key, value in event.items()}


def _write_traceback(stream: TextIO, error: Any) -> None:
    """Indented below its line, so that no text in it can pass for a line of the log."""
    stream.write("".join(f"\n    {printable(line)}" for line in _traceback_text(error).splitlines()))


def _traceback_text(exc_info: Any) -> str:
    """Each error of the chain, the cause first: its places, then the error as described() allows it to be shown."""
    parts = ["".join(traceback.format_tb(error.__traceback__)) + described(error) for error in _chain(exc_info[1])]
    return "\nthen\n".join(reversed(parts))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
