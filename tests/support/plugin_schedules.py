"""Random schedules of agent sessions as opencode-plugin-otel reports them: several root sessions of one process,
parallel and nested tasks, tasks of equal length, failed children, background tasks, resumed children.

A schedule records which call started each child session, so that `judge` can count links found and wrong links. Skews
are the ones measured on an idle machine (receiver/core/linking/task_links.py), multiplied by `load`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random

from receiver.core.apply_events import Source
from receiver.core.state.settings import MILLISECOND, BuilderSettings
from receiver.dialects.opencode import plugin_otel
from receiver.dialects.table import MAX_SIGNAL_DELAY
from receiver.events import AnyEvent, Discarded
from receiver.model import LogRecord, Resource, Scope, Span
from tests.support.core_runs import batch
from tests.support.factories import NOON, session_id

PROFILES = (
    "devtheops",
    "claude-code profile",
    "gcornut",
    "gcornut, names redacted",
    "gcornut, claude-code profile",
)
_PLUGIN = Source(producer="plugin", key="k1", resource=b"", wait=MAX_SIGNAL_DELAY, arrival=0)
_AGENTS = ("general", "explore")
_SCOPES = {
    "devtheops": "com.opencode",
    "claude-code profile": "com.opencode.claude_code_compat",
    "gcornut": "com.opencode.telemetry.events",
    "gcornut, names redacted": "com.opencode.telemetry.events",
    "gcornut, claude-code profile": "com.anthropic.claude_code.events",
}


@dataclass
class Schedule:
    """What happened (`makers`: child session -> the calls that ran it, as (session, start, end) in ns as they are
    reported), and the records that tell of it."""

    records: list[LogRecord] = field(default_factory=list)
    makers: dict[str, list[tuple[str, int, int]]] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)


@dataclass
class Play:
    """Plays one schedule. Times in it are ms after NOON."""

    random: Random
    profile: str
    load: float = 1.0
    lost: float = 0.0
    depth: int = 2
    schedule: Schedule = field(default_factory=Schedule)
    _sessions: int = 0

    def run(self, roots: int) -> Schedule:
        """Several users' sessions that begin within two seconds, of up to three turns each."""
        for _ in range(roots):
            self._root(self.random.uniform(0, 2_000))
        kept = [r for r in self.schedule.records if self.random.random() >= self.lost]
        self.schedule.records = kept
        return self.schedule

    def _root(self, at: float) -> None:
        session = self._session(at)
        self._created(session, at, None, "")
        children: list[tuple[str, str]] = []
        for turn in range(self.random.randint(1, 3)):
            trace = self.random.getrandbits(128).to_bytes(16, "big")
            self._prompt(session, at, "build", False, trace)
            at = self._step(session, at + 20, "build", False, trace)
            at = self._tasks(session, at, 0, trace, children)
            if turn and children and self.random.random() < 0.3:
                at = self._resume(session, at, self.random.choice(children), trace)
            at = self._step(session, at, "build", False, trace)
            self._idle(session, at)
            at += self.random.uniform(200, 3_000)

    def _tasks(self, session: str, at: float, depth: int, trace: bytes, made: list[tuple[str, str]]) -> float:
        """Tasks of one message, side by side; the same work takes about as long."""
        count = self.random.choice((1, 1, 2, 2, 3, 4))
        alike = self.random.random() < 0.3
        work = self.random.uniform(300, 4_000)
        ends = []
        for _ in range(count):
            at += self.random.uniform(9, 25) * self.load
            lasts = work + self.random.gauss(0, 15) if alike else self.random.uniform(300, 5_000)
            ends.append(self._task(session, at, max(lasts, 100), depth, trace, made))
        return max(ends) + 5

    def _task(
        self, session: str, at: float, lasts: float, depth: int, trace: bytes, made: list[tuple[str, str]]
    ) -> float:
        agent, named = self.random.choice(_AGENTS), f"part {self.random.randint(1, 3)}"
        created = at + self.random.uniform(-25, 31) * self.load
        child = self._session(created)
        self.schedule.parents[child] = session
        made.append((child, agent))
        self._created(child, created, agent, named)
        self._prompt(child, created + self.random.uniform(8, 60) * self.load, agent, True, trace)
        background = depth == 0 and self.random.random() < 0.05
        failed = not background and self.random.random() < 0.1
        inside = created + 70 * self.load
        if depth + 1 < self.depth and self.random.random() < 0.3:
            inside = self._tasks(child, inside, depth + 1, trace, [])
        end = self._step(child, inside, agent, True, trace, max(lasts, 50))
        if failed:
            self._idle(child, end)
            end += self.random.uniform(100, 600)
        self._idle(child, end)
        ended = at + self.random.uniform(3, 25) * self.load if background else end + self._lag()
        self._done(session, at, ended, child, agent, named, failed, trace)
        return ended

    def _resume(self, session: str, at: float, child: tuple[str, str], trace: bytes) -> float:
        name, agent = child
        self._prompt(name, at + self.random.uniform(13, 91) * self.load, agent, True, trace)
        end = self._step(name, at + 100 * self.load, agent, True, trace, self.random.uniform(300, 3_000))
        self._idle(name, end)
        ended = end + self._lag()
        self._done(session, at, ended, name, agent, "", False, trace)
        return ended + 5

    def _lag(self) -> float:
        return min(self.random.expovariate(1 / 6), 37) * self.load

    # what is told of it

    def _session(self, created: float) -> str:
        self._sessions += 1
        return session_id(created / 1_000, self._sessions)

    def _tell(self, name: str, session: str, time: float, emitted: float, trace: bytes, **told: object) -> None:
        attributes = {"event.name": name, "session.id": session, "project.id": "p1", **told}
        scope = Scope(_SCOPES[self.profile])
        at, observed = _ns(time), _ns(emitted)
        body = f"claude_code.{name}" if "claude" in self.profile else name
        record = LogRecord(Resource({}), scope, at, observed, "", attributes, body, trace)
        self.schedule.records.append(record)

    def _created(self, session: str, at: float, agent: str | None, named: str) -> None:
        if self.profile == "devtheops":
            self._tell("session.created", session, at, at + 5, b"", is_subagent=agent is not None)
        elif self._is_gcornut and self.profile != "gcornut, claude-code profile":
            title = f"{named} (@{agent} subagent)" if agent else "a title"
            late = at + self.random.uniform(10, 18) * self.load
            self._tell("session.created", session, late, late, b"", **{"session.title": title})

    def _prompt(self, session: str, at: float, agent: str, child: bool, trace: bytes) -> None:
        told = {"agent.type": "subagent" if child else "primary"} if self.profile == "claude-code profile" else {}
        self._tell("user_prompt", session, at, at, b"", agent=agent, **told)

    def _step(
        self, session: str, at: float, agent: str, child: bool, trace: bytes, lasts: float | None = None
    ) -> float:
        """Model requests, one after the other."""
        lasts = lasts if lasts is not None else self.random.uniform(50, 400)
        parts = self.random.randint(1, 3)
        told = {"agent.type": "subagent" if child else "primary"} if self.profile == "claude-code profile" else {}
        for _ in range(parts):
            end = at + lasts / parts
            time = at if self.profile == "devtheops" else end
            self._tell("api_request", session, time, end + 2, self._context(trace), duration_ms=end - at, **told)
            if self.random.random() < 0.4:
                self._bash(session, at, lasts / parts, trace)
            at = end + 1
        return at + self.random.uniform(0, 5)

    def _idle(self, session: str, at: float) -> None:
        if self.profile == "devtheops":
            self._tell("session.idle", session, at, at, b"")

    def _done(
        self, session: str, start: float, end: float, child: str, agent: str, named: str, failed: bool, trace: bytes
    ) -> None:
        measured = start - self.random.uniform(12, 30) if self._is_gcornut else start
        first, last = _ns(measured), _ns(end)
        self.schedule.makers.setdefault(child, []).append((session, first, last))
        if failed and self._is_gcornut:
            return  # OpenCode does not call its hook
        told: dict[str, object] = {
            "tool_name": self._name("task"),
            "success": not failed,
            "duration_ms": (last - first) / 1e6,
        }
        if failed:
            told["error"] = "ToolError (message_length=40)"
        if self.profile == "gcornut" and named:
            told["tool_args"] = json.dumps({"description": named, "subagent_type": agent})
        time = measured if self.profile == "devtheops" else end
        self._tell("tool_result", session, time, end + 2, self._context(trace), **told)

    @property
    def _is_gcornut(self) -> bool:
        return self.profile.startswith("gcornut")

    def _name(self, tool: str) -> str:
        if self.profile == "gcornut, claude-code profile":
            return tool.capitalize()
        return "redacted" if self.profile == "gcornut, names redacted" else tool

    def _bash(self, session: str, at: float, lasts: float, trace: bytes) -> None:
        start, end = at + lasts * self.random.uniform(0.1, 0.5), at + lasts * self.random.uniform(0.6, 0.95)
        time = start if self.profile == "devtheops" else end
        told = {"tool_name": self._name("bash"), "success": True, "duration_ms": end - start}
        self._tell("tool_result", session, time, end + 2, self._context(trace), **told)

    def _context(self, trace: bytes) -> bytes:
        return trace if self.profile == "claude-code profile" else b""


