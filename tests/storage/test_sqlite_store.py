"""The promise at the head of sqlite_store.py: committed data is durable and whole, however the process ends."""

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from receiver.errors import ConfigError, UnavailableError
from receiver.model import Request
from receiver.storage.interface import NO_EXPORTER, Outgoing, QueueSize, SessionRow, SpanRow, StateChange
from receiver.storage.sqlite_file import FILE
from receiver.storage.sqlite_store import SQLiteStore

ALL = (10_000, 1 << 40)


def logs(body: bytes = b"body", items: int = 1) -> Request:
    return Request("logs", body, items)


def session(name: str, **fields: object) -> SessionRow:
    known = {"parent": None, "producer": "p", "deadline": None, "open": True, "touched": 0, "state": b"state"}
    return SessionRow(name, **{**known, **fields})


def outgoing(body: bytes = b"spans", exporter: str = "otlp", signal: str = "traces", items: int = 1) -> Outgoing:
    return Outgoing(exporter, signal, items, body)


@pytest.fixture
def store(tmp_path):
    with closing(SQLiteStore(tmp_path / "store", fsync=False)) as opened:
        yield opened


# requests


def test_a_request_stays_until_a_commit_marks_it_built(store):
    first, second = store.append(7, [logs(b"one", 2), logs(b"two", 3)])
    assert [(w.id, w.arrival, w.request) for w in store.accepted_requests(*ALL)] == [
        (first, 7, logs(b"one", 2)),
        (second, 7, logs(b"two", 3)),
    ]
    assert store.backlog() == QueueSize(2, 5)
    store.commit(StateChange(built=[first]))
    assert [w.id for w in store.accepted_requests(*ALL)] == [second]
    assert store.backlog() == QueueSize(1, 3)


def test_reading_requests_keeps_to_the_limits_but_returns_at_least_one(store):
    ids = store.append(0, [logs(bytes(100)) for _ in range(5)])
    assert [w.id for w in store.accepted_requests(2, 1 << 20)] == ids[:2]
    assert [w.id for w in store.accepted_requests(10, 250)] == ids[:2]
    assert [w.id for w in store.accepted_requests(10, 1)] == ids[:1]


def test_request_ids_are_never_reused(store, tmp_path):
    (first,) = store.append(0, [logs()])
    store.commit(StateChange(built=[first]))
    store.close()
    again = SQLiteStore(tmp_path / "store")
    assert again.append(0, [logs()]) > [first]
    again.close()
    shutil.rmtree(tmp_path / "store")
    store.__init__(tmp_path / "store")  # for the fixture to close


def test_a_request_set_aside_can_be_resent(store):
    ids = store.append(1, [logs(b"poison", 4), logs()])
    store.set_aside(ids[0], "it raises", at=9)
    assert [w.id for w in store.accepted_requests(*ALL)] == ids[1:]
    assert store.backlog() == QueueSize(1, 1)
    (row,) = store.set_aside_rows(10)
    assert (row.exporter, row.items, row.size, row.reason, row.at) == (NO_EXPORTER, 4, 6, "it raises", 9)
    assert [moved for _, moved in store.resend([row.id], at=10)] == [row]
    assert [w.request.body for w in store.accepted_requests(*ALL)] == [b"body", b"poison"]
    assert store.backlog() == QueueSize(2, 5)
    assert store.set_aside_rows(10) == []


# sessions


def test_sessions_are_found_by_id_by_parent_by_producer_and_by_deadline(store):
    rows = [
        session("root", deadline=30, touched=1),
        session("child", parent="root", deadline=10, touched=2),
        session("other", producer="q", deadline=20),
        session("done", open=False),
    ]
    store.commit(StateChange(sessions=rows))
    assert store.sessions(["child", "nobody", "root"]) == [rows[1], rows[0]]
    assert store.children(["root", "child"]) == [rows[1]]
    assert [row.id for row in store.open_sessions("p", 10)] == ["child", "root"]
    assert [row.id for row in store.open_sessions("p", 1)] == [row.id for row in store.all_open(1)] == ["child"]
    assert store.due(20, 10) == ["child", "other"]
    assert store.due(20, 1) == ["child"]
    assert store.next_deadline() == 10
    store.postpone("child", 40)
    assert store.next_deadline() == 20


def test_thousands_of_sessions_can_be_read_in_one_call(store):
    names = [f"s{i:04}" for i in range(1200)]
    store.commit(StateChange(sessions=[session(name) for name in names]))
    assert [row.id for row in store.sessions(names)] == names


