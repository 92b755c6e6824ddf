"""What planning yields: frozen values, each of which says one step whole. Planning writes nothing; apply.py carries a
change out, and planning goes on from what is then the state. After any change, applying may stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from receiver.core.segmentation.segment import Segment
from receiver.core.segmentation.tree_segments import Placement
from receiver.core.state.items import EmittedRecord, Item, Registers
from receiver.core.state.session import Closed, Session
from receiver.events import Plain
from receiver.model import Span

# places and reports


@dataclass(frozen=True, slots=True)
class LifetimeFound:
    """A session that only metrics tell of was alive at these times (ns)."""

    session: Session
    times: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RootFound:
    """Nothing says that a session is somebody's child."""

    session: Session


@dataclass(frozen=True, slots=True)
class ParentFound:
    """A session is the child of another one, by its times."""

    session: Session
    parent: str


@dataclass(frozen=True, slots=True)
class ChildFound:
    """A call that was only counted started a child. `facts` are what is known of the call by that."""

    session: Session
    call: Item
    facts: Registers


@dataclass(frozen=True, slots=True)
class ReportMatched:
    """A report tells of a call that is known, pending or emitted."""

    session: Session
    report: str
    call: str


@dataclass(frozen=True, slots=True)
class ReportUnmatched:
    """A report stands for a call of its own."""

    session: Session
    report: str
    call: Item


@dataclass(frozen=True, slots=True)
class HintMatched:
    """A hint means a pending call; `facts` are what nothing else says of it."""

    session: Session
    hint: str
    call: str
    facts: dict[str, Plain]


@dataclass(frozen=True, slots=True)
class ItemMoved:
    """A call or request of a session was an agent's, which shares its id."""

    session: Session
    item: Item
    agent: Session


@dataclass(frozen=True, slots=True)
class PartMatched:
    """A part of a call, told of in a session that shares its id, belongs to a pending call of `owner`."""

    session: Session
    part: Item
    owner: Session
    call: Item


@dataclass(frozen=True, slots=True)
class CallCounted:
    """A call that only a metric tells of."""

    session: Session
    call: Item


# emissions


@dataclass(frozen=True, slots=True)
class PinnedPlacement:
    """A span is emitted, or a link to one, that begins at `start` (ns): the segments above it stay what they are."""

    placement: Placement
    start: int


@dataclass(frozen=True, slots=True)
class ItemDiscarded:
    """A pending item gets no span. `reason` is one of semconv.DISCARDS."""

    session: Session
    item: Item
    reason: str


@dataclass(frozen=True, slots=True)
class ItemEmitted:
    """A pending item's span is emitted, and `record` is what is remembered of it."""

    session: Session
    item: Item
    span: Span
    placement: Placement
    record: EmittedRecord


@dataclass(frozen=True, slots=True)
class MarkerDue:
    """Whether a marker announces a session (`call` is None) or a task call is decided: no look asks again, but where
    the session has no segment yet."""

    session: Session
    call: Item | None
    has_segment: bool = True


@dataclass(frozen=True, slots=True)
class MarkerEmitted:
    """A live marker is emitted. `start_guessed` (ns) is the session's beginning, where it was read out of its id."""

    session: Session
    id: str
    span: Span
    placement: Placement
    start_guessed: int | None


@dataclass(frozen=True, slots=True)
class AwaitedCall:
    """A session's span names the span of a pending call, as its parent or in a link: that one must be emitted too, in
    this place, and name the child, however long after it."""

    session: Session
    call: Item
    placement: Placement
    child: str


@dataclass(frozen=True, slots=True)
class SegmentEmitted:
    """The span of a session's segment is emitted. `edge` counts an inferred edge: what it leads to, and whether it was
    decided."""

    session: Session
    span: Span
    closed: Closed
    inferred: tuple[str, ...]
    pinned: tuple[PinnedPlacement, ...]
    awaited: AwaitedCall | None = None
    edge: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class SegmentRolled:
    """An emitted segment was cut off by a roll-over or by the session's next turn: what was told of it is done with.
    `series` is what the session's metrics had counted by then."""

    session: Session
    segment: Segment
    series: tuple[tuple[str, EmittedRecord], ...]


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """Every segment of a session is emitted. `discards` are pairs of a reason and a number."""

    session: Session
    series: tuple[tuple[str, EmittedRecord], ...]
    discards: tuple[tuple[str, int], ...]


Change: TypeAlias = (
    LifetimeFound
    | RootFound
    | ParentFound
    | ChildFound
    | ReportMatched
    | ReportUnmatched
    | HintMatched
    | ItemMoved
    | PartMatched
    | CallCounted
    | ItemDiscarded
    | ItemEmitted
    | MarkerDue
    | MarkerEmitted
    | SegmentEmitted
    | SegmentRolled
    | SessionClosed
)
