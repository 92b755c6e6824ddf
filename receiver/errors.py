"""The program's errors. Each server, and the command line, translates them to its answers in one place.

ReceiverError
├── ConfigError        the configuration is wrong (exit code 1); names the key path
├── InputError         a file or a request's content is wrong (exit code 1)
├── RefusedError       a client's request is refused; sending it again will not help
│   ├── MalformedError     not OTLP                           INVALID_ARGUMENT     400
│   ├── TooLargeError      over the size limit                RESOURCE_EXHAUSTED   413
│   └── UnauthenticatedError                                  UNAUTHENTICATED      401
├── UnavailableError   the request could not be stored; the same request may succeed later
│                                                             UNAVAILABLE + RetryInfo   503 + Retry-After
└── ExportError        a backend did not accept a batch
    ├── PermanentExportError   it never will: set the batch aside
    └── RetryableExportError   it may later: retry

A client's request must not raise any other error out of a server.
"""

from __future__ import annotations

import traceback
from pathlib import PurePath


class ReceiverError(Exception):
    """The base of errors for people: one line that says what is wrong, where, and what to do."""


class ConfigError(ReceiverError):
    """The configuration cannot be used. The message starts with the key path (`exporters::otlp_grpc::endpoint: …`)."""


class InputError(ReceiverError):
    """A file or its content cannot be read as recorded OTLP. The message names the file and the remedy."""


class RefusedError(ReceiverError):
    """A client's request is refused. Sending it again will not help."""


class MalformedError(RefusedError):
    """The request is not OTLP."""


class TooLargeError(RefusedError):
    """The request is over the size limit, counted after decompression."""


class UnauthenticatedError(RefusedError):
    """The request carries no valid credentials."""


class UnavailableError(ReceiverError):
    """The request could not be stored. `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ExportError(ReceiverError):
    """A backend did not accept a batch."""


class PermanentExportError(ExportError):
    """The backend will never accept this batch."""


class RetryableExportError(ExportError):
    """The backend may accept this batch later; `retry_after` is in seconds, if the backend sent it."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def described(error: BaseException) -> str:
    """An error as text for the log and the store, such as `KeyError at builder.py:120`.

    The message is included only for this program's, the system's and SQLite's errors: that of a defect may quote what a
    client sent.
    """
    if isinstance(error, ReceiverError | OSError) or type(error).__module__ == "sqlite3":
        return f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
