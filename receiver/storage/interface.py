"""What the pipeline needs of a store, and the rows that go over the counter. The store itself is an edge
(storage.py); it decides nothing and knows no spans: state and spans are bytes to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from receiver.model import Request, Signal

NO_EXPORTER = ""  # whose a request is that was set aside before it was built


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that was accepted and is not built yet. `arrival` is the receiver's clock (ns)."""

    id: int
    arrival: int
    request: Request


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session's state. `deadline` (ns) is when it must be looked at, None for never; `open` whether something of it
    has still to leave; `touched` (ns) when it was last written, from which its retention counts."""

    id: str
    parent: str | None
    producer: str
    deadline: int | None
    open: bool
    touched: int
    state: bytes


@dataclass(frozen=True, slots=True)
class SpanRow:
    """What is known of a span that may lie between a call and its child: see core/state/span_lineage.py."""

    id: bytes
    parent: bytes
    session: str
    call: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A serialized Export request to be put into one exporter's queue."""

    exporter: str
    signal: Signal
    items: int
    body: bytes


@dataclass(slots=True)
class Step:
    """One move of the state, committed whole or not at all."""

    built: Sequence[int] = ()
    sessions: list[SessionRow] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    emitted: list[tuple[str, str, bytes]] = field(default_factory=list)
    servers: list[tuple[str, str]] = field(default_factory=list)
    spans: list[SpanRow] = field(default_factory=list)
    outgoing: list[Outgoing] = field(default_factory=list)
    at: int = 0  # the receiver's clock (ns)


@dataclass(frozen=True, slots=True)
class QueueSize:
    """What one exporter's queue holds: rows, and the items in them."""

    rows: int
    items: int


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A row of a sending queue."""

    id: int
    signal: Signal
    items: int
    body: bytes


@dataclass(frozen=True, slots=True)
class SetAsideRow:
    """A row that a backend refused for good, or a request that cannot be built (of NO_EXPORTER), without its body.
    `at` (ns) is when, `size` the body's bytes."""

    id: int
    exporter: str
    signal: Signal
    items: int
    size: int
    reason: str
    at: int


class Store(Protocol):
    """Synchronous, and used by one thread only: it has one owner. Raises UnavailableError when it cannot write."""

    def append(self, arrival: int, requests: Sequence[Request]) -> list[int]:
        """Commit requests, all in one transaction; their ids. This is the point of acknowledgement."""

    def waiting(self, limit: int, max_bytes: int) -> list[Waiting]:
        """Requests that are not built yet, oldest first; at least one of them, whatever its size."""

    def set_aside(self, request: int, reason: str, at: int) -> None:
        """Move a request that cannot be built to where refused rows are kept, with the reason and the time (ns)."""

    def sessions(self, ids: Iterable[str]) -> list[SessionRow]:
        """The rows of these sessions, as far as there are any."""

    def children(self, ids: Iterable[str]) -> list[SessionRow]:
        """The rows of the sessions directly below these."""

    def open_sessions(self, producer: str, limit: int) -> list[SessionRow]:
        """The open sessions of one producer."""

    def all_open(self, limit: int) -> list[SessionRow]:
        """Open sessions of every producer, the last touched first."""

    def open_count(self) -> int:
        """How many sessions are open."""

    def emitted(self, session: str) -> list[tuple[str, bytes]]:
        """What has left of a session: (key, record)."""

    def holders(self, key: str, limit: int) -> list[str]:
        """The sessions of which an item with this key has left."""

    def servers(self, producer: str) -> list[str]:
        """The MCP servers that a producer named."""

    def spans(self, ids: Iterable[bytes]) -> list[SpanRow]:
        """The rows of these spans, as far as there are any."""

    def spans_below(self, ids: Iterable[bytes]) -> list[SpanRow]:
        """The rows of the spans directly below these."""

    def due(self, now: int, limit: int) -> list[str]:
        """Sessions whose deadline (ns) has come, the longest overdue first."""

    def next_deadline(self) -> int | None:
        """The earliest deadline (ns) of any session."""

    def postpone(self, session: str, deadline: int) -> None:
        """Look at a session at another time (ns) than it asked for."""

    def commit(self, step: Step) -> None:
        """Make one move of the state, in one transaction."""

    def purge(self, before: int) -> int:
        """Forget closed sessions, and spans, that were last touched before a time (ns); how many sessions."""

    def queue_head(self, exporter: str, busy: Collection[int], limit: int, max_bytes: int) -> list[QueueRow]:
        """An exporter's oldest rows, without those whose ids are given; at least one, whatever its size."""

    def queue_done(self, ids: Sequence[int]) -> None:
        """Remove rows that a backend took."""

    def queue_set_aside(self, ids: Sequence[int], reason: str, at: int) -> None:
        """Move rows to where refused ones are kept, with the reason and the time (ns)."""

    def queue_size(self, exporter: str) -> QueueSize:
        """How much waits in a queue."""

    def queue_oldest(self, exporter: str) -> int | None:
        """When the oldest row of a queue was put there (ns), None where it is empty."""

    def set_aside_size(self, exporter: str) -> QueueSize:
        """How much of an exporter's was set aside."""

    def set_aside_rows(self, limit: int) -> list[SetAsideRow]:
        """What was set aside, the latest first."""

    def resend(self, ids: Sequence[int] | None, at: int) -> list[tuple[int, SetAsideRow]]:
        """Move what was set aside (these, or all) back to where it came from, at the end; what was moved, each with its
        id there."""

    def check(self) -> None:
        """Raise UnavailableError when requests could not be appended now."""

    def size(self) -> int:
        """Bytes on disk."""

    def backlog(self) -> QueueSize:
        """How many requests, and records in them, are accepted and not built."""

    def close(self) -> None:
        """Close the store."""
