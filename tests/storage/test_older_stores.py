"""A store that an earlier version left in the middle of its work is opened by this one: nothing is lost, nothing is
sent twice, and every id is the one that a run without a break gives. The files and how they were made:
tests/storage/older/.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tests.storage.older.write import CASES, HERE, NOON, NOT_BUILT, Run, first_half, load, schedule, when
from tests.support.otlp_requests import span_ids, spans_in

SCHEMAS = ("schema-2",)
# what sessions of an earlier version hold, by the names that their encoding has; at least one file has each
STATE = (
    *("facts", "stretches", "calls", "requests", "permissions", "unnamed", "hints", "counted", "series", "lines"),
    *("notes", "history", "agents", "idles", "contexts", "resources", "closed", "pins", "remotes", "rests", "changes"),
    *("cuts", "spans", "reach", "news", "wait"),
)
TABLES = ("inbox", "session", "gone", "server", "queue", "set_aside", "span")


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_files_hold_every_kind_of_state(schema: str) -> None:
    """Or what the other tests say would be worth less than it seems. Read without this program's code."""
    held: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    for kind in CASES:
        with closing(sqlite3.connect(":memory:")) as db:
            db.executescript((HERE / f"{schema}.{kind}.sql").read_text(encoding="utf-8"))
            for (state,) in db.execute("SELECT state FROM session WHERE open"):
                held.update(name for name, value in msgspec.msgpack.decode(state, strict=False).items() if value)
            rows.update({table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES})
    assert [name for name in STATE if not held[name]] == []
    assert [table for table in TABLES if not rows[table]] == []


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("schema", SCHEMAS)
async def test_a_store_of_an_earlier_version_goes_on_as_if_there_had_been_no_break(
    schema: str, kind: str, tmp_path: Path
) -> None:
    case = CASES[kind]
    before, after = schedule(case)
    load(HERE / f"{schema}.{kind}.sql", tmp_path / "older")
    async with Run(tmp_path / "older", case.settings, when(case)) as older:
        assert older.store.backlog().rows == NOT_BUILT
        await older.go_on(after[NOT_BUILT:])
        found = await older.bodies()
        set_aside = older.store.set_aside_rows(10)
    await first_half(tmp_path / "same", case)
    async with Run(tmp_path / "same", case.settings, when(case)) as same:
        await same.go_on(after[NOT_BUILT:])
        stopped = await same.bodies()
    async with Run(tmp_path / "unbroken", case.settings, NOON) as unbroken:
        await unbroken.send(before)
        await unbroken.accept(after[:NOT_BUILT])
        await unbroken.go_on(after[NOT_BUILT:])
        expected = await unbroken.bodies()
    assert sorted(span_ids(found)) == sorted(span_ids(expected))
    assert max(Counter(span_ids(found)).values()) == 1
    assert spans_in(found) == spans_in(expected) == spans_in(stopped)
    assert [(row.reason, row.items) for row in set_aside] == [("it cannot be built", 1)]
