"""The store, on SQLite of the standard library.

Promise: what append() or commit() returned from is there after the process was killed (SIGKILL) at any point; with
`fsync` also after a loss of power. A transaction is there whole or not at all.
Assumptions: a local file system whose fsync is honest; one process at a time has the folder (a lock file sees to it).
Acknowledgement point: the COMMIT in append(). A request is answered after it and never before; all requests in flight
share one.
State of open sessions, the built spans that wait to be sent and what must be remembered of closed sessions move
together in the COMMIT of commit(). On starting again there is nothing to repair: SQLite's write-ahead log holds the
last commit, requests that were not built yet are built, and spans that were not done are sent (again, at worst).
The files are for their owner only (0600), since they hold requests as they came.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

from receiver.errors import UnavailableError
from receiver.model import Request, Signal
from receiver.storage.interface import NO_EXPORTER, QueueRow, QueueSize, SessionRow, SetAsideRow, SpanRow, Step, Waiting
from receiver.storage.sqlite_file import VERSION, Database, transaction

_BATCH = 500  # SQLite's smallest limit on bound variables is 999
_REASON = 2048  # characters

_ASIDE_COLUMNS = "id, exporter, signal, items, length(body), reason, at"


class SQLiteStore:
    """A store in one folder. Not safe for threads: it belongs to the one that uses it."""

    def __init__(self, directory: Path, *, fsync: bool = True, create: bool = True, max_size: int = 0) -> None:
        """Open the store. `max_size` (bytes, 0 for none) is what its data may take before append() refuses.

        Raises ConfigError where the folder cannot be used, or what is in it cannot be read.
        """
        self._max_size = max_size
        self._database = Database(directory, fsync=fsync, create=create)
        self._db = self._database.connection
        # Counted once and kept up to date from then on: a long queue must not be scanned at every step.
        with self._database.first_look():
            self._backlog = QueueSize(*self._one("SELECT count(*), coalesce(sum(items), 0) FROM inbox"))
            counted = self._db.execute("SELECT exporter, count(*), sum(items) FROM queue GROUP BY exporter")
            self._sizes = {exporter: QueueSize(rows, items) for exporter, rows, items in counted}

    # requests

    def append(self, arrival: int, requests: Sequence[Request]) -> list[int]:
        """Commit requests in one transaction; their ids. The point of acknowledgement."""
        self._refuse_when_full()
        with transaction(self._db):
            self._db.executemany(
                "INSERT INTO inbox (signal, items, arrival, body) VALUES (?, ?, ?, ?)",
                [(r.signal, r.items, arrival, r.body) for r in requests],
            )
            last = self._one("SELECT last_insert_rowid()")[0]  # nobody else writes, so they follow one another
        self._backlog = _moved(self._backlog, len(requests), sum(r.items for r in requests))
        return list(range(last - len(requests) + 1, last + 1))

    def waiting(self, limit: int, max_bytes: int) -> list[Waiting]:
        """Requests that are not built yet, oldest first."""
        query = "SELECT id, arrival, signal, body, items FROM inbox ORDER BY id LIMIT ?"
        rows = _up_to(max_bytes, self._db.execute(query, (limit,)))
        return [Waiting(i, arrival, Request(cast(Signal, signal), body, n)) for i, arrival, signal, body, n in rows]

    def set_aside(self, request: int, reason: str, at: int) -> None:
        """Move a request that cannot be built to where refused rows are kept."""
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO set_aside (exporter, signal, items, body, reason, at) "
                "SELECT ?, signal, items, body, ?, ? FROM inbox WHERE id = ?",
                (NO_EXPORTER, reason[:_REASON], at, request),
            )
            gone = self._drop_built([request])
        self._backlog = _moved(self._backlog, -len(gone), -sum(gone))

    def _drop_built(self, ids: Sequence[int]) -> list[int]:
        """Delete requests; the items of each that was there."""
        return [items for (items,) in self._delete("inbox", ids, "items")]

    def backlog(self) -> QueueSize:
        """How much is accepted and not built."""
        return self._backlog

    # sessions

    _COLUMNS = "id, parent, producer, deadline, open, touched, state"

    def sessions(self, ids: Iterable[str]) -> list[SessionRow]:
        """The rows of these sessions."""
        return self._sessions("id", ids)

    def children(self, ids: Iterable[str]) -> list[SessionRow]:
        """The rows of the sessions directly below these."""
        return self._sessions("parent", ids)

    def _sessions(self, column: str, ids: Iterable[str]) -> list[SessionRow]:
        query = f"SELECT {self._COLUMNS} FROM session WHERE {{column}} IN ({{marks}})"  # noqa: S608
        return [_session_row(row) for row in self._selected(query, column, ids)]

    def _selected(self, query: str, column: str, ids: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
        """The rows in which a column has one of these values, asked for in parts."""
        wanted = sorted(set(ids))
        for i in range(0, len(wanted), _BATCH):
            part = wanted[i : i + _BATCH]
            yield from self._db.execute(query.format(column=column, marks=_marks(part)), part)

    def open_sessions(self, producer: str, limit: int) -> list[SessionRow]:
        """The open sessions of one producer."""
        latest = "SELECT id FROM session WHERE open AND producer = ? ORDER BY touched DESC LIMIT ?"
        return self._chosen(latest, producer, limit)

    def all_open(self, limit: int) -> list[SessionRow]:
        """Open sessions of every producer, the last touched first."""
        return self._chosen("SELECT id FROM session WHERE open ORDER BY touched DESC, id LIMIT ?", limit)

    def _chosen(self, ids: str, *values: Any) -> list[SessionRow]:
        """The rows of the sessions that a query names, the last touched first. Chosen by id, since SQLite would carry
        every state, chosen or not, through its sorter."""
        query = f"SELECT {self._COLUMNS} FROM session WHERE id IN ({ids}) ORDER BY touched DESC, id"  # noqa: S608
        return [_session_row(row) for row in self._db.execute(query, values)]

    def open_count(self) -> int:
        """How many sessions are open."""
        return cast(int, self._one("SELECT count(*) FROM session WHERE open")[0])

    def emitted(self, session: str) -> list[tuple[str, bytes]]:
        """What has left of a session."""
        return self._db.execute("SELECT key, record FROM gone WHERE session = ?", (session,)).fetchall()

    def holders(self, key: str, limit: int) -> list[str]:
        """The sessions of which an item with this key has left."""
        rows = self._db.execute("SELECT session FROM gone WHERE key = ? ORDER BY session LIMIT ?", (key, limit))
        return [session for (session,) in rows]

    def servers(self, producer: str) -> list[str]:
        """The MCP servers that a producer named."""
        rows = self._db.execute("SELECT name FROM server WHERE producer = ? ORDER BY name", (producer,))
        return [name for (name,) in rows]

    def spans(self, ids: Iterable[bytes]) -> list[SpanRow]:
        """The rows of these spans."""
        return self._spans("id", ids)

    def spans_below(self, ids: Iterable[bytes]) -> list[SpanRow]:
        """The rows of the spans directly below these."""
        return self._spans("parent", ids)

    def _spans(self, column: str, ids: Iterable[bytes]) -> list[SpanRow]:
        query = "SELECT id, parent, session, call FROM span WHERE {column} IN ({marks})"
        return [SpanRow(*row) for row in self._selected(query, column, ids)]

    def due(self, now: int, limit: int) -> list[str]:
        """Sessions whose deadline has come."""
        query = "SELECT id FROM session WHERE deadline <= ? ORDER BY deadline LIMIT ?"
        return [session for (session,) in self._db.execute(query, (now, limit))]

    def next_deadline(self) -> int | None:
        """The earliest deadline of any session."""
        (found,) = self._one("SELECT min(deadline) FROM session WHERE deadline IS NOT NULL")
        return cast("int | None", found)

    def postpone(self, session: str, deadline: int) -> None:
        """Look at a session at another time than it asked for."""
        with transaction(self._db):
            self._db.execute("UPDATE session SET deadline = ? WHERE id = ?", (deadline, session))

    def commit(self, step: Step) -> None:
        """State moved, spans put into the queue and requests done with: one transaction."""
        with transaction(self._db):
            gone = self._drop_built(step.built)
            self._db.executemany(
                f"INSERT OR REPLACE INTO session ({self._COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                [(s.id, s.parent, s.producer, s.deadline, int(s.open), s.touched, s.state) for s in step.sessions],
            )
            self._db.executemany("DELETE FROM session WHERE id = ?", [(s,) for s in step.forgotten])
            self._db.executemany("INSERT OR REPLACE INTO gone (session, key, record) VALUES (?, ?, ?)", step.emitted)
            self._db.executemany("INSERT OR IGNORE INTO server (producer, name) VALUES (?, ?)", step.servers)
            self._db.executemany(
                "INSERT OR REPLACE INTO span (id, parent, session, call, touched) VALUES (?, ?, ?, ?, ?)",
                [(s.id, s.parent, s.session, s.call, step.at) for s in step.spans],
            )
            self._db.executemany(
                "INSERT INTO queue (exporter, signal, items, body, at) VALUES (?, ?, ?, ?, ?)",
                [(o.exporter, o.signal, o.items, o.body, step.at) for o in step.outgoing],
            )
        self._backlog = _moved(self._backlog, -len(gone), -sum(gone))
        for out in step.outgoing:
            self._sizes[out.exporter] = _moved(self.queue_size(out.exporter), 1, out.items)

    def purge(self, before: int) -> int:
        """Forget closed sessions last touched before a time, the MCP servers of producers of which none is left, and
        spans that were told before it."""
        with transaction(self._db):
            closed = "SELECT id FROM session WHERE NOT open AND touched < ?"
            self._db.execute(f"DELETE FROM gone WHERE session IN ({closed})", (before,))  # noqa: S608
            purged = self._db.execute("DELETE FROM session WHERE NOT open AND touched < ?", (before,)).rowcount
            self._db.execute("DELETE FROM span WHERE touched < ?", (before,))
            self._db.execute("DELETE FROM server WHERE producer NOT IN (SELECT producer FROM session)")
        self._database.give_back()
        return purged

    # the sending queue

    def queue_head(self, exporter: str, busy: Collection[int], limit: int, max_bytes: int) -> list[QueueRow]:
        """An exporter's oldest rows, without those in flight."""
        rows = self._db.execute(
            "SELECT id, signal, items, body FROM queue WHERE exporter = ? ORDER BY id LIMIT ?",
            (exporter, limit + len(busy)),
        )
        free = (row for row in rows if row[0] not in busy)
        return [QueueRow(i, cast(Signal, s), n, body) for i, s, n, body in islice(_up_to(max_bytes, free), limit)]

    def queue_done(self, ids: Sequence[int]) -> None:
        """Remove rows that a backend took."""
        with transaction(self._db):
            gone = self._drop_queued(ids)
        self._count_gone(gone)

    def queue_set_aside(self, ids: Sequence[int], reason: str, at: int) -> None:
        """Move rows to where refused ones are kept."""
        with transaction(self._db):
            self._db.executemany(
                "INSERT INTO set_aside (exporter, signal, items, body, reason, at) "
                "SELECT exporter, signal, items, body, ?, ? FROM queue WHERE id = ?",
                [(reason[:_REASON], at, i) for i in ids],
            )
            gone = self._drop_queued(ids)
        self._count_gone(gone)

    def _drop_queued(self, ids: Sequence[int]) -> list[tuple[str, int]]:
        return self._delete("queue", ids, "exporter, items")

    def _count_gone(self, gone: Sequence[tuple[str, int]]) -> None:
        for exporter, items in gone:
            self._sizes[exporter] = _moved(self.queue_size(exporter), -1, -items)

    def queue_size(self, exporter: str) -> QueueSize:
        """How much waits in a queue."""
        return self._sizes.get(exporter, QueueSize(0, 0))

    def queue_oldest(self, exporter: str) -> int | None:
        """When the oldest row of a queue was put there."""
        row = self._db.execute("SELECT at FROM queue WHERE exporter = ? ORDER BY id LIMIT 1", (exporter,)).fetchone()
        return None if row is None else cast(int, row[0])

    # what was set aside

    def set_aside_size(self, exporter: str) -> QueueSize:
        """How much of an exporter's was set aside."""
        return QueueSize(
            *self._one("SELECT count(*), coalesce(sum(items), 0) FROM set_aside WHERE exporter = ?", exporter)
        )

    def set_aside_rows(self, limit: int) -> list[SetAsideRow]:
        """What was set aside, the latest first."""
        query = f"SELECT {_ASIDE_COLUMNS} FROM set_aside ORDER BY at DESC, id DESC LIMIT ?"  # noqa: S608
        return [SetAsideRow(*row) for row in self._db.execute(query, (limit,))]

    def resend(self, ids: Sequence[int] | None, at: int) -> list[tuple[int, SetAsideRow]]:
        """Move rows back to the end of their queues, under new ids: a queue's order is that of its ids."""
        query = f"SELECT {_ASIDE_COLUMNS} FROM set_aside ORDER BY id"  # noqa: S608
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
        """Write the first page as it is: a full disk or a file system that became read-only is found out."""
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
        """Close the store and let another process have it."""
        self._database.close()

    def _delete(self, table: str, ids: Sequence[int], columns: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for i in range(0, len(ids), _BATCH):
            part = ids[i : i + _BATCH]
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
    """Rows, each with a body, until the bodies are together larger than that; at least one."""
    size = 0
    for number, row in enumerate(rows):
        size += sum(len(value) for value in row if isinstance(value, bytes))
        if number and size > max_bytes:
            return
        yield row


def _session_row(row: tuple[Any, ...]) -> SessionRow:
    session, parent, producer, deadline, is_open, touched, state = row
    return SessionRow(session, parent, producer, deadline, bool(is_open), touched, state)
