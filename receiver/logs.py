"""The program's own log: structlog, to standard error, for people (console) or machines (json). Standard output is
for trees. A log that cannot be written is lost: nobody's telemetry may be lost for it. A traceback shows no values:
they may be requests, or tokens.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


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


def set_up_logs(level: str, encoding: Literal["console", "json"]) -> None:
    """Send structlog's and the libraries' records to standard error in one form."""
    stream = cast(TextIO, _StandardError())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any
    if encoding == "json":
        shared.append(ExceptionRenderer(ExceptionDictTransformer(show_locals=False)))
        renderer = structlog.processors.JSONRenderer()
    else:
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    least = _LEVELS.get(level, logging.INFO)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    form = structlog.stdlib.ProcessorFormatter
    handler.setFormatter(form(processors=[form.remove_processors_meta, renderer], foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=max(least, logging.WARNING), force=True)
