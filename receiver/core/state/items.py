"""Items: the calls, requests and permissions of a session, before their spans are emitted and after.

A pending item is facts, merged. Merging is commutative, associative and idempotent, so that neither the order nor the
repetition of records can matter. A *register* holds one fact as (rank, value): the lower rank wins, and among equals
the larger value (the smaller for times at which something began).

An emitted item is a record of what must be remembered of it. The store keeps each record under a text, `kind:id`; only
ItemKey knows that form.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Any, NamedTuple, TypeAlias

import msgspec

from receiver.events import Plain

Registers: TypeAlias = dict[str, tuple[int, Any]]
EARLIEST = frozenset({"start", "asked", "created"})


def learn(registers: Registers, field: str, rank: int, value: Plain) -> bool:
    """Merge one fact; True if it is news."""
    old = registers.get(field)
    if old is not None:
        if old[0] < rank or old == (rank, value):
            return False
        if old[0] == rank and (value > old[1]) == (field in EARLIEST):
            return False
    registers[field] = (rank, value)
    return True


class ItemKind(StrEnum):
    """What an item is. The values are the store's, and part of the ids of spans."""

    CALL = "call"
    REQUEST = "request"
    PERMISSION = "permission"
    REPORT = "report"  # of a finished call, without its id: pending only
    MARKER = "marker"  # a live marker, which is a span of its own: emitted only
    SERIES = "counted"  # what a metric series had counted when its session closed: no span


class ItemKey(NamedTuple):
    """An item of a session."""

    kind: ItemKind
    id: str

    @property
    def text(self) -> str:
        """The key as the store has it."""
        return f"{self.kind.value}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> ItemKey:
        """The key of a text that the store has."""
        kind, _, id_ = text.partition(":")
        return cls(ItemKind(kind), id_)


class CallSource(Enum):
    """What a call's id is: the agent's own, or made of the facts that identify the call."""

    NAMED = 0
    REPORTED = 1  # a finished call that was reported without its id
    COUNTED = 2  # a call that only a metric counted


_SOURCES = {"~": CallSource.REPORTED, "#": CallSource.COUNTED}
_PREFIXES = {source: prefix for prefix, source in _SOURCES.items()}
UNNAMED_PREFIXES = frozenset(_SOURCES)  # of the ids that are made of facts


def call_source(call: str) -> CallSource:
    """What a call's id is made of."""
    return _SOURCES.get(call[:1], CallSource.NAMED)


def reported_call(report: str) -> str:
    """The id of the call that a report without an id stands for."""
    return _PREFIXES[CallSource.REPORTED] + report


def report_of(call: str) -> str | None:
    """The report that a call stands for, by its id; None for other calls."""
    return call[1:] if call_source(call) is CallSource.REPORTED else None


def counted_call(facts: str) -> str:
    """The id of a call that only a metric counted."""
    return _PREFIXES[CallSource.COUNTED] + facts


class Inferred(StrEnum):
    """What of a span was reconstructed, as `opencode.inferred` has it, in the order in which it lists an item's."""

    IDENTITY = "identity"
    START = "start"
    END = "end"
    DURATION = "duration"
    PARENT = "parent"
    MCP_SERVER = "mcp.server"
    END_REASON = "end_reason"


_INFERRED = tuple(Inferred)


class Item(msgspec.Struct, gc=False, rename={"id": "key"}):  # the store's name
    """A call, request, permission or report whose span is not emitted yet. `arrival` and `wait` are in ns of the
    receiver's clock: when its last record came, and how much longer than `settle` its producer's other signals may
    take. `inferred` is what of it was reconstructed. `awaited`: a child's span was emitted that names this one's as its
    parent, in `segment` (its number). For live markers: the earliest stated beginning (ns), and when the first
    record of it came (`news`, receiver's clock; 0: never, or its marker was emitted)."""

    id: str = ""
    facts: Registers = {}
    arrival: int = 0
    wait: int = 0
    awaited: bool = False
    lines: dict[str, tuple[int, int]] = {}
    earliest: int = 0
    news: int = 0
    segment: int = 0
    kind: ItemKind = ItemKind.CALL
    inferred: tuple[Inferred, ...] = ()

    def get(self, field: str) -> Any:
        """The believed value of a fact, or None."""
        fact = self.facts.get(field)
        return None if fact is None else fact[1]

    @property
    def start(self) -> int:
        """When it began (ns), or ended where no start is known."""
        fact = self.facts.get("start")
        if fact is not None and fact[1]:
            return int(fact[1])
        return int(self.get("asked") or self.get("end") or self.get("replied") or 0)

    @property
    def end(self) -> int:
        """When it ended (ns), 0 if that is not known."""
        fact = self.facts.get("end") or self.facts.get("replied")
        return int(fact[1] or 0) if fact is not None else 0

    @property
    def tool(self) -> str:
        """A call's tool, '' if that is not known."""
        return str(self.get("tool") or "")

    @property
    def failed(self) -> bool:
        """Whether a call failed."""
        return bool(self.get("status") == "error")

    def infer(self, *facts: Inferred) -> None:
        """Mark facts as reconstructed."""
        self.inferred = tuple(f for f in _INFERRED if f in facts or f in self.inferred)


class EmittedRecord(msgspec.Struct, gc=False, array_like=True):
    """What must be remembered of an item whose span was emitted: enough to know it again, to match reports of it, and
    for the totals of its session. `label` is a call's tool, or the type of a request's error; `guessed` says that
    `child` was reconstructed; `task` is what links ask of a task call besides its times (task_links.KEPT_FACTS);
    `segment` is the number of the one that an item's span is in, 0 where it is none or was not kept."""

    start: int
    end: int
    label: str = ""
    child: str = ""
    failed: bool = False
    usage: tuple[float, ...] = ()
    lines: tuple[int, int] = (0, 0)
    guessed: bool = False
    task: tuple[str, ...] = ()
    placed: bool = False
    segment: int = 0
