"""A tree as it would be built now, on a copy: nothing is emitted, and the real state does not change.

Of emitted spans the store remembers enough to recognize them (EmittedRecord in core/state/items.py). They are put back
into the copy with that much, so that a person sees the whole tree and not only what is unfinished.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from receiver import semconv as sc
from receiver.core.builder import Builder
from receiver.core.emission.item_spans import UNKNOWN_USAGE, USAGE_FACTS
from receiver.core.state.emitted import EmittedItems
from receiver.core.state.forest import Forest
from receiver.core.state.ids import item_span_id
from receiver.core.state.items import EmittedRecord, Item, ItemKind, Registers
from receiver.core.state.session import Activity, Session, has_open_content, merge_activity
from receiver.core.state.settings import BuilderSettings
from receiver.core.state.stored import decode_session, encode_session
from receiver.events import EXACT
from receiver.model import AttributeValue, Span
from receiver.pipeline.session_cache import SessionCache


@dataclass(frozen=True, slots=True)
class Preview:
    """The spans of one tree, and the ids of those that were emitted."""

    spans: list[Span]
    emitted: list[bytes]


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a tree, and of the sessions from which its place may have to be inferred."""

    forest: Forest
    root: str


def copy_tree(cache: SessionCache, session: str) -> Copy | None:
    """The whole tree that a session is in; None if the session is not known. To be called in the cache's thread."""
    cache.load_trees([session])
    if cache.forest.get(session) is None:
        return None
    root = cache.forest.root_of(session).id
    return Copy(_copy(cache.forest, root), root)


def preview(copy: Copy, settings: BuilderSettings) -> Preview:
    """Build a copy, once: it is changed by that. In any thread."""
    before = {session.id: len(session.closed) for session in copy.forest.sessions.values()}
    emitted = _put_back(copy.forest, copy.root, settings)
    reopened = {s.id for s in copy.forest.sessions.values() if len(s.closed) < before[s.id]}
    outcome = Builder(settings).advance(copy.forest, [copy.root], None)
    spans = [_without_reason(span) if _session_of(span) in reopened else span for span in outcome.spans]
    return Preview(spans, [s.span_id for s in spans if s.span_id in emitted])


def _session_of(span: Span) -> AttributeValue | None:
    return next((value for key, value in span.attributes if key == sc.SESSION_ID), None)


def _without_reason(span: Span) -> Span:
    """Why an emitted session closed is not remembered, unless a record stated it (deleted, archived, an error)."""
    kept = tuple(one for one in span.attributes if one not in ((sc.END_REASON, "idle"), (sc.END_REASON, "inactive")))
    return replace(span, attributes=kept)


def _copy(forest: Forest, root: str) -> Forest:
    copy = Forest()
    for session in _needed(forest, root):
        copy.put(decode_session(encode_session(session)), forest.emitted_of(session.id).copy())
    copy.servers = {producer: set(names) for producer, names in forest.servers.items()}
    return copy


def _needed(forest: Forest, root: str) -> Iterable[Session]:
    """The tree, and where its place or its origin must be inferred, the other sessions of its producer."""
    top = forest.sessions[root]
    tree = list(forest.below(root))
    if (top.is_stated_root or top.closed) and not any(s.history for s in tree):
        return tree
    ids = {s.id for s in tree}
    others = (s for s in forest.sessions.values() if s.producer == top.producer and s.id not in ids)
    return [*tree, *others]


def _put_back(copy: Forest, root: str, settings: BuilderSettings) -> set[bytes]:
    """Put back what was emitted of the open trace, or of the last one if none is open; the ids of its spans."""
    top = copy.sessions[root]
    ids: set[bytes] = set()
    if not has_open_content(top) and top.closed:
        _reopen(top, len(top.closed) - 1, settings)
    elsewhere = {c.trace for c in top.closed}
    for session in copy.sessions.values():
        at = next((i for i, c in enumerate(session.closed) if c.trace not in elsewhere), len(session.closed))
        if session.id != root:
            _reopen(session, at, settings)
        ids.update(_put_items_back(session, copy.emitted_of(session.id)))
    top.spans = max(0, top.spans - len(ids))  # they are counted again, and none must roll over
    return ids


def _reopen(session: Session, at: int, settings: BuilderSettings) -> None:
    """Make the last segments of a session, from the one at an index on, open ones again."""
    for closed in session.closed[at:]:
        rest = Activity(start=closed.start, end=closed.end, idle=closed.end, work=True)
        merge_activity(session.activities, rest, settings.joint)
    session.closed = session.closed[:at]


def _put_items_back(session: Session, emitted: EmittedItems) -> Iterable[bytes]:
    for key, record in list(emitted.spans()):
        closed = any(c.start <= record.start <= c.end for c in session.closed)
        if key.kind is not ItemKind.MARKER and not closed:
            session.items(key.kind)[key.id] = Item(key.id, _facts(key.kind, record), kind=key.kind)
            emitted.remove(key)
            yield item_span_id(key.kind, session.id, key.id)
    for item in session.permissions.values():
        _name_call(item, session.calls.values())


def _name_call(permission: Item, calls: Iterable[Item]) -> None:
    """The call that asked for an emitted permission is not remembered: the only one around it, if there is one."""
    around = [c.id for c in calls if c.start <= permission.start and permission.end <= (c.end or permission.end)]
    if not permission.get("call") and len(around) == 1:
        permission.facts["call"] = (EXACT, around[0])


def _facts(kind: ItemKind, record: EmittedRecord) -> Registers:
    facts: dict[str, object] = {"start": record.start, "end": record.end}
    if kind is ItemKind.CALL:
        facts |= {"tool": record.label, "child": record.child, "status": "error" if record.failed else "completed"}
    if kind is ItemKind.REQUEST:
        facts["error_type"] = record.label
        facts |= {f: v for f, v in zip(USAGE_FACTS, record.usage, strict=False) if v != UNKNOWN_USAGE}
    return {field: (EXACT, value) for field, value in facts.items() if value != ""}