def _ns(ms: float) -> int:
    return NOON + round(ms) * MILLISECOND  # JavaScript's clock


def told_of(records: Iterable[LogRecord]) -> Iterator[tuple[Source, AnyEvent]]:
    """What records tell, by the dialect."""
    for record in records:
        for event in plugin_otel.logs(record, frozenset()) or ():
            if not isinstance(event, Discarded):
                yield _PLUGIN, event


def judge(schedule: Schedule, spans: Iterable[Span]) -> Counter[str]:
    """How many child sessions hang below their call (`right`), below their session only (`loose`), nowhere (`alone`),
    or where they don't belong (`wrong`); and how many there are whose call was told (`all`)."""
    found: Counter[str] = Counter()
    by_id = {s.span_id: s for s in spans}
    firsts: dict[str, Span] = {}
    for span in sorted(by_id.values(), key=lambda s: s.start):
        if span.name.startswith("invoke_agent"):
            firsts.setdefault(str(dict(span.attributes)["session.id"]), span)
    told = {(str(dict(s.attributes)["session.id"]), s.start, s.end) for s in by_id.values()}
    for child, makers in schedule.makers.items():
        if child not in firsts:
            continue
        found["all"] += makers[0] in told
        up = by_id.get(firsts[child].parent_span_id)
        if up is None:
            found["alone"] += makers[0] in told
            continue
        session = str(dict(up.attributes)["session.id"])
        if (session, up.start, up.end) in makers and up.name.startswith("execute_tool"):
            found["right"] += 1
        elif up.name.startswith("invoke_agent") and session == schedule.parents[child]:
            found["loose"] += makers[0] in told
        else:
            found["wrong"] += 1
    return found


def play(seed: int, profile: str, load: float, lost: float = 0.0, roots: int = 3) -> Counter[str]:
    """Play one schedule, build it, and judge."""
    schedule = Play(Random(seed), profile, load, lost).run(roots)
    return judge(schedule, batch(told_of(schedule.records), BuilderSettings()).spans)
