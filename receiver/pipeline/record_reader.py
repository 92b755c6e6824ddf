"""Evidence: a request's records become events, each read by the first dialect that knows it. Every record is counted,
as used or as discarded for a named reason (contract 7.5); none can stop the others.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from receiver.codec.decode import REMEMBERED, Envelope, log_records, metric_points, span_records
from receiver.core.apply_events import Source
from receiver.dialects.shared import traceparent
from receiver.dialects.shared.fields import to_json
from receiver.dialects.table import DIALECTS, Dialect
from receiver.events import AnyEvent, Discarded, LineageEvent
from receiver.model import LogRecord, MetricPoint, Request, Resource, Signal, SpanRecord

Record: TypeAlias = LogRecord | MetricPoint | SpanRecord
Readers: TypeAlias = Sequence[tuple[Dialect, Callable[..., Sequence[AnyEvent] | None]]]

# what tells one producer's process from another's, of what the plugins send
_SCOPE = 100  # characters of a name that goes to the log
PRODUCER = ("service.name", "service.instance.id", "host.id", "host.name", "process.pid", "opencode.directory")


@dataclass(slots=True)
class ReadResult:
    """What one request told. `used` and `discarded` add up to its records; `events` counts `told` by dialect and class.
    `unknown` is the scope of a log record or metric point that no dialect knows. `untouched` are the spans that no
    dialect knows or that only tell whom others belong to, `known` the others, both as they came."""

    signal: Signal = "logs"
    told: list[tuple[Source, AnyEvent]] = field(default_factory=list)
    used: Counter[str] = field(default_factory=Counter)
    discarded: Counter[str] = field(default_factory=Counter)
    events: Counter[tuple[str, type]] = field(default_factory=Counter)
    unknown: str | None = None
    untouched: list[tuple[Envelope, bytes]] = field(default_factory=list)
    known: list[tuple[Envelope, bytes]] = field(default_factory=list)

    def to_hand_on(self, adopt_spans: bool) -> list[tuple[Envelope, bytes]]:
        """The spans that go on as they came: those that nobody knows, and the known ones unless they are adopted."""
        return self.untouched if adopt_spans else self.untouched + self.known


def _names(raw: bytes, attributes: tuple[str, ...]) -> tuple[str, str]:
    producer = hashlib.blake2b("\x00".join(attributes).encode(), digest_size=8).hexdigest()
    return producer, hashlib.blake2b(raw, digest_size=6).hexdigest()


_remembered_names = lru_cache(maxsize=1024)(_names)


def _source(resource: Resource, dialect: Dialect, arrival: int) -> Source:
    told = (resource.attributes.get(name) or "" for name in PRODUCER)
    attributes = (*(v if isinstance(v, str) else to_json(v) for v in told), *filter(None, (dialect.agent,)))
    names = _remembered_names if len(resource.raw) <= REMEMBERED else _names
    producer, key = names(resource.raw, attributes)
    return Source(producer, key, resource.raw, dialect.wait, arrival)


class RecordReader:
    """Reads requests. `content` are the words of `capture_content`."""

    def __init__(self, content: frozenset[str], dialects: Sequence[Dialect] = DIALECTS) -> None:
        self._content = content
        self._logs = [(d, d.logs) for d in dialects if d.logs]
        self._metrics = [(d, d.metrics) for d in dialects if d.metrics]
        self._spans = [(d, d.spans) for d in dialects if d.spans]
        self._sources: dict[tuple[bytes, str, int], Source] = {}
        self._of_resources: dict[bytes, str | None] = {}  # the remote parent that each resource of a request states

    def read(self, request: Request, arrival: int) -> ReadResult:
        """What a request tells. `arrival` is the receiver's clock (ns)."""
        evidence = ReadResult(request.signal)
        self._sources.clear()
        self._of_resources.clear()
        if request.signal == "logs":
            self._all(evidence, log_records(request.body), self._logs, arrival)
        elif request.signal == "metrics":
            self._all(evidence, metric_points(request.body), self._metrics, arrival)
        else:
            for span, envelope in span_records(request.body):
                before = len(evidence.told)
                dialect = self._one(evidence, span, self._spans, arrival)
                adopted = dialect is not None and (dialect.adopts or not _is_only_lineage(evidence.told[before:]))
                (evidence.known if adopted else evidence.untouched).append((envelope, span.raw))
        return evidence

    def _all(self, evidence: ReadResult, records: Iterable[Record], dialects: Readers, arrival: int) -> None:
        for record in records:
            self._one(evidence, record, dialects, arrival)

    def _one(
        self,
        evidence: ReadResult,
        record: Record,
        dialects: Readers,
        arrival: int,
    ) -> Dialect | None:
        """Read a record. Returns the dialect that recognized it."""
        for dialect, read in dialects:
            try:
                told = read(record, self._content)
            except Exception:
                evidence.discarded["internal_error"] += 1
                return dialect
            if told is not None:
                self._count(evidence, dialect, told, record, arrival)
                return dialect
        if evidence.signal == "traces":
            evidence.discarded["handed_on"] += 1
        else:
            evidence.discarded["unknown_record"] += 1
            evidence.unknown = record.scope.name[:_SCOPE]
        return None

    def _count(
        self, evidence: ReadResult, dialect: Dialect, told: Sequence[AnyEvent], record: Record, arrival: int
    ) -> None:
        events = list(_useful(told))
        if not events:
            otherwise = "adopted" if dialect.adopts and evidence.signal == "traces" else "not_of_the_tree"
            reason = next((t.reason for t in told if isinstance(t, Discarded)), otherwise)
            evidence.discarded[reason] += 1
            return
        evidence.used[dialect.name] += 1
        if (remote := self._remote_parent(events, record)) is not None:
            events.append(remote)
        resource = record.resource
        key = (resource.raw, dialect.name, arrival)
        source = self._sources.get(key)
        if source is None:
            source = self._sources[key] = _source(resource, dialect, arrival)
        for event in events:
            evidence.told.append((source, event))
            evidence.events[dialect.name, type(event)] += 1

    def _remote_parent(self, events: Iterable[AnyEvent], record: Record) -> AnyEvent | None:
        """The remote parent of the session that a record is of, whichever dialect knows the record."""
        raw = record.resource.raw
        if raw not in self._of_resources:
            self._of_resources[raw] = traceparent.of_resource(record.resource)
        session = next((s for event in events if (s := getattr(event, "session", ""))), "")
        return traceparent.remote_parent_event(record, session, self._of_resources[raw]) if session else None


def _is_only_lineage(told: Sequence[tuple[Source, AnyEvent]]) -> bool:
    """Whether a span is none that is built again."""
    return bool(told) and all(isinstance(event, LineageEvent) for _, event in told)


def _useful(told: Iterable[AnyEvent]) -> Iterator[AnyEvent]:
    return (t for t in told if not isinstance(t, Discarded))
