"""The database file under the store: its folder and who has it, its tables, settings and transactions. What the rows
mean is said in storage.py.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from receiver.errors import ConfigError, UnavailableError

FILE = "receiver.db"
VERSION = 2
_VACUUM_PAGES = 4096  # at once, so that nothing waits long behind it
_ANEW = (
    "restore its folder from a copy, or move it away with its -wal and -shm and start with an empty one; what it held "
    "is lost then: requests not built yet, open sessions, and spans not sent yet or set aside"
)

_SPANS = """
CREATE TABLE span (
    id BLOB PRIMARY KEY, parent BLOB NOT NULL, session TEXT NOT NULL, call TEXT NOT NULL, touched INTEGER NOT NULL
    ) WITHOUT ROWID;
CREATE INDEX span_parent ON span (parent);
CREATE INDEX span_touched ON span (touched);
"""

_SCHEMA = f"""
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
    body BLOB NOT NULL, at INTEGER NOT NULL);
CREATE INDEX queue_exporter ON queue (exporter, id);
CREATE TABLE set_aside (
    id INTEGER PRIMARY KEY AUTOINCREMENT, exporter TEXT NOT NULL, signal TEXT NOT NULL, items INTEGER NOT NULL,
    body BLOB NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL);
{_SPANS}
"""

_FROM_1 = _SPANS  # what version 1 did not have


class Database:
    """A connection in autocommit mode to the file in one folder, which this process has for itself until close()."""

    def __init__(self, directory: Path, *, fsync: bool, create: bool) -> None:
        """Open or make it. Raises ConfigError where the folder cannot be used."""
        with ExitStack() as undo:
            try:
                if create:
                    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._lock = _lock(directory / "lock")
                undo.callback(os.close, self._lock)
                self._path = directory / FILE
                self._path.touch(mode=0o600, exist_ok=True)
                self.connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
                undo.callback(self.connection.close)
                self._prepare(fsync)
            except (OSError, sqlite3.Error) as error:
                raise _unusable(directory, error) from error
            undo.pop_all()

    @contextmanager
    def first_look(self) -> Iterator[None]:
        """Around what is read before anything else. Raises ConfigError, the file closed, where it cannot be read."""
        try:
            yield
        except sqlite3.Error as error:
            self.close()
            raise _unusable(self._path.parent, error) from error

    def _prepare(self, fsync: bool) -> None:
        db = self.connection
        # Before journal_mode, which writes the first page: after it, auto_vacuum has no effect.
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'FULL' if fsync else 'NORMAL'}")
        db.execute("PRAGMA cache_size = -16384")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version == 1:
            db.executescript(f"BEGIN; {_FROM_1} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version != VERSION:
            raise ConfigError(
                f"extensions::file_storage::directory: {self._path} was written by another version of this program "
                f"(schema {version}, this one reads {VERSION}); name another folder or install that version"
            )

    def size(self) -> int:
        """Bytes on disk, the write-ahead log included."""
        files = (self._path.with_name(FILE + suffix) for suffix in ("", "-wal", "-shm"))
        return sum(file.stat().st_size for file in files if file.exists())

    def data_size(self) -> int:
        """Bytes that data takes: pages that are free for what comes next do not count."""
        pages, free, page = (self._pragma(name) for name in ("page_count", "freelist_count", "page_size"))
        return (pages - free) * page

    def _pragma(self, name: str) -> int:
        return int(self.connection.execute(f"PRAGMA {name}").fetchone()[0])

    def give_back(self) -> None:
        """Give some of the free pages back to the file system. Raises UnavailableError."""
        try:
            # As a script: each page is a step of the statement, and execute() takes the first one only.
            self.connection.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
        except sqlite3.Error as error:
            raise _unwritable(error) from error

    def close(self) -> None:
        """Close it and let another process have it."""
        self.connection.close()
        os.close(self._lock)


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


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """BEGIN and COMMIT around a block, ROLLBACK when it raises; what SQLite cannot do becomes UnavailableError."""
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")
    except BaseException as error:
        if db.in_transaction:  # SQLite may have rolled it back itself, on a full disk for example
            db.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise _unwritable(error) from error
        raise


def _unusable(directory: Path, error: OSError | sqlite3.Error) -> ConfigError:
    if _damaged(error) or _code(error) == sqlite3.SQLITE_ERROR:  # the last: tables that are missing, or not ours
        text = f"{directory / FILE} cannot be read ({error}): {_ANEW}"
    elif _code(error) == sqlite3.SQLITE_FULL:
        text = f"{directory} cannot be used ({error}); make room on its disk"
    else:
        text = f"{directory} cannot be used ({error}); name a folder that this user may write"
    return ConfigError(f"extensions::file_storage::directory: {text}")


def _unwritable(error: sqlite3.Error) -> UnavailableError:
    remedy = ""
    if _damaged(error):
        remedy = f"; stop the receiver, and {_ANEW}"
    elif "is full" in str(error):
        remedy = "; make room on the disk of extensions::file_storage"
    return UnavailableError(f"the store cannot be written ({error}){remedy}")


def _damaged(error: Exception) -> bool:
    return _code(error) in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def _code(error: Exception) -> int:
    """SQLite's primary result code; 0 where it is none of its errors. Those of the module itself have none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
