"""The result of one advance of the builder: spans to send, and what the store, the metrics and the log must know."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from receiver.model import Span

# what an inferred edge leads to; and whether the times decided it, or several answers fit, so that there is none
TO_SESSION, TO_CALL = "parent_session", "task_call"
DECIDED, AMBIGUOUS = "decided", "ambiguous"


@dataclass(slots=True)
class Outcome:
    """The result of one look at some trees. `deadlines` (ns) say when to look at a session again; None: never. `edges`
    counts the inferred links of children: what they lead to, and whether that was decided. `stopped`: the look emitted
    as many spans as it may, and there is more."""

    spans: list[Span] = field(default_factory=list)
    discards: Counter[str] = field(default_factory=Counter)
    inferred: Counter[str] = field(default_factory=Counter)
    edges: Counter[tuple[str, str]] = field(default_factory=Counter)
    deadlines: dict[str, int | None] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    stopped: bool = False
