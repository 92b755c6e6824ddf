"""What the pipeline needs of a store, and the rows that it exchanges with it. A store decides nothing and interprets
nothing: session states and spans are bytes to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from receiver.model import Request, Signal

NO_EXPORTER = ""  # the exporter of a request that was set aside because it cannot be built


@dataclass(frozen=True, slots=True)
class AcceptedRequest:
    """A request that was acknowledged and is not built yet. `arrival` is the receiver's clock (ns)."""

    id: int
    arrival: int
    request: Request


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session's serialized `state`. `deadline` (ns) is when it must be advanced, None for never; `open` whether some
    of its spans are not emitted yet; `touched` (ns) when it was last written, from which its retention counts."""

    id: str
    parent: str | None
    producer: str
    deadline: int | None
    open: bool
    touched: int
    state: bytes


@dataclass(frozen=True, slots=True)
class SpanRow:
    """A span that may lie between a call and its child session: see core/state/span_lineage.py."""

    id: bytes
    parent: bytes
    session: str
    call: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A serialized Export request for one exporter's queue."""

    exporter: str
    signal: Signal
    items: int
    body: bytes


@dataclass(slots=True)
class StateChange:
    """One change of the state, committed whole or not at all. `built` are ids of requests that are done with,
    `forgotten` ids of sessions to delete; `emitted` has session, key and record; `servers` producer and MCP server."""

    built: Sequence[int] = ()
    sessions: list[SessionRow] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    emitted: list[tuple[str, str, bytes]] = field(default_factory=list)
    servers: list[tuple[str, str]] = field(default_factory=list)
    spans: list[SpanRow] = field(default_factory=list)
    outgoing: list[Outgoing] = field(default_factory=list)
    at: int = 0  # the receiver's clock (ns)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (
            self.built or self.sessions or self.forgotten or self.emitted or self.servers or self.spans or self.outgoing
        )


@dataclass(frozen=True, slots=True)
class QueueSize:
    """The size of a queue: its rows, and the items in them (log records, data points or spans)."""

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
    `at` (ns) is when it was set aside, `size` the body's bytes."""

    id: int
    exporter: str
    signal: Signal
    items: int
    size: int
    reason: str
    at: int


class Store(Protocol):
    """Synchronous, and used by one thread only, its owner. Writing methods raise UnavailableError when they cannot."""

    def append(self, arrival: int, requests: Sequence[Request]) -> list[int]:
        """Commit requests in one transaction; their ids. A request may be acknowledged when this returns."""

    def accepted_requests(self, limit: int, max_bytes: int) -> list[AcceptedRequest]:
        """Requests that are not built yet, oldest first; at least one if there is any, whatever its size."""

    def set_aside(self, request: int, reason: str, at: int) -> None:
        """Move a request that cannot be built to the rows set aside, with the reason and the time (ns)."""

    def sessions(self, ids: Iterable[str]) -> list[SessionRow]:
        """The rows of these sessions; unknown ids are left out."""

    def children(self, ids: Iterable[str]) -> list[SessionRow]:
        """The rows of the sessions directly below these."""

    def open_sessions(self, producer: str, limit: int) -> list[SessionRow]:
        """The open sessions of one producer."""

    def all_open(self, limit: int) -> list[SessionRow]:
        """The open sessions of all producers, the last touched first."""

    def open_count(self) -> int:
        """How many sessions are open."""

    def emitted(self, session: str) -> list[tuple[str, bytes]]:
        """The records of a session's emitted items: (key, record)."""

    def sessions_with_item(self, key: str, limit: int) -> list[str]:
        """The sessions that emitted an item with this key."""

    def servers(self, producer: str) -> list[str]:
        """The MCP servers that a producer named."""

    def spans(self, ids: Iterable[bytes]) -> list[SpanRow]:
        """The rows of these spans; unknown ids are left out."""

    def spans_below(self, ids: Iterable[bytes]) -> list[SpanRow]:
        """The rows of the spans directly below these."""

    def due(self, now: int, limit: int) -> list[str]:
        """Sessions with a deadline (ns) up to `now`, the longest overdue first."""

    def next_deadline(self) -> int | None:
        """The earliest deadline (ns) of any session."""

    def postpone(self, session: str, deadline: int) -> None:
        """Set another deadline (ns) for a session."""

    def commit(self, change: StateChange) -> None:
        """Write one change of the state, in one transaction."""

    def purge(self, before: int) -> int:
        """Delete closed sessions, and spans, last touched before a time (ns); how many sessions."""

    def queue_head(self, exporter: str, busy: Collection[int], limit: int, max_bytes: int) -> list[QueueRow]:
        """An exporter's oldest rows without the `busy` ids; at least one if there is any, whatever its size."""

    def queue_done(self, ids: Sequence[int]) -> None:
        """Delete rows that a backend took."""

    def queue_set_aside(self, ids: Sequence[int], reason: str, at: int) -> None:
        """Move rows of a queue to the rows set aside, with the reason and the time (ns)."""

    def queue_size(self, exporter: str) -> QueueSize:
        """The size of an exporter's queue."""

    def queue_oldest(self, exporter: str) -> int | None:
        """When the oldest row of a queue was put there (ns); None for an empty queue."""

    def set_aside_size(self, exporter: str) -> QueueSize:
        """How much was set aside for an exporter."""

    def set_aside_rows(self, limit: int) -> list[SetAsideRow]:
        """The rows set aside, the latest first."""

    def resend(self, ids: Sequence[int] | None, at: int) -> list[tuple[int, SetAsideRow]]:
        """Move rows set aside (these, or all) back to the end of the queue, or of the requests, that they came from;
        the moved rows, each with its new id."""

    def check(self) -> None:
        """Raise UnavailableError when append() would fail now."""

    def size(self) -> int:
        """Bytes on disk."""

    def backlog(self) -> QueueSize:
        """How many requests, and records in them, are accepted and not built."""

    def close(self) -> None:
        """Close the store."""
