"""What one advance of the builder gave: spans to send, and what the store, the metrics and the log must know of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from receiver.model import Span

# what an inferred edge leads to, and whether the times decided it or several answers fit, so that none was given
TO_SESSION, TO_CALL = "parent_session", "task_call"
DECIDED, AMBIGUOUS = "decided", "ambiguous"


@dataclass(slots=True)
class Outcome:
    """What one look at some trees gave. `deadlines` (ns) say when to look at a session again; None: never. `edges` are
    those of children that nobody states: what they lead to, and whether that was decided. `stopped`: the look emitted
    as many spans as it may, and there is more."""

    spans: list[Span] = field(default_factory=list)
    discards: Counter[str] = field(default_factory=Counter)
    inferred: Counter[str] = field(default_factory=Counter)
    edges: Counter[tuple[str, str]] = field(default_factory=Counter)
    deadlines: dict[str, int | None] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    stopped: bool = False
