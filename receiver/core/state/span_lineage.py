"""Which session a task call started, by an agent's own spans (docs/contract.md 6.3: stated, not inferred). Between a
session's call and the spans of its child lie spans that name neither.

Of each such span its parent and its session are kept: facts that merge in any order. A child's span or record below a
call states the link as soon as the chain between them is complete. A chain ends at the first task call above, so that a
grandchild belongs to its own caller. All spans of one process are in one trace (docs/producers.md: OpenCode 1.18), so
the trace alone shows nothing, and a chain is looked up span by span.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import msgspec

from receiver.events import AnyEvent, ChildEvent, Discarded, LineageEvent

MAX_SPANS_BELOW_CALL = 10_000  # that are searched: a child's turn has two for each of its calls

_Source = TypeVar("_Source")


class Kin(msgspec.Struct, frozen=True, gc=False):
    """What is known of one span: its parent, and either the task call that it is, with its session, or the session that
    a record in it names. A span is identified by its trace's id and its own."""

    parent: bytes = b""
    session: str = ""
    call: str = ""

    def merged(self, other: Kin) -> Kin:
        """Both together; a call names its session more reliably than a record that was written in it."""
        call, session = max((self.call, self.session), (other.call, other.session))
        return Kin(max(self.parent, other.parent), session, call)


class Lineage:
    """Spans in memory. The pipeline fills it from the store and reads off it what is `new`; offline it holds all."""

    def __init__(self) -> None:
        self.spans: dict[bytes, Kin] = {}
        self.new: set[bytes] = set()
        self._below: dict[bytes, set[bytes]] = {}

    def put(self, span: bytes, kin: Kin) -> bool:
        """Add a span that was loaded, or merge what a record states about one; True if anything is new."""
        known = self.spans.get(span)
        merged = kin if known is None else known.merged(kin)
        if merged == known:
            return False
        self.spans[span] = merged
        if known is not None and known.parent != merged.parent:
            self._below.get(known.parent, set()).discard(span)
        if merged.parent:
            self._below.setdefault(merged.parent, set()).add(span)
        return True

    def expand(
        self, events: Iterable[tuple[_Source, AnyEvent]], load: Callable[[LineageEvent], None] | None = None
    ) -> Iterator[tuple[_Source, AnyEvent]]:
        """The events, with the links that spans state in place of the spans. `load` loads what lies above a span and,
        where that is a call, below it."""
        for source, event in events:
            if not isinstance(event, LineageEvent):
                yield source, event
                continue
            if load is not None:
                load(event)
            for link in self.take(event):
                yield source, link

    def take(self, event: LineageEvent) -> Iterator[ChildEvent | Discarded]:
        """Merge what a record states about a span; the links that it completes."""
        if not self.put(event.span, Kin(event.parent, event.session, event.call)):
            return
        self.new.add(event.span)
        kin = self.spans[event.span]
        above, _ = self.climb(kin.parent)
        if above is not None:
            yield from self._links(above, [event.span])
        if kin.call:
            yield from self._links(kin, self.below(event.span))

    def climb(self, span: bytes) -> tuple[Kin | None, bytes]:
        """From a span upwards: the first task call, or else the span at which the chain breaks off (b'': a cycle)."""
        seen: set[bytes] = set()
        while span not in seen:
            kin = self.spans.get(span)
            if kin is None:
                return None, span
            if kin.call:
                return kin, b""
            seen.add(span)
            span = kin.parent
        return None, b""

    def below(self, span: bytes) -> list[bytes]:
        """The spans in memory that name this one as their parent."""
        return sorted(self._below.get(span, ()))

    def _links(self, call: Kin, spans: list[bytes]) -> Iterator[ChildEvent | Discarded]:
        """The sessions of these spans and of those below, down to the next task calls."""
        seen: set[bytes] = set()
        children: set[str] = set()
        while spans:
            if len(seen) == MAX_SPANS_BELOW_CALL:
                yield Discarded(reason="too_many_spans")
                break
            span = spans.pop()
            kin = self.spans.get(span)
            if kin is None or span in seen:
                continue
            seen.add(span)
            children.add(kin.session)
            if not kin.call:
                spans.extend(self.below(span))
        for child in sorted(children - {"", call.session}):
            yield ChildEvent(session=call.session, call=call.call, child=child)
