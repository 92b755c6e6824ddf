"""The state of sessions in dictionaries, as a stream engine's keyed state holds it: `Trees` without a database."""

from __future__ import annotations

from collections.abc import Iterable

from receiver.storage.interface import SessionRow, SpanRow, StateChange


class DictTrees:
    """Implements storage.interface.Trees; put() applies what a step changed."""

    def __init__(self) -> None:
        self.rows: dict[str, SessionRow] = {}
        self._emitted: dict[str, dict[str, bytes]] = {}
        self._servers: dict[str, set[str]] = {}
        self._spans: dict[bytes, SpanRow] = {}

    def put(self, change: StateChange) -> None:
        self.rows.update((row.id, row) for row in change.sessions)
        for session in change.forgotten:
            self.rows.pop(session, None)
            self._emitted.pop(session, None)
        for session, key, record in change.emitted:
            self._emitted.setdefault(session, {})[key] = record
        for producer, name in change.servers:
            self._servers.setdefault(producer, set()).add(name)
        self._spans.update((row.id, row) for row in change.spans)

    def due(self, now: int) -> list[str]:
        return sorted(row.id for row in self.rows.values() if row.deadline is not None and row.deadline <= now)

    def next_deadline(self) -> int | None:
        return min((row.deadline for row in self.rows.values() if row.deadline is not None), default=None)

    def sessions(self, ids: Iterable[str]) -> list[SessionRow]:
        return [self.rows[session] for session in sorted(set(ids)) if session in self.rows]

    def children(self, ids: Iterable[str]) -> list[SessionRow]:
        parents = set(ids)
        return [row for row in self.rows.values() if row.parent in parents]

    def open_sessions(self, producer: str, limit: int) -> list[SessionRow]:
        rows = [row for row in self.rows.values() if row.open and row.producer == producer]
        return sorted(rows, key=lambda row: (-row.touched, row.id))[:limit]

    def emitted(self, session: str) -> list[tuple[str, bytes]]:
        return list(self._emitted.get(session, {}).items())

    def sessions_with_item(self, key: str, limit: int) -> list[str]:
        return sorted(session for session, records in self._emitted.items() if key in records)[:limit]

    def servers(self, producer: str) -> list[str]:
        return sorted(self._servers.get(producer, ()))

    def spans(self, ids: Iterable[bytes]) -> list[SpanRow]:
        return [self._spans[span] for span in sorted(set(ids)) if span in self._spans]

    def spans_below(self, ids: Iterable[bytes]) -> list[SpanRow]:
        parents = set(ids)
        return [row for row in self._spans.values() if row.parent in parents]
