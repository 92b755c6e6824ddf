"""Which session a task call started, read off an agent's own spans (contract 6.3: stated, not inferred): between a
session's call and what its child did lie spans that name neither, each known only by the one above it.

Kept is, of each such span, its parent and whom it worked for: facts that merge in any order. A child's span or line
below a call states the link, as soon as the chain between them is whole. A chain ends at the first task call above, so
that a grandchild is its own caller's. Spans of one process are all in one trace (FACTS: OpenCode 1.18), so that the
trace alone tells nothing, and a chain is looked up span by span.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import msgspec

from receiver.events import AnyEvent, ChildEvent, Discarded, LineageEvent

MOST = 10_000  # spans below one call that are looked through: a child's turn has two for each of its calls

_Source = TypeVar("_Source")


class Kin(msgspec.Struct, frozen=True, gc=False):
    """What is known of one span: the span above it, and either the task call that it was, with its session, or the
    session that a record of it names. Spans go by their trace's id and their own."""

    parent: bytes = b""
    session: str = ""
    call: str = ""

    def merged(self, other: Kin) -> Kin:
        """What both say together; a call names its session better than a line that was written in it."""
        call, session = max((self.call, self.session), (other.call, other.session))
        return Kin(max(self.parent, other.parent), session, call)


class Lineage:
    """Spans at hand. The pipeline fills it from the store and reads off it what is `new`; offline it holds all."""

    def __init__(self) -> None:
        self.spans: dict[bytes, Kin] = {}
        self.new: set[bytes] = set()
        self._below: dict[bytes, set[bytes]] = {}

    def put(self, span: bytes, kin: Kin) -> bool:
        """Place a span that was loaded, or merge what is told of one; True if it is news."""
        held = self.spans.get(span)
        merged = kin if held is None else held.merged(kin)
        if merged == held:
            return False
        self.spans[span] = merged
        if held is not None and held.parent != merged.parent:
            self._below.get(held.parent, set()).discard(span)
        if merged.parent:
            self._below.setdefault(merged.parent, set()).add(span)
        return True

    def expand(
        self, told: Iterable[tuple[_Source, AnyEvent]], load: Callable[[LineageEvent], None] | None = None
    ) -> Iterator[tuple[_Source, AnyEvent]]:
        """What was told, with the links that spans state in place of the spans. `load` has at hand what lies above one
        and, where a call does, below it."""
        for source, event in told:
            if not isinstance(event, LineageEvent):
                yield source, event
                continue
            if load is not None:
                load(event)
            for link in self.take(event):
                yield source, link

    def take(self, event: LineageEvent) -> Iterator[ChildEvent | Discarded]:
        """Merge what is told of a span; the links that it completes."""
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
        """From a span upwards: the first task call, or else the span at which the chain breaks off (b'' for a ring)."""
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
        """The spans at hand that name this one as their parent."""
        return sorted(self._below.get(span, ()))

    def _links(self, call: Kin, spans: list[bytes]) -> Iterator[ChildEvent | Discarded]:
        """The sessions that these spans and those below worked for, down to the next task calls."""
        seen: set[bytes] = set()
        children: set[str] = set()
        while spans:
            if len(seen) == MOST:
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
