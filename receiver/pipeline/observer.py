"""Who watches the pipeline: is told of what happened, for metrics and logs, and is never asked. What it is told is
committed; what is undone and tried again is told once.
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
    """Is told of what happened, for metrics and logs. Never asked."""

    def read(self, evidence: ReadResult) -> None:
        """One request's records were read, and what they told is committed."""

    def skipped(self, reasons: Counter[str]) -> None:
        """Events added nothing, or items left no span, for these reasons."""

    def built(self, outcome: Outcome) -> None:
        """Spans left the builder."""

    def queued(self, outgoing: Sequence[Outgoing]) -> None:
        """Requests were put into the sending queues."""


class NoObserver:
    """Nobody watches."""

    def read(self, evidence: ReadResult) -> None:
        """Not watched."""

    def skipped(self, reasons: Counter[str]) -> None:
        """Not watched."""

    def built(self, outcome: Outcome) -> None:
        """Not watched."""

    def queued(self, outgoing: Sequence[Outgoing]) -> None:
        """Not watched."""


@contextmanager
def unharmed() -> Iterator[None]:
    """Who watches may fail; what is watched goes on."""
    try:
        yield
    except Exception:
        _log.exception("an observer failed")
