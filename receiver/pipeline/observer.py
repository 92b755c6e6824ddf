"""The pipeline's hooks for metrics. They are called after a commit, so that work that is undone and retried counts
once. An observer cannot influence the pipeline, and its errors do not reach it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import structlog

from receiver.outcome import Outcome
from receiver.pipeline.record_reader import ReadResult
from receiver.storage.interface import Outgoing

_log = structlog.get_logger(__name__)


class Observer(Protocol):
    """What the pipeline reports."""

    def request_read(self, result: ReadResult) -> None:
        """One request's records were read, and the facts from them are committed."""

    def items_skipped(self, reasons: Counter[str]) -> None:
        """Events added nothing, or items became no span; how many for each reason."""

    def spans_built(self, outcome: Outcome) -> None:
        """The builder emitted spans."""

    def requests_queued(self, outgoing: Sequence[Outgoing]) -> None:
        """Requests were put into the sending queues."""


class NoObserver:
    """Ignores every report."""

    def request_read(self, result: ReadResult) -> None:
        """Ignored."""

    def items_skipped(self, reasons: Counter[str]) -> None:
        """Ignored."""

    def spans_built(self, outcome: Outcome) -> None:
        """Ignored."""

    def requests_queued(self, outgoing: Sequence[Outgoing]) -> None:
        """Ignored."""


@contextmanager
def errors_logged() -> Iterator[None]:
    """Logs what an observer raises, so that the pipeline continues."""
    try:
        yield
    except Exception:
        _log.exception("an observer failed")
