"""The methods of the admin service: a request message in, a response message out. Each runs in the store's thread
between two steps of the pipeline, for a bounded number of rows. Knows no gRPC; server.py does.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from receiver.admin import admin_pb2 as pb
from receiver.admin.preview import Copy, copy_tree, preview
from receiver.codec.encode import spans_request
from receiver.core.linking.candidates import agent_at
from receiver.core.state.session import Session
from receiver.core.state.settings import BuilderSettings
from receiver.diagnostics.escape import printable
from receiver.errors import InputError
from receiver.exporters.sender import Failure
from receiver.pipeline.pipeline import Pipeline
from receiver.pipeline.stored_sessions import decode_session
from receiver.storage.interface import SetAsideRow, Store

DEFAULT_ROWS = 1000  # in one response, when the request has no limit
MAX_ROWS = 10_000  # in one response: the pipeline waits meanwhile
_MAX_ID = 100  # characters of an id in an error, and ids in it: the error must fit into a header
_MAX_REASON = 2048  # characters of an exporter's error, as many as the store keeps of rows set aside
_END_OF_TIME = 1 << 63  # ns


class AdminServicer:
    """The methods. `settings` are the builder's, `exporters` the names of the queues; `failures` give the present
    failure of each exporter.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        settings: BuilderSettings,
        exporters: Sequence[str],
        failures: Mapping[str, Callable[[], Failure | None]] = MappingProxyType({}),
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._exporters = tuple(exporters)
        self._failures = failures
        self._clock = clock

    async def call(self, method: str, request: Message) -> Message:
        """Call a method by its gRPC name. Raises InputError for an unknown id, UnavailableError if the store cannot be
        written."""
        methods: dict[str, Callable[[Any], Awaitable[Message]]] = {
            "ListSessions": self.list_sessions,
            "GetTree": self.get_tree,
            "Flush": self.flush,
            "QueueState": self.queue_state,
            "ListSetAside": self.list_set_aside,
            "Resend": self.resend,
        }
        return await methods[method](request)

    async def list_sessions(self, request: pb.ListSessionsRequest) -> pb.ListSessionsResponse:
        """The open sessions, the last touched first."""
        return await self._pipeline.ask(lambda _, store: _sessions(store, _limit(request.limit)))

    async def get_tree(self, request: pb.GetTreeRequest) -> pb.GetTreeResponse:
        """A session's whole tree as it would be built now. Raises InputError for an unknown session."""
        copy = await self._pipeline.ask(lambda cache, _: copy_tree(cache, request.session_id))
        if copy is None:
            raise _unknown([request.session_id])
        # neither in the store's thread nor in the event loop: a large tree takes half a second
        return await asyncio.to_thread(_tree, copy, self._settings)

    async def flush(self, request: pb.FlushRequest) -> pb.FlushResponse:
        """Close sessions with their trees. Raises InputError for unknown ids, after the others are closed."""
        named = list(request.session_ids)
        closed = await self._pipeline.flush(named or None)
        known = await self._pipeline.ask(lambda _, store: {row.id for row in store.sessions(named)})
        if missing := [s for s in named if s not in known]:
            raise _unknown(missing)
        return pb.FlushResponse(closed=closed)

    async def queue_state(self, request: pb.QueueStateRequest) -> pb.QueueStateResponse:
        """The sending queues, each with its present failure."""
        response = await self._pipeline.ask(lambda _, store: _queues(store, self._exporters))
        for queue in response.queues:
            failing = self._failures.get(queue.exporter)
            if failing is not None and (failure := failing()):
                queue.failure = failure.reason[:_MAX_REASON]
                queue.failing_since_unix_nano = failure.since
                queue.failed_attempts = failure.attempts
        return response

    async def list_set_aside(self, request: pb.ListSetAsideRequest) -> pb.ListSetAsideResponse:
        """The rows set aside, the latest first."""
        rows = await self._pipeline.ask(lambda _, store: store.set_aside_rows(_limit(request.limit)))
        return pb.ListSetAsideResponse(rows=[_set_aside(row) for row in rows])

    async def resend(self, request: pb.ResendRequest) -> pb.ResendResponse:
        """Put rows set aside back. Raises InputError for an unknown id; then no row is moved."""
        ids = list(request.ids)
        moved = await self._pipeline.ask(lambda _, store: _resend(store, ids, self._clock()))
        self._pipeline.wake()
        self._pipeline.sending_queue.watch_resent(moved)
        return pb.ResendResponse(rows=len(moved), items=sum(row.items for _, row in moved))


