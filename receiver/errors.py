"""What can go wrong, as one tree. Raised anywhere, translated to a wire's or a shell's answer at one place each.

ReceiverError
├── ConfigError        the configuration is wrong (exit code 1); names the key path
├── InputError         a file or a request's content is wrong (exit code 1)
├── RefusedError       a client's request cannot be taken as it is; sending it again will not help
│   ├── MalformedError     not OTLP                           INVALID_ARGUMENT     400
│   ├── TooLargeError      over the size limit                RESOURCE_EXHAUSTED   413
│   └── UnauthenticatedError                                  UNAUTHENTICATED      401
├── UnavailableError   the request could not be persisted; the same request may succeed later
│                                                             UNAVAILABLE + RetryInfo   503 + Retry-After
└── ExportError        a backend did not take a batch
    ├── PermanentExportError   it never will: set the batch aside
    └── RetryableExportError   it may later: back off
Nothing that a client sends may raise anything else out of an edge.
"""

from __future__ import annotations

import traceback
from pathlib import PurePath


class ReceiverError(Exception):
    """Base of every error that is meant to be shown to a person: one line that says what, where and what to do."""


class ConfigError(ReceiverError):
    """The configuration cannot be used. The message starts with the key path (`exporters::otlp_grpc::endpoint: …`)."""


class InputError(ReceiverError):
    """A file or its content cannot be read as recorded OTLP. The message names the file and the remedy."""


class RefusedError(ReceiverError):
    """A client's request cannot be taken as it is; sending it again will not help."""


class MalformedError(RefusedError):
    """The request is not OTLP."""


class TooLargeError(RefusedError):
    """The request is over the size limit, counted after decompression."""


class UnauthenticatedError(RefusedError):
    """The request carries no valid credentials."""


class UnavailableError(ReceiverError):
    """The request could not be persisted. `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ExportError(ReceiverError):
    """A backend did not take a batch."""


class PermanentExportError(ExportError):
    """The backend will never take this batch."""


class RetryableExportError(ExportError):
    """The backend may take this batch later; `retry_after` in seconds where the backend said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def described(error: BaseException) -> str:
    """An error as it may be logged and kept: `KeyError at builder.py:120`. The text is there only where it is known to
    be ours or the system's; that of a defect may quote what a client sent."""
    if isinstance(error, ReceiverError | OSError) or type(error).__module__ == "sqlite3":
        return f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
