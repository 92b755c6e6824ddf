"""Reads a request's records into events, each record by the first dialect that knows it. Every record is counted, as
used or as discarded with a reason (docs/contract.md 7.5). A record that fails does not stop the others.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from receiver.codec.decode import MAX_CACHED_BYTES, Envelope, log_records, metric_points, span_records
from receiver.core.apply_events import Source
from receiver.dialects.shared import traceparent
from receiver.dialects.shared.fields import to_json
from receiver.dialects.table import DIALECTS, Dialect
from receiver.events import AnyEvent, Discarded, LineageEvent
from receiver.model import LogRecord, MetricPoint, Request, Resource, Signal, SpanRecord

Record: TypeAlias = LogRecord | MetricPoint | SpanRecord
Readers: TypeAlias = Sequence[tuple[Dialect, Callable[..., Sequence[AnyEvent] | None]]]

MAX_SCOPE_NAME = 100  # characters of a scope's name that go to the log
# the resource attributes, of those that the plugins send, that identify a producer's process
PRODUCER = ("service.name", "service.instance.id", "host.id", "host.name", "process.pid", "opencode.directory")


@dataclass(slots=True)
class ReadResult:
    """What one request's records became. `used` (by dialect) and `discarded` (by reason) add up to the records;
    `event_counts` counts `events` by dialect and class. `unknown_scope` is the scope name of a log record or metric
    point that no dialect knows. `foreign_spans` are spans that no dialect knows, or that give only parent ids;
    `agent_spans` are the others. Both are as they came: resource and scope, and the serialized span."""

    signal: Signal = "logs"
    events: list[tuple[Source, AnyEvent]] = field(default_factory=list)
    used: Counter[str] = field(default_factory=Counter)
    discarded: Counter[str] = field(default_factory=Counter)
    event_counts: Counter[tuple[str, type]] = field(default_factory=Counter)
    unknown_scope: str | None = None
    foreign_spans: list[tuple[Envelope, bytes]] = field(default_factory=list)
    agent_spans: list[tuple[Envelope, bytes]] = field(default_factory=list)

    def spans_to_hand_on(self, adopt_spans: bool) -> list[tuple[Envelope, bytes]]:
        """The spans that are handed on as they came: foreign spans, and agents' spans unless they are adopted."""
        return self.foreign_spans if adopt_spans else self.foreign_spans + self.agent_spans


def _hashes(raw: bytes, attributes: tuple[str, ...]) -> tuple[str, str]:
    producer = hashlib.blake2b("\x00".join(attributes).encode(), digest_size=8).hexdigest()
    return producer, hashlib.blake2b(raw, digest_size=6).hexdigest()


_cached_hashes = lru_cache(maxsize=1024)(_hashes)


def _source(resource: Resource, dialect: Dialect, arrival: int) -> Source:
    values = (resource.attributes.get(name) or "" for name in PRODUCER)
    attributes = (*(v if isinstance(v, str) else to_json(v) for v in values), *filter(None, (dialect.agent,)))
    hashes = _cached_hashes if len(resource.raw) <= MAX_CACHED_BYTES else _hashes
    producer, key = hashes(resource.raw, attributes)
    return Source(producer, key, resource.raw, dialect.wait, arrival)


class RecordReader:
    """Reads requests. `content` is the setting `capture_content`."""

    def __init__(self, content: frozenset[str], dialects: Sequence[Dialect] = DIALECTS) -> None:
        self._content = content
        self._logs = [(d, d.logs) for d in dialects if d.logs]
        self._metrics = [(d, d.metrics) for d in dialects if d.metrics]
        self._spans = [(d, d.spans) for d in dialects if d.spans]
        self._sources: dict[tuple[bytes, str, int], Source] = {}
        self._remote_parents: dict[bytes, str | None] = {}  # by raw resource, of the request that is being read

    def read(self, request: Request, arrival: int) -> ReadResult:
        """Read a request. `arrival` is the receiver's clock (ns)."""
        result = ReadResult(request.signal)
        self._sources.clear()
        self._remote_parents.clear()
        if request.signal == "logs":
            self._read_all(result, log_records(request.body), self._logs, arrival)
        elif request.signal == "metrics":
            self._read_all(result, metric_points(request.body), self._metrics, arrival)
        else:
            for span, envelope in span_records(request.body):
                before = len(result.events)
                dialect = self._read_record(result, span, self._spans, arrival)
                is_agents = dialect is not None and (dialect.adopts or not _is_only_lineage(result.events[before:]))
                spans = result.agent_spans if is_agents else result.foreign_spans
                spans.append((envelope, span.raw))
        return result

    def _read_all(self, result: ReadResult, records: Iterable[Record], dialects: Readers, arrival: int) -> None:
        for record in records:
            self._read_record(result, record, dialects, arrival)

    def _read_record(self, result: ReadResult, record: Record, dialects: Readers, arrival: int) -> Dialect | None:
        """Read a record. Returns the dialect that knows it."""
        for dialect, read in dialects:
            try:
                events = read(record, self._content)
            except Exception:
                result.discarded["internal_error"] += 1
                return dialect
            if events is not None:
                self._add(result, dialect, events, record, arrival)
                return dialect
        if result.signal == "traces":
            result.discarded["handed_on"] += 1
        else:
            result.discarded["unknown_record"] += 1
            result.unknown_scope = record.scope.name[:MAX_SCOPE_NAME]
        return None

    def _add(
        self, result: ReadResult, dialect: Dialect, found: Sequence[AnyEvent], record: Record, arrival: int
    ) -> None:
        events: list[AnyEvent] = [event for event in found if not isinstance(event, Discarded)]
        if not events:
            otherwise = "adopted" if dialect.adopts and result.signal == "traces" else "not_of_the_tree"
            reason = next((event.reason for event in found if isinstance(event, Discarded)), otherwise)
            result.discarded[reason] += 1
            return
        result.used[dialect.name] += 1
        if (remote := self._remote_parent(events, record)) is not None:
            events.append(remote)
        resource = record.resource
        key = (resource.raw, dialect.name, arrival)
        source = self._sources.get(key)
        if source is None:
            source = self._sources[key] = _source(resource, dialect, arrival)
        for event in events:
            result.events.append((source, event))
            result.event_counts[dialect.name, type(event)] += 1

    def _remote_parent(self, events: Iterable[AnyEvent], record: Record) -> AnyEvent | None:
        """The remote parent that a record states for its session, whichever dialect reads the record."""
        raw = record.resource.raw
        if raw not in self._remote_parents:
            self._remote_parents[raw] = traceparent.of_resource(record.resource)
        session = next((s for event in events if (s := getattr(event, "session", ""))), "")
        return traceparent.remote_parent_event(record, session, self._remote_parents[raw]) if session else None


def _is_only_lineage(events: Sequence[tuple[Source, AnyEvent]]) -> bool:
    """Whether a span gave only its ids: such a span is not rebuilt."""
    return bool(events) and all(isinstance(event, LineageEvent) for _, event in events)