def test_emitted_records_are_found_by_session_and_by_key(store):
    store.commit(
        StateChange(sessions=[session("a"), session("b")], emitted=[("a", "call:1", b"x"), ("b", "call:1", b"y")])
    )
    assert store.emitted("a") == [("call:1", b"x")]
    assert store.sessions_with_item("call:1", 10) == ["a", "b"]


def test_spans_are_found_by_id_and_by_parent(store):
    rows = [SpanRow(b"a", b"", "ses_a", "c1"), SpanRow(b"b", b"a", "", ""), SpanRow(b"c", b"a", "ses_c", "")]
    store.commit(StateChange(spans=rows, at=10))
    assert store.spans([b"c", b"x", b"a"]) == [rows[0], rows[2]]
    assert store.spans_below([b"a", b"c"]) == rows[1:]
    known = SpanRow(b"b", b"a", "ses_b", "")
    store.commit(StateChange(spans=[known], at=20))
    assert store.spans([b"b"]) == [known]
    store.purge(20)
    assert store.spans([b"a", b"b", b"c"]) == [known]


def test_a_purge_deletes_only_sessions_that_closed_before_the_given_time(store):
    rows = [
        session("old", open=False, touched=10, producer="gone"),
        session("new", open=False, touched=20),
        session("open", touched=10),
    ]
    store.commit(
        StateChange(
            sessions=rows,
            emitted=[(name, "call:1", b"") for name in ("old", "new", "open")],
            servers=[("gone", "db"), ("p", "db")],
        )
    )
    assert store.purge(20) == 1
    assert [row.id for row in store.sessions(["old", "new", "open"])] == ["new", "open"]
    assert store.sessions_with_item("call:1", 10) == ["new", "open"]
    assert (store.servers("gone"), store.servers("p")) == ([], ["db"])


def test_a_purge_returns_free_pages_to_the_file_system(store):
    ids = store.append(0, [logs(bytes(100_000)) for _ in range(20)])
    store.commit(StateChange(built=ids))
    free = store._db.execute("PRAGMA freelist_count").fetchone()[0]
    store.purge(0)
    assert free > 400
    assert store._db.execute("PRAGMA freelist_count").fetchone()[0] == 0


# the sending queues


def test_rows_stay_in_their_queue_until_they_are_done(store):
    store.commit(StateChange(outgoing=[outgoing(b"1"), outgoing(b"2", items=5), outgoing(b"3", exporter="debug")]))
    rows = store.queue_head("otlp", (), *ALL)
    assert [(row.body, row.items, row.signal) for row in rows] == [(b"1", 1, "traces"), (b"2", 5, "traces")]
    assert store.queue_size("otlp") == QueueSize(2, 6)
    store.queue_done([rows[0].id])
    assert [row.body for row in store.queue_head("otlp", (), *ALL)] == [b"2"]
    assert store.queue_size("otlp") == QueueSize(1, 5)
    assert store.queue_size("debug") == QueueSize(1, 1)
    store.queue_done([rows[0].id])
    assert store.queue_size("otlp") == QueueSize(1, 5)


def test_reading_a_queue_skips_rows_in_flight(store):
    store.commit(StateChange(outgoing=[outgoing(bytes([i]) * 10) for i in range(4)]))
    rows = store.queue_head("otlp", (), *ALL)
    busy = {rows[0].id, rows[2].id}
    assert store.queue_head("otlp", busy, 1, 1 << 20) == [rows[1]]
    assert store.queue_head("otlp", busy, 10, 20) == [rows[1], rows[3]]
    assert store.queue_head("otlp", (), 10, 1) == [rows[0]]


def test_rows_that_a_backend_refuses_are_set_aside_and_can_be_resent(store):
    store.commit(StateChange(outgoing=[outgoing(b"bad", items=3), outgoing(b"good")]))
    bad, good = store.queue_head("otlp", (), *ALL)
    store.queue_set_aside([bad.id], "no" * 5_000, at=5)
    assert store.queue_head("otlp", (), *ALL) == [good]
    (row,) = store.set_aside_rows(10)
    assert (row.items, row.size, len(row.reason), row.at) == (3, 3, 2048, 5)
    assert store.set_aside_size("otlp") == QueueSize(1, 3)
    store.resend(None, at=6)
    assert [row.body for row in store.queue_head("otlp", (), *ALL)] == [b"good", b"bad"]
    assert store.queue_size("otlp") == QueueSize(2, 4)


