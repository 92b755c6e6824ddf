"""The tables of the store, and the steps from each older version of them to the current one. SQLite's `user_version`
holds the version of a file. A step only adds: what an older version has written stays as it is.

The table `gone` keeps the records of emitted items: older versions wrote it under that name.
"""

from __future__ import annotations

import sqlite3

VERSION = 2

_SPANS = """
CREATE TABLE span (
    id BLOB PRIMARY KEY, parent BLOB NOT NULL, session TEXT NOT NULL, call TEXT NOT NULL, touched INTEGER NOT NULL
    ) WITHOUT ROWID;
CREATE INDEX span_parent ON span (parent);
CREATE INDEX span_touched ON span (touched);
"""

_TABLES = f"""
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

# version of a file: what brings it to the next version; 0 is a new file and gets the current tables at once
_STEPS = {1: _SPANS}


def migrate(db: sqlite3.Connection) -> int | None:
    """Create the tables, or bring older ones to VERSION; each step is one transaction. Returns None, or the version of
    the file when no step leads from it to VERSION: then the file is unchanged."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        _apply(db, _TABLES, VERSION)
        return None
    if version != VERSION and version not in _STEPS:
        return int(version)
    for step in range(version, VERSION):
        _apply(db, _STEPS[step], step + 1)
    return None


def _apply(db: sqlite3.Connection, script: str, version: int) -> None:
    db.executescript(f"BEGIN; {script} PRAGMA user_version = {version}; COMMIT;")
