"""The store's database file: its folder and lock, SQLite's settings, and transactions. What the rows mean is in
sqlite_store.py, the tables are in migrations.py.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from receiver.errors import ConfigError, UnavailableError
from receiver.storage.migrations import VERSION, migrate

FILE = "receiver.db"
_VACUUM_PAGES = 4096  # freed in one go: other work of the store waits meanwhile
_START_ANEW = (
    "restore its folder from a copy, or move it away with its -wal and -shm and start with an empty one; that loses "
    "requests not built yet, open sessions, and spans not sent yet or set aside"
)


class Database:
    """A connection in autocommit mode to the file in one folder, locked against other processes until close()."""

    def __init__(self, directory: Path, *, fsync: bool, create: bool) -> None:
        """Open or create the file. Raises ConfigError when the folder cannot be used."""
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
    def first_read(self) -> Iterator[None]:
        """Around the first queries. Closes the file and raises ConfigError when it cannot be read."""
        try:
            yield
        except sqlite3.Error as error:
            self.close()
            raise _unusable(self._path.parent, error) from error

    def _prepare(self, fsync: bool) -> None:
        db = self.connection
        # Before journal_mode, which writes the first page: auto_vacuum has no effect after that.
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'FULL' if fsync else 'NORMAL'}")
        db.execute("PRAGMA cache_size = -16384")
        unknown = migrate(db)
        if unknown is not None:
            raise ConfigError(
                f"extensions::file_storage::directory: {self._path} was written by another version of this program "
                f"(schema {unknown}, this one reads {VERSION}); name another folder or install that version"
            )

    def size(self) -> int:
        """Bytes on disk, the write-ahead log included."""
        files = (self._path.with_name(FILE + suffix) for suffix in ("", "-wal", "-shm"))
        return sum(file.stat().st_size for file in files if file.exists())

    def data_size(self) -> int:
        """Bytes of data: free pages do not count."""
        pages, free, page = (self._pragma(name) for name in ("page_count", "freelist_count", "page_size"))
        return (pages - free) * page

    def _pragma(self, name: str) -> int:
        return int(self.connection.execute(f"PRAGMA {name}").fetchone()[0])

    def release_pages(self) -> None:
        """Return some of the free pages to the file system. Raises UnavailableError."""
        try:
            # As a script: SQLite frees one page a step of the statement, and execute() runs only the first step.
            self.connection.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
        except sqlite3.Error as error:
            raise _unwritable(error) from error

    def close(self) -> None:
        """Close the file and release the lock."""
        self.connection.close()
        os.close(self._lock)


def _lock(path: Path) -> int:
    """Lock the folder for this process. The kernel releases the lock when the process ends, however it ends."""
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
    """BEGIN and COMMIT around a block, ROLLBACK when it raises. SQLite's errors become UnavailableError."""
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")
    except BaseException as error:
        if db.in_transaction:  # SQLite may have rolled back by itself, on a full disk for example
            db.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise _unwritable(error) from error
        raise


def _unusable(directory: Path, error: OSError | sqlite3.Error) -> ConfigError:
    if (
        _damaged(error) or _code(error) == sqlite3.SQLITE_ERROR
    ):  # SQLITE_ERROR: tables that are missing, or another program's
        text = f"{directory / FILE} cannot be read ({error}): {_START_ANEW}"
    elif _code(error) == sqlite3.SQLITE_FULL:
        text = f"{directory} cannot be used ({error}); make room on its disk"
    else:
        text = f"{directory} cannot be used ({error}); name a folder that this user may write"
    return ConfigError(f"extensions::file_storage::directory: {text}")


def _unwritable(error: sqlite3.Error) -> UnavailableError:
    remedy = ""
    if _damaged(error):
        remedy = f"; stop the receiver, and {_START_ANEW}"
    elif "is full" in str(error):
        remedy = "; make room on the disk of extensions::file_storage"
    return UnavailableError(f"the store cannot be written ({error}){remedy}")


def _damaged(error: Exception) -> bool:
    return _code(error) in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def _code(error: Exception) -> int:
    """SQLite's primary result code; 0 for other errors, also for those that Python's module raises by itself."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