def _tree(copy: Copy, settings: BuilderSettings) -> pb.GetTreeResponse:
    built = preview(copy, settings)
    traces = TracesData.FromString(spans_request(built.spans))  # the same message, but for its name
    return pb.GetTreeResponse(traces=traces, left_span_ids=built.emitted)


def _unknown(sessions: Sequence[str]) -> InputError:
    names = ", ".join(printable(session[:_MAX_ID]) or "''" for session in sessions[:_MAX_ID])
    return InputError(f"session {names} is not known; `sessions` lists the open ones")


def _limit(asked: int) -> int:
    return min(asked, MAX_ROWS) if asked > 0 else DEFAULT_ROWS


def _sessions(store: Store, limit: int) -> pb.ListSessionsResponse:
    rows = store.all_open(limit)
    roots = _Roots(store, {row.id: row.parent for row in rows})
    sessions = [_session(decode_session(row.state), row.producer, roots, store) for row in rows]
    return pb.ListSessionsResponse(sessions=sessions, total=store.open_count())


def _session(session: Session, producer: str, roots: _Roots, store: Store) -> pb.Session:
    activities = session.activities
    emitted = sum(not key.startswith("counted:") for key, _ in store.emitted(session.id))
    return pb.Session(
        id=session.id,
        parent_id=session.parent or "",
        root_id=roots.of(session.id),
        state=pb.Session.STATE_IDLE if activities and session.is_resting(activities[-1]) else pb.Session.STATE_OPEN,
        start_time_unix_nano=max(0, activities[0].start) if activities else 0,
        last_activity_time_unix_nano=max(0, activities[-1].end) if activities else 0,
        open_calls=len(session.calls) + len(session.requests) + len(session.permissions) + len(session.reports),
        spans_left=emitted,
        producer=producer,
        agent=agent_at(session, _END_OF_TIME) or "",
    )


class _Roots:
    """Finds root sessions in the store; looks each session up once."""

    def __init__(self, store: Store, parents: dict[str, str | None]) -> None:
        self._store = store
        self._parents = parents

    def of(self, session: str) -> str:
        """The root of a session's tree, as far as parents are known."""
        seen, at = {session}, session
        while (up := self._parent(at)) and up not in seen:
            seen.add(up)
            at = up
        return at

    def _parent(self, session: str) -> str | None:
        if session not in self._parents:
            self._parents[session] = next((row.parent for row in self._store.sessions([session])), None)
        return self._parents[session]


def _queues(store: Store, exporters: Sequence[str]) -> pb.QueueStateResponse:
    reasons: dict[str, Counter[str]] = {}
    for row in store.set_aside_rows(DEFAULT_ROWS):
        reasons.setdefault(row.exporter, Counter())[row.reason] += 1
    # also exporters that are no longer configured, if something is set aside for them
    names = dict.fromkeys((*exporters, *sorted(reasons)))
    return pb.QueueStateResponse(queues=[_queue(store, name, reasons.get(name, Counter())) for name in names])


def _queue(store: Store, name: str, reasons: Counter[str]) -> pb.ExporterQueue:
    queued, aside = store.queue_size(name), store.set_aside_size(name)
    return pb.ExporterQueue(
        exporter=name,
        rows=queued.rows,
        items=queued.items,
        oldest_time_unix_nano=store.queue_oldest(name) or 0,
        set_aside_rows=aside.rows,
        set_aside_items=aside.items,
        set_aside_reasons=reasons,
    )


def _set_aside(row: SetAsideRow) -> pb.SetAside:
    return pb.SetAside(
        id=row.id,
        exporter=row.exporter,
        signal=row.signal,
        items=row.items,
        size=row.size,
        reason=row.reason,
        time_unix_nano=row.at,
    )


def _resend(store: Store, ids: Sequence[int], at: int) -> list[tuple[int, SetAsideRow]]:
    if ids:
        known = {row.id for row in store.set_aside_rows(-1)}
        if missing := sorted(set(ids) - known):
            named = ", ".join(map(str, missing[:_MAX_ID]))
            raise InputError(f"no row with the id {named} is set aside; `queue` lists the rows")
    return store.resend(ids or None, at)
