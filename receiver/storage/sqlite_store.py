"""The store, on SQLite of the standard library.

Promise: data is durable when append() or commit() returns, also if the process is killed (SIGKILL) right after; with
`fsync` also after a loss of power. A transaction is stored whole or not at all.
Assumptions: a local file system whose fsync writes to the disk; one process at a time uses the folder (a lock file
enforces it).
Acknowledgement: the COMMIT in append(). A request is answered after it and never before; all requests in flight share
one.
The state of open sessions, the built spans to send and the records of emitted items change together, in the COMMIT of
commit(). A restart needs no repair: SQLite's write-ahead log has the last commit, requests that are not built are
built, and spans that are not done are sent (a second time, at worst).
The files are readable by their owner only (0600), since they hold requests as they came.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

from receiver.errors import UnavailableError
from receiver.model import Request, Signal
from receiver.storage.interface import (
    NO_EXPORTER,
    AcceptedRequest,
    QueueRow,
    QueueSize,
    SessionRow,
    SetAsideRow,
    SpanRow,
    StateChange,
)
from receiver.storage.migrations import VERSION
from receiver.storage.sqlite_file import Database, transaction

_MAX_VARIABLES = 500  # in one query; SQLite's smallest limit is 999
_MAX_REASON = 2048  # characters

_SET_ASIDE_COLUMNS = "id, exporter, signal, items, length(body), reason, at"


class SQLiteStore:
    """A store in one folder. Not thread-safe: one thread uses it."""

    def __init__(self, directory: Path, *, fsync: bool = True, create: bool = True, max_size: int = 0) -> None:
        """Open the store. append() refuses when the data takes more than `max_size` (bytes; 0: no limit).

        Raises ConfigError when the folder cannot be used, or a file in it cannot be read.
        """
        self._max_size = max_size
        self._database = Database(directory, fsync=fsync, create=create)
        self._db = self._database.connection
        # Counted once and then kept up to date: a scan of a long queue in every step would take too long.
        with self._database.first_read():
            self._backlog = QueueSize(*self._one("SELECT count(*), coalesce(sum(items), 0) FROM inbox"))
            counted = self._db.execute("SELECT exporter, count(*), sum(items) FROM queue GROUP BY exporter")
            self._sizes = {exporter: QueueSize(rows, items) for exporter, rows, items in counted}

    # requests

    def append(self, arrival: int, requests: Sequence[Request]) -> list[int]:
        """Commit requests in one transaction; their ids. A request may be acknowledged when this returns."""
        self._refuse_when_full()
        with transaction(self._db):
            self._db.executemany(
                "INSERT INTO inbox (signal, items, arrival, body) VALUES (?, ?, ?, ?)",
                [(r.signal, r.items, arrival, r.body) for r in requests],
            )
            last = self._one("SELECT last_insert_rowid()")[0]  # one writer: the ids are consecutive
        self._backlog = _moved(self._backlog, len(requests), sum(r.items for r in requests))
        return list(range(last - len(requests) + 1, last + 1))

    def accepted_requests(self, limit: int, max_bytes: int) -> list[AcceptedRequest]:
        """Requests that are not built yet, oldest first."""
        query = "SELECT id, arrival, signal, body, items FROM inbox ORDER BY id LIMIT ?"
        rows = _up_to(max_bytes, self._db.execute(query, (limit,)))
        return [
            AcceptedRequest(i, arrival, Request(cast(Signal, signal), body, n)) for i, arrival, signal, body, n in rows
        ]

    def set_aside(self, request: int, reason: str, at: int) -> None:
        """Move a request that cannot be built to the rows set aside."""
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO set_aside (exporter, signal, items, body, reason, at) "
                "SELECT ?, signal, items, body, ?, ? FROM inbox WHERE id = ?",
                (NO_EXPORTER, reason[:_MAX_REASON], at, request),
            )
            deleted = self._delete_requests([request])
        self._backlog = _moved(self._backlog, -len(deleted), -sum(deleted))

    def _delete_requests(self, ids: Sequence[int]) -> list[int]:
        """Delete requests; the number of items of each deleted one."""
        return [items for (items,) in self._delete("inbox", ids, "items")]

    def backlog(self) -> QueueSize:
        """How many requests, and records in them, are accepted and not built."""
        return self._backlog

    # sessions

    _COLUMNS = "id, parent, producer, deadline, open, touched, state"

    def sessions(self, ids: Iterable[str]) -> list[SessionRow]:
        """The rows of these sessions; unknown ids are left out."""
        return self._sessions("id", ids)

    def children(self, ids: Iterable[str]) -> list[SessionRow]:
        """The rows of the sessions directly below these."""
        return self._sessions("parent", ids)

    def _sessions(self, column: str, ids: Iterable[str]) -> list[SessionRow]:
        query = f"SELECT {self._COLUMNS} FROM session WHERE {{column}} IN ({{marks}})"  # noqa: S608
        return [_session_row(row) for row in self._selected(query, column, ids)]

    def _selected(self, query: str, column: str, ids: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
        """The rows in which a column has one of these values, by several queries where there are many."""
        wanted = sorted(set(ids))
        for i in range(0, len(wanted), _MAX_VARIABLES):
            part = wanted[i : i + _MAX_VARIABLES]
            yield from self._db.execute(query.format(column=column, marks=_marks(part)), part)

    def open_sessions(self, producer: str, limit: int) -> list[SessionRow]:
        """The open sessions of one producer."""
        latest = "SELECT id FROM session WHERE open AND producer = ? ORDER BY touched DESC LIMIT ?"
        return self._selected_by_id(latest, producer, limit)

    def all_open(self, limit: int) -> list[SessionRow]:
        """The open sessions of all producers, the last touched first."""
        return self._selected_by_id("SELECT id FROM session WHERE open ORDER BY touched DESC, id LIMIT ?", limit)

    def _selected_by_id(self, ids: str, *values: Any) -> list[SessionRow]:
        """The rows of the sessions that a query of ids selects, the last touched first. A subquery of ids, since SQLite
        would sort the states of all sessions otherwise."""
        query = f"SELECT {self._COLUMNS} FROM session WHERE id IN ({ids}) ORDER BY touched DESC, id"  # noqa: S608
        return [_session_row(row) for row in self._db.execute(query, values)]

    def open_count(self) -> int:
        """How many sessions are open."""
        return cast(int, self._one("SELECT count(*) FROM session WHERE open")[0])

    def emitted(self, session: str) -> list[tuple[str, bytes]]:
        """The records of a session's emitted items: (key, record)."""
        return self._db.execute("SELECT key, record FROM gone WHERE session = ?", (session,)).fetchall()

    def sessions_with_item(self, key: str, limit: int) -> list[str]:
        """The sessions that emitted an item with this key."""
        rows = self._db.execute("SELECT session FROM gone WHERE key = ? ORDER BY session LIMIT ?", (key, limit))
        return [session for (session,) in rows]

    def servers(self, producer: str) -> list[str]:
        """The MCP servers that a producer named."""
        rows = self._db.execute("SELECT name FROM server WHERE producer = ? ORDER BY name", (producer,))
        return [name for (name,) in rows]

    def spans(self, ids: Iterable[bytes]) -> list[SpanRow]:
        """The rows of these spans; unknown ids are left out."""
        return self._spans("id", ids)

    def spans_below(self, ids: Iterable[bytes]) -> list[SpanRow]:
        """The rows of the spans directly below these."""
        return self._spans("parent", ids)

    def _spans(self, column: str, ids: Iterable[bytes]) -> list[SpanRow]:
        query = "SELECT id, parent, session, call FROM span WHERE {column} IN ({marks})"
        return [SpanRow(*row) for row in self._selected(query, column, ids)]

    def due(self, now: int, limit: int) -> list[str]:
        """Sessions with a deadline (ns) up to `now`, the longest overdue first."""
        query = "SELECT id FROM session WHERE deadline <= ? ORDER BY deadline LIMIT ?"
        return [session for (session,) in self._db.execute(query, (now, limit))]

    def next_deadline(self) -> int | None:
        """The earliest deadline of any session."""
        (found,) = self._one("SELECT min(deadline) FROM session WHERE deadline IS NOT NULL")
        return cast("int | None", found)

    def postpone(self, session: str, deadline: int) -> None:
        """Set another deadline (ns) for a session."""
        with transaction(self._db):
            self._db.execute("UPDATE session SET deadline = ? WHERE id = ?", (deadline, session))

    def commit(self, change: StateChange) -> None:
        """Write changed sessions, queue spans and delete built requests, in one transaction."""
        with transaction(self._db):
            deleted = self._delete_requests(change.built)
            self._db.executemany(
                f"INSERT OR REPLACE INTO session ({self._COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                [(s.id, s.parent, s.producer, s.deadline, int(s.open), s.touched, s.state) for s in change.sessions],
            )
            self._db.executemany("DELETE FROM session WHERE id = ?", [(s,) for s in change.forgotten])
            self._db.executemany("INSERT OR REPLACE INTO gone (session, key, record) VALUES (?, ?, ?)", change.emitted)
            self._db.executemany("INSERT OR IGNORE INTO server (producer, name) VALUES (?, ?)", change.servers)
            self._db.executemany(
                "INSERT OR REPLACE INTO span (id, parent, session, call, touched) VALUES (?, ?, ?, ?, ?)",
                [(s.id, s.parent, s.session, s.call, change.at) for s in change.spans],
            )
            self._db.executemany(
                "INSERT INTO queue (exporter, signal, items, body, at) VALUES (?, ?, ?, ?, ?)",
                [(o.exporter, o.signal, o.items, o.body, change.at) for o in change.outgoing],
            )
        self._backlog = _moved(self._backlog, -len(deleted), -sum(deleted))
        for out in change.outgoing:
            self._sizes[out.exporter] = _moved(self.queue_size(out.exporter), 1, out.items)

    def purge(self, before: int) -> int:
        """Delete closed sessions last touched before a time (ns), MCP servers of producers without sessions, and spans
        written before it."""
        with transaction(self._db):
            closed = "SELECT id FROM session WHERE NOT open AND touched < ?"
            self._db.execute(f"DELETE FROM gone WHERE session IN ({closed})", (before,))  # noqa: S608
            purged = self._db.execute("DELETE FROM session WHERE NOT open AND touched < ?", (before,)).rowcount
            self._db.execute("DELETE FROM span WHERE touched < ?", (before,))
            self._db.execute("DELETE FROM server WHERE producer NOT IN (SELECT producer FROM session)")
        self._database.release_pages()
        return purged

    # the sending queue

    def queue_head(self, exporter: str, busy: Collection[int], limit: int, max_bytes: int) -> list[QueueRow]:
        """An exporter's oldest rows, without those in flight (`busy`)."""
        rows = self._db.execute(
            "SELECT id, signal, items, body FROM queue WHERE exporter = ? ORDER BY id LIMIT ?",
            (exporter, limit + len(busy)),
        )
        free = (row for row in rows if row[0] not in busy)
        return [QueueRow(i, cast(Signal, s), n, body) for i, s, n, body in islice(_up_to(max_bytes, free), limit)]

    def queue_done(self, ids: Sequence[int]) -> None:
        """Delete rows that a backend took."""
        with transaction(self._db):
            deleted = self._delete_queued(ids)
        self._count_deleted(deleted)

    def queue_set_aside(self, ids: Sequence[int], reason: str, at: int) -> None:
        """Move rows of a queue to the rows set aside."""
        with transaction(self._db):
            self._db.executemany(
                "INSERT INTO set_aside (exporter, signal, items, body, reason, at) "
                "SELECT exporter, signal, items, body, ?, ? FROM queue WHERE id = ?",
                [(reason[:_MAX_REASON], at, i) for i in ids],
            )
            deleted = self._delete_queued(ids)
        self._count_deleted(deleted)

    def _delete_queued(self, ids: Sequence[int]) -> list[tuple[str, int]]:
        return self._delete("queue", ids, "exporter, items")

    def _count_deleted(self, deleted: Sequence[tuple[str, int]]) -> None:
        for exporter, items in deleted:
            self._sizes[exporter] = _moved(self.queue_size(exporter), -1, -items)

    def queue_size(self, exporter: str) -> QueueSize:
        """The size of an exporter's queue."""
        return self._sizes.get(exporter, QueueSize(0, 0))

    def queue_oldest(self, exporter: str) -> int | None:
        """When the oldest row of a queue was put there (ns); None for an empty queue."""
        row = self._db.execute("SELECT at FROM queue WHERE exporter = ? ORDER BY id LIMIT 1", (exporter,)).fetchone()
        return None if row is None else cast(int, row[0])

    # rows set aside

    def set_aside_size(self, exporter: str) -> QueueSize:
        """How much was set aside for an exporter."""
        return QueueSize(
            *self._one("SELECT count(*), coalesce(sum(items), 0) FROM set_aside WHERE exporter = ?", exporter)
        )

    def set_aside_rows(self, limit: int) -> list[SetAsideRow]:
        """The rows set aside, the latest first."""
        query = f"SELECT {_SET_ASIDE_COLUMNS} FROM set_aside ORDER BY at DESC, id DESC LIMIT ?"  # noqa: S608
        return [SetAsideRow(*row) for row in self._db.execute(query, (limit,))]

    def resend(self, ids: Sequence[int] | None, at: int) -> list[tuple[int, SetAsideRow]]:
        """Move rows back to the end of their queues, with new ids: a queue is ordered by id."""
        query = f"SELECT {_SET_ASIDE_COLUMNS} FROM set_aside ORDER BY id"  # noqa: S608
        wanted = None if ids is None else set(ids)
        to_queue = (
            "INSERT INTO queue (exporter, signal, items, body, at) "
            "SELECT exporter, signal, items, body, ? FROM set_aside WHERE id = ?"
        )
        to_inbox = (
            "INSERT INTO inbox (signal, items, body, arrival) SELECT signal, items, body, ? FROM set_aside WHERE id = ?"
        )
        moved: list[tuple[int, SetAsideRow]] = []
        with transaction(self._db):
            for row in self._db.execute(query).fetchall():
                if wanted is not None and row[0] not in wanted:
                    continue
                put = self._db.execute(to_inbox if row[1] == NO_EXPORTER else to_queue, (at, row[0]))
                self._db.execute("DELETE FROM set_aside WHERE id = ?", (row[0],))
                moved.append((cast(int, put.lastrowid), SetAsideRow(*row)))
        for _, row in moved:
            if row.exporter == NO_EXPORTER:
                self._backlog = _moved(self._backlog, 1, row.items)
            else:
                self._sizes[row.exporter] = _moved(self.queue_size(row.exporter), 1, row.items)
        return moved

    # the store itself

    def check(self) -> None:
        """Rewrite the first page: this fails on a full disk, or on a file system that became read-only."""
        self._refuse_when_full()
        with transaction(self._db):
            self._db.execute(f"PRAGMA user_version = {VERSION}")

    def size(self) -> int:
        """Bytes on disk, the write-ahead log included."""
        return self._database.size()

    def _refuse_when_full(self) -> None:
        if self._max_size and self._database.data_size() > self._max_size:
            raise UnavailableError("the store is full (extensions::file_storage::max_size_mib)", retry_after=10)

    def close(self) -> None:
        """Close the store and release its folder."""
        self._database.close()

    def _delete(self, table: str, ids: Sequence[int], columns: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for i in range(0, len(ids), _MAX_VARIABLES):
            part = ids[i : i + _MAX_VARIABLES]
            query = f"DELETE FROM {table} WHERE id IN ({_marks(part)}) RETURNING {columns}"  # noqa: S608
            found.extend(self._db.execute(query, part).fetchall())
        return found

    def _one(self, query: str, *values: Any) -> tuple[Any, ...]:
        return cast("tuple[Any, ...]", self._db.execute(query, values).fetchone())


def _marks(values: Sequence[Any]) -> str:
    return ",".join("?" * len(values))


def _moved(size: QueueSize, rows: int, items: int) -> QueueSize:
    return QueueSize(size.rows + rows, size.items + items)


def _up_to(max_bytes: int, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Rows until their bodies together are larger than `max_bytes`; at least one."""
    size = 0
    for number, row in enumerate(rows):
        size += sum(len(value) for value in row if isinstance(value, bytes))
        if number and size > max_bytes:
            return
        yield row


def _session_row(row: tuple[Any, ...]) -> SessionRow:
    session, parent, producer, deadline, is_open, touched, state = row
    return SessionRow(session, parent, producer, deadline, bool(is_open), touched, state)
