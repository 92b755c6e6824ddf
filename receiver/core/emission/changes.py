"""Changes: the frozen values that planning yields, each of them one complete step. Planning writes nothing; apply.py
carries a change out, and planning goes on from what is then the state. Applying may stop between two changes.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from receiver.core.segmentation.segment import Segment
from receiver.core.segmentation.tree_segments import Placement
from receiver.core.state.items import EmittedRecord, Item, Registers
from receiver.core.state.session import Closed, Session
from receiver.events import Plain
from receiver.model import Span

# places and reports


class LifetimeFound(msgspec.Struct, frozen=True, gc=False):
    """A session that only metrics report was active at these times (ns)."""

    session: Session
    times: tuple[int, ...]


class RootFound(msgspec.Struct, frozen=True, gc=False):
    """No record states that a session is a child: it is a root."""

    session: Session


class ParentFound(msgspec.Struct, frozen=True, gc=False):
    """A session is the child of another one, by its times."""

    session: Session
    parent: str


class ChildFound(msgspec.Struct, frozen=True, gc=False):
    """A call that was only counted started a child. `facts` are what is known of the call by that."""

    session: Session
    call: Item
    facts: Registers


class ReportMatched(msgspec.Struct, frozen=True, gc=False):
    """A report is about a call that is known, pending or emitted."""

    session: Session
    report: str
    call: str


class ReportUnmatched(msgspec.Struct, frozen=True, gc=False):
    """A report stands for a call of its own."""

    session: Session
    report: str
    call: Item


class HintMatched(msgspec.Struct, frozen=True, gc=False):
    """A hint is about a pending call; `facts` are what nothing else states about it."""

    session: Session
    hint: str
    call: str
    facts: dict[str, Plain]


class ItemMoved(msgspec.Struct, frozen=True, gc=False):
    """A call or request of a session was an agent's, which shares its id."""

    session: Session
    item: Item
    agent: Session


class PartMatched(msgspec.Struct, frozen=True, gc=False):
    """A part of a call, told of in a session that shares its id, belongs to a pending call of `owner`."""

    session: Session
    part: Item
    owner: Session
    call: Item


class CallCounted(msgspec.Struct, frozen=True, gc=False):
    """A call that only a metric counted."""

    session: Session
    call: Item


# emissions


class PinnedPlacement(msgspec.Struct, frozen=True, gc=False):
    """A span is emitted, or a link to one, that begins at `start` (ns): the segments above it stay what they are."""

    placement: Placement
    start: int


class AnswerDue(msgspec.Struct, frozen=True, gc=False):
    """A request is about to be emitted whose start only the order of its session's attempts can tell."""

    session: Session
    request: Item


class ItemDiscarded(msgspec.Struct, frozen=True, gc=False):
    """A pending item gets no span. `reason` is one of semconv.DISCARDS."""

    session: Session
    item: Item
    reason: str


class ItemEmitted(msgspec.Struct, frozen=True, gc=False):
    """A pending item's span is emitted, and `record` is what is remembered of it."""

    session: Session
    item: Item
    span: Span
    placement: Placement
    record: EmittedRecord


class MarkerDue(msgspec.Struct, frozen=True, gc=False):
    """Whether a marker announces a session (`call` is None) or a task call is decided: no look asks again, but where
    the session has no segment yet."""

    session: Session
    call: Item | None
    has_segment: bool = True


class MarkerEmitted(msgspec.Struct, frozen=True, gc=False):
    """A live marker is emitted. `start_guessed` (ns) is the session's beginning, where it was read out of its id."""

    session: Session
    id: str
    span: Span
    placement: Placement
    start_guessed: int | None


class AwaitedCall(msgspec.Struct, frozen=True, gc=False):
    """A session's span names the span of a pending call, as its parent or in a link: that one must be emitted too, in
    this place, and name the child, however long after it."""

    session: Session
    call: Item
    placement: Placement
    child: str


class SegmentEmitted(msgspec.Struct, frozen=True, gc=False):
    """The span of a session's segment is emitted. `edge` counts an inferred edge: what it leads to, and whether it was
    decided."""

    session: Session
    span: Span
    closed: Closed
    inferred: tuple[str, ...]
    pinned: tuple[PinnedPlacement, ...]
    awaited: AwaitedCall | None = None
    edge: tuple[str, str] | None = None


class SegmentRolled(msgspec.Struct, frozen=True, gc=False):
    """An emitted segment was cut off by a roll-over or by the session's next turn: its records are not needed any more.
    `series` is what the session's metrics had counted by then."""

    session: Session
    segment: Segment
    series: tuple[tuple[str, EmittedRecord], ...]


class SessionClosed(msgspec.Struct, frozen=True, gc=False):
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
    | AnswerDue
    | ItemDiscarded
    | ItemEmitted
    | MarkerDue
    | MarkerEmitted
    | SegmentEmitted
    | SegmentRolled
    | SessionClosed
)
