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

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from receiver.errors import ConfigError, UnavailableError
from receiver.model import Request, Signal
from receiver.store import QueueRow, QueueSize, SessionRow, Step, Waiting

FILE = "receiver.db"
VERSION = 1
_BATCH = 500  # SQLite's smallest limit on bound variables is 999

_SCHEMA = """
CREATE TABLE inbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, signal TEXT NOT NULL, items INTEGER NOT NULL, arrival INTEGER NOT NULL,
    body BLOB NOT NULL);
CREATE TABLE session (
    id TEXT PRIMARY KEY, parent TEXT, producer TEXT NOT NULL, deadline INTEGER, open INTEGER NOT NULL,
    touched INTEGER NOT NULL, state BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX session_parent ON session (parent) WHERE parent IS NOT NULL;
CREATE INDEX session_deadline ON session (deadline) WHERE deadline IS NOT NULL;
CREATE INDEX session_open ON session (producer) WHERE open;
CREATE INDEX session_closed ON session (touched) WHERE NOT open;
CREATE TABLE gone (
    session TEXT NOT NULL, key TEXT NOT NULL, record BLOB NOT NULL, PRIMARY KEY (session, key)) WITHOUT ROWID;
CREATE INDEX gone_key ON gone (key);
CREATE TABLE server (producer TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (producer, name)) WITHOUT ROWID;
CREATE TABLE queue (
    id INTEGER PRIMARY KEY AUTOINCREMENT, exporter TEXT NOT NULL, signal TEXT NOT NULL, items INTEGER NOT NULL,
    body BLOB NOT NULL);
CREATE INDEX queue_exporter ON queue (exporter, id);
CREATE TABLE set_aside (
    id INTEGER PRIMARY KEY, exporter TEXT NOT NULL, signal TEXT NOT NULL, items INTEGER NOT NULL, body BLOB NOT NULL,
    reason TEXT NOT NULL, at INTEGER NOT NULL);
"""