# errors


def test_a_full_disk_refuses_requests_and_loses_none_that_was_acknowledged(store):
    store.append(0, [logs(b"first")])
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(UnavailableError, match="cannot be written"):
        store.append(0, [logs(bytes(50_000)), logs()])
    with pytest.raises(UnavailableError, match="cannot be written"):
        store.commit(StateChange(built=[1], sessions=[session("s", state=bytes(50_000))]))
    assert store.backlog() == QueueSize(1, 1)
    assert [w.request.body for w in store.accepted_requests(*ALL)] == [b"first"]
    store._db.execute(f"PRAGMA max_page_count = {pages + 1000}")
    store.append(0, [logs(bytes(50_000))])
    store.commit(StateChange(built=[1]))
    assert store.backlog() == QueueSize(1, 1)


def test_a_commit_that_fails_in_the_middle_changes_nothing(store):
    (first,) = store.append(0, [logs()])
    change = StateChange(built=[first], sessions=[session("fine"), session("surrogate \ud800")], outgoing=[outgoing()])
    with pytest.raises(UnicodeEncodeError):
        store.commit(change)
    assert [w.id for w in store.accepted_requests(*ALL)] == [first]
    assert store.sessions(["fine"]) == []
    assert (store.backlog(), store.queue_size("otlp")) == (QueueSize(1, 1), QueueSize(0, 0))
    store.commit(StateChange(built=[first]))


def test_a_store_over_max_size_mib_refuses_requests_until_there_is_room(tmp_path):
    with closing(SQLiteStore(tmp_path, fsync=False, max_size=1 << 20)) as store:
        ids = store.append(0, [logs(bytes(1 << 20))])
        with pytest.raises(UnavailableError, match="max_size_mib"):
            store.append(0, [logs()])
        store.commit(StateChange(built=ids))
        store.append(0, [logs()])


