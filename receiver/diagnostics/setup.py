"""The program's own log: structlog, to standard error, for people (console) or machines (json). Standard output is
for trees. A log that cannot be written is lost: nobody's telemetry may be lost for it.

What clients send decides neither how long the log is nor what is in it: lines of one kind are limited, a traceback has
neither variables nor the text of a defect, and in what others wrote every control character is written out.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, Literal, TextIO, cast

import structlog

from receiver.diagnostics.aiohttp_filter import not_a_clients_doing
from receiver.diagnostics.escape import printable
from receiver.diagnostics.rate_limit import LogRateLimiter
from receiver.errors import described

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_AT_ONCE = 10  # lines of one kind in a minute; more of them say no more
_KINDS = 1_000  # that are remembered: what libraries say is not from a fixed list

_Event = MutableMapping[str, Any]


class _StandardError:
    """Writes to whatever is standard error at the moment. One that was closed, or that nobody reads any more
    (`run 2>&1 | head`), swallows what it is given."""

    def write(self, text: str) -> int:
        """Write, if that is possible."""
        with contextlib.suppress(OSError, ValueError):
            return sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if that is possible."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


class Sparing:
    """The limit of the whole log, as a processor and as a filter. A kind is what is said without the values in it; what
    is below a warning is what was asked for.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._seldom = LogRateLimiter(clock, at_once=_AT_ONCE, most=_KINDS)

    def __call__(self, logger: Any, method: str, event: _Event) -> _Event:
        """As structlog's processor."""
        if event.get("level") in ("warning", "error", "critical"):
            kind = f"{event.get('event')} {event.get('exporter', '')}"
            event = self._marked(event, self._seldom.unsaid(kind))
        return event

    def filter(self, record: logging.LogRecord) -> bool:
        """As a filter of the standard library's."""
        if record.levelno < logging.WARNING or isinstance(record.msg, dict):
            return True
        left_out = self._seldom.unsaid(f"{record.name} {record.msg}")
        record.__dict__["left_out"] = left_out
        return left_out is not None

    @staticmethod
    def _marked(event: _Event, left_out: int | None) -> _Event:
        if left_out is None:
            raise structlog.DropEvent
        if left_out:
            event["left_out"] = event.get("left_out", 0) + left_out
        return event


def set_up_logs(level: str, encoding: Literal["console", "json"]) -> None:
    """Send structlog's and the libraries' records to standard error in one form."""
    stream = cast(TextIO, _StandardError())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers: list[Any]
    if encoding == "json":
        renderers = [structlog.processors.ExceptionRenderer(_told), structlog.processors.JSONRenderer()]
    else:
        colors = sys.stderr.isatty()
        renderers = [_on_one_line, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=_indented)]
    least = _LEVELS.get(level, logging.INFO)
    sparing = Sparing()
    structlog.configure(
        processors=[*shared, sparing, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    form = structlog.stdlib.ProcessorFormatter
    handler.setFormatter(
        form(processors=[form.remove_processors_meta, *renderers], foreign_pre_chain=[*shared, _foreign_left_out])
    )
    handler.addFilter(not_a_clients_doing)
    handler.addFilter(sparing)
    logging.basicConfig(handlers=[handler], level=max(least, logging.WARNING), force=True)
    logging.getLogger("receiver").setLevel(least)


def _foreign_left_out(logger: Any, method: str, event: _Event) -> _Event:
    if left_out := getattr(event["_record"], "left_out", 0):
        event["left_out"] = left_out
    return event


def _on_one_line(logger: Any, method: str, event: _Event) -> _Event:
    return {key: printable(value) if isinstance(value, str) else value for key, value in event.items()}


def _indented(stream: TextIO, error: Any) -> None:
    """Below the line that it belongs to, so that no text in it can pass for a line of the log."""
    stream.write("".join(f"\n    {printable(line)}" for line in _told(error).splitlines()))


def _told(exc_info: Any) -> str:
    """A traceback: the places, and each error as it may be shown."""
    parts = ["".join(traceback.format_tb(error.__traceback__)) + described(error) for error in _chain(exc_info[1])]
    return "\nthen\n".join(reversed(parts))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