class SQLiteStore:
    """A store in one folder. Not safe for threads: it belongs to the one that uses it."""

    def __init__(self, directory: Path, *, fsync: bool = True, create: bool = True) -> None:
        """Open the store. Raises ConfigError where the folder cannot be used."""
        try:
            if create:
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = _lock(directory / "lock")
            path = directory / FILE
            path.touch(mode=0o600, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._prepare(path, fsync)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"extensions::file_storage::directory: {directory} cannot be used ({error}); "
                "name a folder that this user may write"
            ) from error
        self._sizes: dict[str, QueueSize] = {}
        self._backlog = QueueSize(*self._one("SELECT count(*), coalesce(sum(items), 0) FROM inbox"))

    def _prepare(self, path: Path, fsync: bool) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(f"PRAGMA synchronous = {'FULL' if fsync else 'NORMAL'}")
        self._db.execute("PRAGMA cache_size = -16384")
        self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version != VERSION:
            raise ConfigError(
                f"extensions::file_storage::directory: {path} was written by another version of this program "
                f"(schema {version}, this one reads {VERSION}); name another folder or install that version"
            )

    # requests

    def append(self, arrival: int, requests: Sequence[Request]) -> list[int]:
        """Commit requests in one transaction; their ids. The point of acknowledgement."""
        rows = [(r.signal, r.items, arrival, r.body) for r in requests]
        with _Transaction(self._db):
            ids = [
                cast(
                    int,
                    self._db.execute(
                        "INSERT INTO inbox (signal, items, arrival, body) VALUES (?, ?, ?, ?)", row
                    ).lastrowid,
                )
                for row in rows
            ]
        items = self._backlog.items + sum(r.items for r in requests)
        self._backlog = QueueSize(self._backlog.rows + len(requests), items)
        return ids

    def waiting(self, after: int, limit: int) -> list[Waiting]:
        """Requests that are not built yet, oldest first."""
        rows = self._db.execute(
            "SELECT id, arrival, signal, body, items FROM inbox WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
        )
        return [Waiting(i, arrival, Request(cast(Signal, signal), body, n)) for i, arrival, signal, body, n in rows]

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
        wanted = sorted(set(ids))
        found: list[SessionRow] = []
        for i in range(0, len(wanted), _BATCH):
            part = wanted[i : i + _BATCH]
            marks = ",".join("?" * len(part))
            query = f"SELECT {self._COLUMNS} FROM session WHERE {column} IN ({marks})"  # noqa: S608 - column names only
            found.extend(_session_row(row) for row in self._db.execute(query, part))
        return found

    def open_sessions(self, producer: str, limit: int) -> list[SessionRow]:
        """The open sessions of one producer."""
        query = f"SELECT {self._COLUMNS} FROM session WHERE open AND producer = ? ORDER BY touched DESC LIMIT ?"  # noqa: S608
        return [_session_row(row) for row in self._db.execute(query, (producer, limit))]

    def left(self, session: str) -> list[tuple[str, bytes]]:
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

    def due(self, now: int, limit: int) -> list[str]:
        """Sessions whose deadline has come."""
        query = "SELECT id FROM session WHERE deadline <= ? ORDER BY deadline LIMIT ?"
        return [session for (session,) in self._db.execute(query, (now, limit))]

    def next_deadline(self) -> int | None:
        """The earliest deadline of any session."""
        (found,) = self._one("SELECT min(deadline) FROM session WHERE deadline IS NOT NULL")
        return cast("int | None", found)

    def commit(self, step: Step) -> None:
        """State moved, spans put into the queue and requests done with: one transaction."""
        with _Transaction(self._db):
            self._db.executemany("DELETE FROM inbox WHERE id = ?", [(i,) for i in step.built])
            self._db.executemany(
                f"INSERT OR REPLACE INTO session ({self._COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                [(s.id, s.parent, s.producer, s.deadline, int(s.open), s.touched, s.state) for s in step.sessions],
            )
            self._db.executemany("DELETE FROM session WHERE id = ?", [(s,) for s in step.forgotten])
            self._db.executemany("INSERT OR REPLACE INTO gone (session, key, record) VALUES (?, ?, ?)", step.left)
            self._db.executemany("INSERT OR IGNORE INTO server (producer, name) VALUES (?, ?)", step.servers)
            self._db.executemany(
                "INSERT INTO queue (exporter, signal, items, body) VALUES (?, ?, ?, ?)",
                [(o.exporter, o.signal, o.items, o.body) for o in step.outgoing],
            )
        for out in step.outgoing:
            self._sizes.pop(out.exporter, None)
        if step.built:
            self._backlog = QueueSize(*self._one("SELECT count(*), coalesce(sum(items), 0) FROM inbox"))

    def purge(self, before: int) -> int:
        """Forget closed sessions last touched before a time."""
        with _Transaction(self._db):
            closed = "SELECT id FROM session WHERE NOT open AND touched < ?"
            self._db.execute(f"DELETE FROM gone WHERE session IN ({closed})", (before,))  # noqa: S608
            purged = self._db.execute("DELETE FROM session WHERE NOT open AND touched < ?", (before,)).rowcount
        self._db.execute("PRAGMA incremental_vacuum(256)")
        return purged

    # the sending queue

    def queue_head(self, exporter: str, after: Sequence[int], limit: int) -> list[QueueRow]:
        """An exporter's oldest rows, without those in flight."""
        rows = self._db.execute(
            "SELECT id, signal, items, body FROM queue WHERE exporter = ? ORDER BY id LIMIT ?",
            (exporter, limit + len(after)),
        )
        busy = set(after)
        return [QueueRow(i, cast(Signal, signal), n, body) for i, signal, n, body in rows if i not in busy][:limit]

    def queue_done(self, ids: Sequence[int]) -> None:
        """Remove rows that a backend took."""
        with _Transaction(self._db):
            self._db.executemany("DELETE FROM queue WHERE id = ?", [(i,) for i in ids])
        self._sizes.clear()

    def queue_set_aside(self, ids: Sequence[int], reason: str, at: int) -> None:
        """Move rows to where refused ones are kept."""
        with _Transaction(self._db):
            for i in ids:
                self._db.execute(
                    "INSERT OR REPLACE INTO set_aside (id, exporter, signal, items, body, reason, at) "
                    "SELECT id, exporter, signal, items, body, ?, ? FROM queue WHERE id = ?",
                    (reason[:2048], at, i),
                )
                self._db.execute("DELETE FROM queue WHERE id = ?", (i,))
        self._sizes.clear()

    def queue_size(self, exporter: str) -> QueueSize:
        """How much waits in a queue."""
        if exporter not in self._sizes:
            row = self._one("SELECT count(*), coalesce(sum(items), 0) FROM queue WHERE exporter = ?", exporter)
            self._sizes[exporter] = QueueSize(*row)
        return self._sizes[exporter]

    def close(self) -> None:
        """Close the store and let another process have it."""
        self._db.close()
        os.close(self._lock)

    def _one(self, query: str, *values: Any) -> tuple[Any, ...]:
        return cast("tuple[Any, ...]", self._db.execute(query, values).fetchone())


def _session_row(row: tuple[Any, ...]) -> SessionRow:
    session, parent, producer, deadline, is_open, touched, state = row
    return SessionRow(session, parent, producer, deadline, bool(is_open), touched, state)


def _lock(path: Path) -> int:
    """Hold the folder for this process; the kernel lets go when the process ends, however it ends."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise ConfigError(
            f"extensions::file_storage::directory: {path.parent} is in use by another receiver; "
            "stop it or name another folder"
        ) from error
    return handle


class _Transaction:
    """BEGIN and COMMIT around a block, ROLLBACK when it raises; what SQLite cannot do becomes UnavailableError."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise UnavailableError(f"the store cannot be written ({error})") from error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            self._db.execute("COMMIT" if error is None else "ROLLBACK")
        except sqlite3.Error as failed:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise UnavailableError(f"the store cannot be written ({failed})") from failed
        if isinstance(error, sqlite3.Error):
            raise UnavailableError(f"the store cannot be written ({error})") from error