@pytest.mark.parametrize(("fsync", "synchronous"), [(True, 2), (False, 1)])
def test_fsync_sets_sqlites_synchronous_to_full(tmp_path, fsync, synchronous):
    with closing(SQLiteStore(tmp_path, fsync=fsync)) as store:
        assert store._db.execute("PRAGMA synchronous").fetchone() == (synchronous,)
        assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_stores_files_are_readable_by_their_owner_only(tmp_path):
    folder = tmp_path / "new" / "store"
    with closing(SQLiteStore(folder)) as store:
        store.append(0, [logs()])
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert modes == dict.fromkeys(("lock", FILE, f"{FILE}-wal", f"{FILE}-shm"), 0o600)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_store_of_an_unknown_schema_version_is_refused_and_its_lock_released(tmp_path):
    SQLiteStore(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.execute("PRAGMA user_version = 99")
    for _ in range(2):  # twice: the first refusal releases the lock
        with pytest.raises(ConfigError, match=r"file_storage::directory: .*schema 99, this one reads 2"):
            SQLiteStore(tmp_path)


def test_a_store_of_schema_version_1_is_migrated(tmp_path):
    SQLiteStore(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.executescript("DROP TABLE span; PRAGMA user_version = 1")
    SQLiteStore(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        assert db.execute("SELECT count(*) FROM span").fetchone() == (0,)
        assert db.execute("PRAGMA user_version").fetchone() == (2,)


def test_the_error_names_a_folder_that_cannot_be_used(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file_storage::directory: .*file/store cannot be used"):
        SQLiteStore(tmp_path / "file" / "store")
    with pytest.raises(ConfigError, match="No such file"):
        SQLiteStore(tmp_path / "missing", create=False)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / FILE).write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(ConfigError, match="not a database"):
        SQLiteStore(tmp_path / "broken")


def overwritten(path):
    path.write_bytes(b"this is no database, whatever its name says" * 100)


def cut(path):
    path.write_bytes(path.read_bytes()[:8192])


def overwritten_after_the_first_page(path):
    """Overwritten after the first page, which has the file's header and its list of tables."""
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(range(256)) * ((len(data) - 4096) // 256))


def of_another_program(path):
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE inbox (mine TEXT)")


@pytest.mark.parametrize("spoil", [overwritten, cut, overwritten_after_the_first_page, of_another_program])
def test_the_error_for_an_unreadable_file_names_the_remedy_and_what_is_lost(tmp_path, spoil):
    SQLiteStore(tmp_path).close()
    spoil(tmp_path / FILE)
    for _ in range(2):  # twice: the first refusal releases the lock and changes nothing
        with pytest.raises(ConfigError) as refused:
            SQLiteStore(tmp_path)
        message = str(refused.value)
        assert message.startswith(f"extensions::file_storage::directory: {tmp_path / FILE} cannot be read (")
        assert "restore its folder from a copy, or move it away" in message
        assert "that loses requests not built yet, open sessions, and spans not sent" in message
        assert "may write" not in message
        assert "\n" not in message
    (tmp_path / FILE).rename(tmp_path / "away")
    SQLiteStore(tmp_path).close()


def test_damage_found_while_running_is_reported_with_the_same_remedy(tmp_path):
    store = SQLiteStore(tmp_path)
    store.append(1, [logs()])
    store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store._db.execute("PRAGMA cache_size = 0")
    overwritten_after_the_first_page(tmp_path / FILE)
    with pytest.raises(
        UnavailableError, match=r"cannot be written \(.*malformed\); stop the receiver, and restore its"
    ):
        store.append(2, [logs()])
    store.close()


# other processes

_CHILD = """
import sys
from pathlib import Path
from receiver.model import Request
from receiver.storage.sqlite_store import SQLiteStore
store = SQLiteStore(Path(sys.argv[1]))
print("open", flush=True)
while sys.argv[2:]:
    print(*store.append(0, [Request("logs", b"x" * 1000, 1)] * 3), flush=True)
sys.stdin.read()
"""


def child(folder: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-c", _CHILD, str(folder), *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "open\n"
    return process


def kill(process: subprocess.Popen) -> str:
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    return rest


@pytest.mark.process
def test_the_folder_is_locked_until_its_process_ends_also_by_a_kill(tmp_path):
    process = child(tmp_path)
    try:
        with pytest.raises(ConfigError, match="in use by another receiver"):
            SQLiteStore(tmp_path)
    finally:
        kill(process)
    SQLiteStore(tmp_path).close()


@pytest.mark.process
def test_appended_requests_survive_a_kill(tmp_path):
    process = child(tmp_path, "append")
    printed = [process.stdout.readline() for _ in range(20)] + kill(process).splitlines(keepends=True)
    acknowledged = [int(word) for line in printed if line.endswith("\n") for word in line.split()]
    with closing(SQLiteStore(tmp_path)) as store:
        found = [w.id for w in store.accepted_requests(*ALL)]
    assert set(acknowledged) <= set(found)
    assert len(found) % 3 == 0  # each transaction had three: it is stored whole or not at all


# against a model

NAMES = st.sampled_from(["a", "b", "c", "d"])
EXPORTERS = st.sampled_from(["x", "y"])


class AgainstDictionaries(RuleBasedStateMachine):
    """The store compared with plain dictionaries, with kills between any two calls."""

    @initialize()
    def open(self) -> None:
        self.folders = [Path(tempfile.mkdtemp())]
        self.store = SQLiteStore(self.folders[0], fsync=False)
        self.inbox: dict[int, tuple[bytes, int]] = {}
        self.sessions: dict[str, SessionRow] = {}
        self.emitted: dict[tuple[str, str], bytes] = {}
        self.queue: dict[int, tuple[str, bytes, int]] = {}
        self.aside: list[tuple[str, bytes, int]] = []
        self.clock = 0

    def teardown(self) -> None:
        self.store.close()
        for folder in self.folders:
            shutil.rmtree(folder)

    @rule(items=st.lists(st.integers(1, 9), min_size=1, max_size=4))
    def append(self, items: list[int]) -> None:
        bodies = [os.urandom(5) for _ in items]
        ids = self.store.append(self.clock, [logs(b, n) for b, n in zip(bodies, items, strict=True)])
        self.inbox.update({i: (b, n) for i, b, n in zip(ids, bodies, items, strict=True)})

    @rule(
        built=st.integers(0, 3),
        changed=st.dictionaries(NAMES, st.tuples(st.booleans(), st.none() | st.integers(0, 9)), max_size=3),
        forgotten=st.lists(NAMES, max_size=1),
        emitted=st.lists(st.tuples(NAMES, st.sampled_from(["1", "2"])), max_size=2),
        out=st.lists(st.tuples(EXPORTERS, st.integers(1, 9)), max_size=3),
    )
    def commit(self, built, changed, forgotten, emitted, out) -> None:
        self.clock += 1
        done = list(self.inbox)[:built]
        rows = [
            session(name, open=is_open, deadline=deadline, touched=self.clock)
            for name, (is_open, deadline) in changed.items()
        ]
        change = StateChange(
            built=done,
            sessions=rows,
            forgotten=forgotten,
            emitted=[(name, key, b"%d" % self.clock) for name, key in emitted],
            outgoing=[outgoing(b"%d" % self.clock, exporter, items=items) for exporter, items in out],
        )
        last = max((row.id for name in "xy" for row in self.store.queue_head(name, (), *ALL)), default=0)
        self.store.commit(change)
        for i in done:
            del self.inbox[i]
        self.sessions.update({row.id: row for row in rows})
        for name in forgotten:
            self.sessions.pop(name, None)
        self.emitted.update(dict.fromkeys(emitted, b"%d" % self.clock))
        for name in "xy":
            for row in self.store.queue_head(name, set(self.queue), *ALL):
                assert row.id > last
                self.queue[row.id] = (name, row.body, row.items)

    @precondition(lambda self: self.queue)
    @rule(at=st.integers(0, 5), refused=st.booleans())
    def leave_the_queue(self, at: int, refused: bool) -> None:
        row = sorted(self.queue)[at % len(self.queue)]
        if refused:
            self.store.queue_set_aside([row], "refused", self.clock)
            self.aside.append(self.queue[row])
        else:
            self.store.queue_done([row])
        del self.queue[row]

    @precondition(lambda self: self.inbox)
    @rule()
    def set_aside(self) -> None:
        first = min(self.inbox)
        self.store.set_aside(first, "cannot be built", self.clock)
        self.aside.append((NO_EXPORTER, *self.inbox.pop(first)))

    @rule()
    def resend(self) -> None:
        before = {w.id for w in self.store.accepted_requests(*ALL)}
        moved = self.store.resend(None, self.clock)
        assert [(row.exporter, row.size, row.items) for _, row in moved] == [(e, len(b), n) for e, b, n in self.aside]
        for one in self.store.accepted_requests(*ALL):
            if one.id not in before:
                self.inbox[one.id] = (one.request.body, one.request.items)
        there = {(NO_EXPORTER, i) for i in self.inbox.keys() - before}
        for name in "xy":
            for row in self.store.queue_head(name, set(self.queue), *ALL):
                self.queue[row.id] = (name, row.body, row.items)
                there.add((name, row.id))
        assert {(row.exporter, i) for i, row in moved} == there
        self.aside.clear()

    @rule(age=st.integers(0, 5))
    def purge(self, age: int) -> None:
        before = self.clock - age
        old = {row.id for row in self.sessions.values() if not row.open and row.touched < before}
        assert self.store.purge(before) == len(old)
        self.sessions = {name: row for name, row in self.sessions.items() if name not in old}
        self.emitted = {key: record for key, record in self.emitted.items() if key[0] not in old}

    @rule()
    def kill_and_open_again(self) -> None:
        """Copy the files as they are on the disk now, and open the copy: what a killed process leaves."""
        folder = Path(tempfile.mkdtemp())
        self.folders.append(folder)
        for name in (FILE, f"{FILE}-wal"):
            shutil.copy(self.folders[-2] / name, folder / name)
        self.store.close()
        self.store = SQLiteStore(folder, fsync=False)

    @invariant()
    def is_what_the_dictionaries_say(self) -> None:
        accepted = {w.id: (w.request.body, w.request.items) for w in self.store.accepted_requests(*ALL)}
        assert accepted == self.inbox
        assert list(accepted) == sorted(accepted)
        assert self.store.backlog() == QueueSize(len(accepted), sum(n for _, n in accepted.values()))
        assert {row.id: row for row in self.store.sessions("abcd")} == self.sessions
        assert {(s, k): r for s in "abcd" for k, r in self.store.emitted(s)} == self.emitted
        due = [row.id for row in self.sessions.values() if row.deadline is not None and row.deadline <= 5]
        assert sorted(self.store.due(5, 10)) == sorted(due)
        for name in "xy":
            rows = {i: row for i, row in self.queue.items() if row[0] == name}
            assert [row.id for row in self.store.queue_head(name, (), *ALL)] == sorted(rows)
            assert self.store.queue_size(name) == QueueSize(len(rows), sum(n for _, _, n in rows.values()))


TestAgainstDictionaries = AgainstDictionaries.TestCase
TestAgainstDictionaries.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
