"""Stores as an earlier version of the program left them, as SQL. `python -m tests.storage.older.write NAME` writes
tests/storage/older/NAME.<case>.sql for each of CASES, by the code as it is now. Do that before the schema or the state
in it changes, under a new NAME, and keep the old files: test_older_stores.py opens every file with the code of its day.

A case is a schedule: requests and when each arrives, by a clock that is moved by hand. The program stops in the middle
of it. What the store must hold then is listed in test_older_stores.py, and where recordings do not give it, a few
records that are made here do.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from receiver.core.state.settings import SECOND, BuilderSettings
from receiver.model import Request
from receiver.pipeline.pipeline import Pipeline
from receiver.pipeline.routing import Routes
from receiver.storage.sqlite_store import SQLiteStore
from tests.golden.rewrite import requests_of
from tests.support import claude_code_records
from tests.support.factories import (
    NOON,
    any_value,
    at,
    key_values,
    logs_request,
    metrics_request,
    relay_record,
    spans_request,
)
from tests.support.otlp_requests import recorded
from tests.support.paths import TESTS

HERE = Path(__file__).parent
GOLDEN = TESTS / "golden"
FILE = "receiver.db"
EXPORTER = "out"
ALL = (1_000_000, 1 << 40)
STEP = SECOND  # between two requests
NOT_BUILT = 3  # requests that the first run accepted and did not build


@dataclass(frozen=True)
class Case:
    """Recordings whose requests arrive in turn, and the settings."""

    recordings: tuple[str, ...]
    settings: BuilderSettings


CASES = {
    "session": Case(
        (
            "C/04-parallel-nested",
            "A/03-task-child",
            "B/02-skill-mcp-jsonbody",
            "A/05-slash-command",
            "D/03-task-child",
            "native-resumed",
        ),
        BuilderSettings(idle_timeout=20 * SECOND, max_spans_per_trace=12),
    ),
    "plugins": Case(
        ("D/30-ads-claude", "plugin-otel/1.2.0"),
        BuilderSettings(child_sessions="linked"),
    ),
    "turn": Case(
        ("C/05-slash-command", "A/09-permission", "B/05-slash-command", "plugin-spans"),
        BuilderSettings(trace_mode="turn", live_markers=True, capture_content=frozenset({"errors", "titles"})),
    ),
}


def made() -> list[Request]:
    """What no recording has: a fork, a session below another program's span, a permission that nobody answers, a
    call that goes on, a session that closed and goes on later, a span chain that is not whole, a skill that no call is
    known for, counted lines, and a named MCP server."""

    def part(session: str, number: int, start: float, end: float | None) -> object:
        times = {"start": at(start) // 1_000_000, **({"end": at(end) // 1_000_000} if end else {})}
        state = {"status": "completed" if end else "running", "time": times}
        body = {"part": {"type": "tool", "tool": "bash", "callID": f"call_{number}", "state": state}}
        return relay_record("message.part.updated", end or start, body, session_id=session)

    def created(session: str, time: float) -> object:
        info = {"id": session, "time": {"created": at(time) // 1_000_000}}
        return relay_record("session.created", time, {"info": info}, session_id=session)

    def idle(session: str, time: float) -> object:
        return relay_record("session.idle", time, {}, session_id=session)

    asked = {"id": "per_1", "permission": "bash", "tool": {"callID": "call_9"}}
    trace = {"traceparent": f"00-{1:032x}-{2:016x}-01"}
    chain = WireSpan(name="doGenerate", trace_id=bytes(15) + b"\1", span_id=bytes(7) + b"\7")
    chain.parent_span_id = bytes(7) + b"\6"
    chain.attributes.add(key="sessionID").value.CopyFrom(any_value("ses_chain"))
    skill = {"skill.name": "notes", "invocation_trigger": "claude-proactive", "duration_ms": 2000}
    lines = Metric(name="opencode.tool.loc.added")
    lines.sum.is_monotonic, lines.sum.aggregation_temporality = True, 1
    point = lines.sum.data_points.add(attributes=key_values({"session.id": "ses_lines"}), as_int=7)
    point.start_time_unix_nano, point.time_unix_nano = at(1), at(6)
    changed = relay_record("mcp.tools.changed", 1, {"server": "own_db"}, session_id="ses_lines")
    return [
        logs_request(claude_code_records.event("skill_activated", 4, skill), scope=claude_code_records.EVENTS),
        metrics_request(lines),
        logs_request(changed),
        logs_request(created("ses_origin", 0), part("ses_origin", 1, 1, 2), idle("ses_origin", 3)),
        logs_request(
            created("ses_below", 1), part("ses_below", 5, 2, None), resource={"service.name": "opencode", **trace}
        ),
        logs_request(created("ses_fork", 5), part("ses_fork", 1, 1, 2), part("ses_fork", 2, 6, None)),
        spans_request(chain, scope="opencode"),
        logs_request(part("ses_below", 6, 4, None), relay_record("permission.asked", 5, asked, session_id="ses_below")),
        logs_request(part("ses_origin", 3, 90, 91)),
        logs_request(part("ses_origin", 4, 92, None)),
        logs_request(part("ses_fork", 2, 6, 8), idle("ses_fork", 9), part("ses_below", 6, 4, 9)),
        logs_request(part("ses_origin", 4, 92, 95), idle("ses_origin", 96)),
        logs_request(claude_code_records.result("Skill", 2, 4, "toolu_1"), scope=claude_code_records.EVENTS),
        logs_request(idle("ses_lines", 7)),
        logs_request(idle("ses_chain", 7)),
    ]


def requests_in(name: str) -> list[Request]:
    """The requests of a recording, of tests/golden or tests/data."""
    return requests_of(GOLDEN / name) if (GOLDEN / name).exists() else recorded(name)


def schedule(case: Case) -> tuple[list[Request], list[Request]]:
    """The requests of a case in order of arrival, before and after the stop: in the middle of every recording."""
    lanes = [made(), *(requests_in(name) for name in case.recordings)]
    placed = [(2 * at - len(lane), request) for lane in lanes for at, request in enumerate(lane)]
    placed.sort(key=lambda one: one[0])
    return [request for place, request in placed if place < 0], [request for place, request in placed if place >= 0]


class Run:
    """A pipeline on a folder, by a clock that is moved by hand."""

    def __init__(self, folder: Path, settings: BuilderSettings, begin: int) -> None:
        self.now = begin
        self.looks_from = begin + settings.settle  # a pipeline that starts lets stragglers come first
        self.store = SQLiteStore(folder, fsync=False)
        self.pipeline = Pipeline(self.store, settings, Routes(traces=(EXPORTER,)), clock=lambda: self.now)

    async def __aenter__(self) -> Run:
        await self.pipeline.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pipeline.stop()
        await self.pipeline.close()

    async def send(self, requests: list[Request]) -> None:
        """Each arrives a step after the one before, when nothing is left to do."""
        for request in requests:
            await self.pipeline.accept(request)
            await self.quiet()
            self.now += STEP
            await self.quiet()

    async def accept(self, requests: list[Request]) -> None:
        """They arrive together."""
        for request in requests:
            await self.pipeline.accept(request)

    async def go_on(self, requests: list[Request]) -> None:
        """After the break: what was not built is built, the rest arrives, and time goes on until nothing is open."""
        await self.quiet()
        self.now += STEP
        await self.send(requests)
        await self.run_out()

    async def quiet(self) -> None:
        """Return when nothing is left to do at this moment."""
        async with asyncio.timeout(20):
            while not await self.pipeline.ask(lambda _, store: self._is_quiet(store)):
                self.pipeline.wake()
                await asyncio.sleep(0)

    def _is_quiet(self, store: SQLiteStore) -> bool:
        waits_for_stragglers = self.now < self.looks_from
        return not store.backlog().rows and (waits_for_stragglers or not store.due(self.now, 1))

    async def run_out(self) -> None:
        """Let time pass until no session is open."""
        await self.quiet()
        while (deadline := await self.pipeline.ask(lambda _, store: store.next_deadline())) is not None:
            self.now = max(self.now, deadline, self.looks_from)
            await self.quiet()

    async def bodies(self) -> list[bytes]:
        """What waits to be sent."""
        rows = await self.pipeline.ask(lambda _, store: store.queue_head(EXPORTER, (), *ALL))
        return [row.body for row in rows]


def when(case: Case) -> int:
    """The moment at which a case goes on (ns)."""
    return NOON + len(schedule(case)[0]) * STEP


async def first_half(folder: Path, case: Case) -> None:
    """Run a case up to where it stops, and leave the store as a kill would, with requests that are not built."""
    before, after = schedule(case)
    async with Run(folder, case.settings, NOON) as run:
        await run.send(before)
    with closing(SQLiteStore(folder, fsync=False)) as store:
        poison, *_ = store.append(when(case), [Request("logs", b"refused", 1)])
        store.set_aside(poison, "it cannot be built", when(case))
        store.append(when(case), after[:NOT_BUILT])


def dump(file: Path) -> Iterator[str]:
    """The SQL that makes the store again, its version too."""
    with closing(sqlite3.connect(file)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        yield from db.iterdump()
        yield f"PRAGMA user_version = {version};"


def load(sql: Path, folder: Path) -> None:
    """Make the store in a folder that is not there yet."""
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / FILE)) as db:
        db.executescript(sql.read_text(encoding="utf-8"))


def write(name: str) -> Iterator[Path]:
    """Write the file of each case."""
    for kind, case in CASES.items():
        with TemporaryDirectory() as folder:
            asyncio.run(first_half(Path(folder) / "store", case))
            file = HERE / f"{name}.{kind}.sql"
            file.write_text("\n".join(dump(Path(folder) / "store" / FILE)) + "\n", encoding="utf-8")
            yield file


if __name__ == "__main__":
    for written in write(sys.argv[1]):
        print(written.relative_to(TESTS.parent), written.stat().st_size)
