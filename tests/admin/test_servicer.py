"""The methods of the admin service, called on a receiver in this process."""

import asyncio
from collections import deque
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc import aio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from structlog.testing import capture_logs

from receiver.admin import admin_pb2 as pb
from receiver.admin.servicer import AdminServicer
from receiver.app.builder_settings import builder_settings
from receiver.codec.encode import spans_request
from receiver.codec.export_service import EXPORT_SERVICES
from receiver.core.state.settings import SECOND
from receiver.errors import InputError
from receiver.exporters.sender import Failure
from receiver.storage.interface import NO_EXPORTER
from receiver.terminal.tree import spans_of
from tests.support.factories import at, built, logs_request, relay_record
from tests.support.operator_endpoints import (
    export,
    free_ports,
    relay,
    relay_call,
    relay_idle,
    relay_running,
    service,
    settings,
    tree,
)

LATER = "1h"  # no span is emitted during the test
SOON = "50ms"

FAMILY = [
    *relay("read", "bash"),
    relay_call("ses_a", "task", 3, 9, sessionId="ses_b"),
    *relay("grep", "my_query", session="ses_b", start=4, parent="ses_a"),
    relay_idle("ses_b", 8),
    relay_idle("ses_a", 10),
]


@asynccontextmanager
async def receiving(folder, *records, **connector):
    """A receiver that got these records, and its admin methods."""
    ports = free_ports()
    written = tree(folder, ports, **connector)
    read = settings(written)
    async with service(read) as running:
        if records:
            await export(ports["grpc"], logs_request(*records))
        servicer = AdminServicer(running.pipeline, builder_settings(read.connector), read.graph.exporters)
        yield servicer, running


def shape(spans):
    """What is kept of emitted spans: ids, parents and times."""
    return {(s.trace_id, s.span_id, s.parent_span_id, s.start_time_unix_nano, s.end_time_unix_nano) for s in spans}


def expected(*records):
    """The spans that `build` makes."""
    return list(spans_of([ExportTraceServiceRequest.FromString(spans_request(built(logs_request(*records)).spans))]))


def previewed(answer):
    return list(spans_of([ExportTraceServiceRequest(resource_spans=answer.traces.resource_spans)]))


async def until(servicer, done):
    """List the sessions until `done` holds for them."""
    for _ in range(200):
        listed = await servicer.list_sessions(pb.ListSessionsRequest())
        if done(listed.sessions):
            return listed
        await asyncio.sleep(0.03)
    raise AssertionError(listed)


def both(sessions):
    return len(sessions) == 2


def all_emitted(sessions):
    return len(sessions) == 2 and not any(one.open_calls for one in sessions)


# sessions


async def test_list_sessions_gives_parents_states_times_and_open_items(tmp_path):
    async with receiving(tmp_path, *FAMILY, settle=LATER) as (servicer, _):
        listed = await until(servicer, both)
    found = {one.id: one for one in listed.sessions}
    assert listed.total == 2
    assert (found["ses_a"].parent_id, found["ses_a"].root_id) == ("", "ses_a")
    assert (found["ses_b"].parent_id, found["ses_b"].root_id) == ("ses_a", "ses_a")
    assert [found[s].state for s in ("ses_a", "ses_b")] == [pb.Session.STATE_IDLE] * 2
    assert [found[s].open_calls for s in ("ses_a", "ses_b")] == [3, 2]
    assert [found[s].spans_left for s in ("ses_a", "ses_b")] == [0, 0]
    assert found["ses_b"].start_time_unix_nano == at(4)
    assert found["ses_b"].last_activity_time_unix_nano == at(8)
    assert found["ses_a"].producer == found["ses_b"].producer != ""


async def test_a_busy_session_is_open_and_counts_its_emitted_spans(tmp_path):
    async with receiving(tmp_path, *relay("read", "bash"), settle=SOON) as (servicer, _):
        listed = await until(servicer, lambda sessions: sessions and sessions[0].spans_left == 2)
    assert listed.sessions[0].state == pb.Session.STATE_OPEN
    assert listed.sessions[0].open_calls == 0


async def test_list_sessions_keeps_to_the_limit(tmp_path):
    records = [record for n in range(5) for record in relay("read", session=f"ses_{n}")]
    async with receiving(tmp_path, *records, settle=LATER) as (servicer, _):
        await until(servicer, lambda sessions: len(sessions) == 5)
        listed = await servicer.list_sessions(pb.ListSessionsRequest(limit=2))
    assert len(listed.sessions) == 2
    assert listed.total == 5


# a tree


@pytest.mark.parametrize("session", ["ses_a", "ses_b"])
async def test_get_tree_before_any_span_is_emitted_gives_the_spans_of_build(tmp_path, session):
    async with receiving(tmp_path, *FAMILY, settle=LATER) as (servicer, _):
        await until(servicer, both)
        answer = await servicer.get_tree(pb.GetTreeRequest(session_id=session))
    assert not answer.left_span_ids
    assert sorted(previewed(answer), key=lambda s: s.span_id) == sorted(expected(*FAMILY), key=lambda s: s.span_id)


async def test_get_tree_includes_spans_that_are_emitted(tmp_path):
    async with receiving(tmp_path, *FAMILY, settle=SOON) as (servicer, _):
        await until(servicer, all_emitted)
        answer = await servicer.get_tree(pb.GetTreeRequest(session_id="ses_a"))
    spans = previewed(answer)
    assert shape(spans) == shape(expected(*FAMILY))
    calls = {s.span_id for s in spans if not s.name.startswith("invoke_agent")}
    assert set(answer.left_span_ids) == calls


async def test_get_tree_puts_an_emitted_permission_below_its_call(tmp_path):
    wait = {"id": "per_1", "sessionID": "ses_a", "permission": "bash", "tool": {"callID": "bash@2"}}
    records = [
        *relay("read", "bash", "grep"),
        relay_record("permission.asked", 2.1, wait),
        relay_record("permission.replied", 2.3, {"sessionID": "ses_a", "requestID": "per_1", "reply": "once"}),
    ]
    async with receiving(tmp_path, *records, settle=SOON) as (servicer, _):
        await until(servicer, lambda sessions: sessions and sessions[0].spans_left == 4)
        answer = await servicer.get_tree(pb.GetTreeRequest(session_id="ses_a"))
    assert shape(previewed(answer)) == shape(expected(*records))


async def test_get_tree_does_not_count_emitted_spans_towards_a_rollover(tmp_path):
    records = [*relay("read", "bash", "grep", "glob"), relay_running("ses_a", "webfetch", 6)]
    async with receiving(tmp_path, *records, settle=SOON, max_spans_per_trace=6) as (servicer, _):
        await until(servicer, lambda sessions: sessions and sessions[0].spans_left == 4)
        answer = await servicer.get_tree(pb.GetTreeRequest(session_id="ses_a"))
    assert shape(previewed(answer)) == shape(expected(*records))


async def test_get_tree_of_an_open_parent_includes_a_closed_child(tmp_path):
    deleted = [*FAMILY[:-1], *relay(session="ses_b", start=4, parent="ses_a")]
    async with receiving(tmp_path, *deleted, settle=SOON, idle_timeout="300ms") as (servicer, _):
        await until(servicer, lambda sessions: [one.id for one in sessions] == ["ses_a"])
        answer = await servicer.get_tree(pb.GetTreeRequest(session_id="ses_b"))
    assert shape(previewed(answer)) == shape(expected(*deleted))


async def test_get_tree_shows_a_closed_tree(tmp_path):
    async with receiving(tmp_path, *FAMILY, settle=SOON) as (servicer, _):
        await until(servicer, both)
        await servicer.flush(pb.FlushRequest())
        answer = await servicer.get_tree(pb.GetTreeRequest(session_id="ses_a"))
    assert shape(previewed(answer)) == shape(expected(*FAMILY))


@pytest.mark.parametrize(("events", "reasons"), [((), set()), (("session.deleted",), {"deleted"})])
async def test_get_tree_gives_no_end_reason_that_no_record_stated(tmp_path, events, reasons):
    """A flush closed the session, and no record had said that it was idle."""
    records = [*relay("read"), *(relay_record(event, 9, {"info": {"id": "ses_a"}}) for event in events)]
    async with receiving(tmp_path, *records, settle=LATER) as (servicer, _):
        await until(servicer, lambda sessions: len(sessions) == 1)
        await servicer.flush(pb.FlushRequest())
        answer = await servicer.get_tree(pb.GetTreeRequest(session_id="ses_a"))
    (root,) = (span for span in previewed(answer) if not span.parent_span_id)
    assert {one.value.string_value for one in root.attributes if one.key == "opencode.end_reason"} == reasons


async def test_get_tree_does_not_change_what_is_exported(tmp_path):
    async with receiving(tmp_path, *FAMILY, settle=SOON) as (servicer, running):
        for _ in range(3):
            await until(servicer, both)
            await servicer.get_tree(pb.GetTreeRequest(session_id="ses_b"))
        await until(servicer, all_emitted)
        await servicer.get_tree(pb.GetTreeRequest(session_id="ses_a"))
        await servicer.flush(pb.FlushRequest())
        sent = await exported_spans(running, tmp_path)
    assert sorted(s.SerializeToString() for s in sent) == sorted(s.SerializeToString() for s in expected(*FAMILY))


async def exported_spans(running, folder):
    """What the file exporter wrote, once the queue is empty."""
    from receiver.recordings.files import read_recordings

    for _ in range(100):
        if not (await running.pipeline.ask(lambda _, store: store.queue_size("file"))).rows:
            break
        await asyncio.sleep(0.03)
    bodies = [r.body for r in read_recordings([folder / "traces.jsonl"])]
    return list(spans_of(ExportTraceServiceRequest.FromString(body) for body in bodies))


async def test_get_tree_refuses_an_unknown_session(tmp_path):
    async with receiving(tmp_path) as (servicer, _):
        with pytest.raises(InputError, match="session ses_x is not known"):
            await servicer.get_tree(pb.GetTreeRequest(session_id="ses_x"))


# flush


async def test_flush_closes_a_session_with_its_whole_tree(tmp_path):
    records = [*FAMILY, *relay("read", session="ses_other")]
    async with receiving(tmp_path, *records, settle=LATER) as (servicer, _):
        await until(servicer, lambda sessions: len(sessions) == 3)
        assert (await servicer.flush(pb.FlushRequest(session_ids=["ses_b"]))).closed == 2
        emitted = await servicer.list_sessions(pb.ListSessionsRequest())
        assert [one.id for one in emitted.sessions] == ["ses_other"]
        assert (await servicer.flush(pb.FlushRequest(session_ids=["ses_b"]))).closed == 0
        assert (await servicer.flush(pb.FlushRequest())).closed == 1


async def test_flush_refuses_an_unknown_session(tmp_path):
    async with receiving(tmp_path) as (servicer, _):
        with pytest.raises(InputError, match="session ses_x is not known"):
            await servicer.flush(pb.FlushRequest(session_ids=["ses_x"]))


async def test_flush_closes_the_known_sessions_and_names_the_unknown_ones(tmp_path):
    async with receiving(tmp_path, *relay("read"), settle=LATER) as (servicer, _):
        await until(servicer, lambda sessions: len(sessions) == 1)
        asked = ["ses_a", "", "x" * 500, "a\nb\x1b"]
        with pytest.raises(InputError, match=r"session '', x{100}, a\\nb\\x1b is not known"):
            await servicer.flush(pb.FlushRequest(session_ids=asked))
        assert not (await servicer.list_sessions(pb.ListSessionsRequest())).sessions


async def test_list_sessions_returns_1000_rows_by_default_and_10000_at_most(tmp_path):
    records = [
        record for number in range(3000) for record in relay("read", session=f"ses_{number}", start=number / 1000)
    ]
    async with receiving(tmp_path, *records, settle=LATER) as (servicer, _):
        await until(servicer, lambda sessions: len(sessions) == 1000)
        for asked, rows in ((0, 1000), (7, 7), (2500, 2500), ((1 << 31) - 1, 3000), (-1, 1000)):
            answer = await servicer.list_sessions(pb.ListSessionsRequest(limit=asked))
            assert (len(answer.sessions), answer.total) == (rows, 3000)


# queues


class Backend:
    """A backend that takes spans, or refuses them with the gRPC codes in `codes`."""

    def __init__(self):
        self.received = []
        self.codes = deque()

    async def export(self, body, context):
        if self.codes:
            await context.abort(self.codes.popleft(), "too old")
        self.received.append(ExportTraceServiceRequest.FromString(body))
        return b""

    async def start(self):
        self._server = aio.server()
        method = grpc.unary_unary_rpc_method_handler(self.export)
        name = EXPORT_SERVICES["traces"].name
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"Export": method}),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()

    async def stop(self):
        await self._server.stop(None)


@pytest.fixture
async def backend():
    made = Backend()
    await made.start()
    yield made
    await made.stop()


@asynccontextmanager
async def refused(folder, backend):
    """A receiver with a batch that its backend refused for good."""
    backend.codes.append(grpc.StatusCode.INVALID_ARGUMENT)
    ports = free_ports()
    written = tree(folder, ports, settle=LATER)
    written["exporters"] = {"otlp_grpc": {"endpoint": f"http://127.0.0.1:{backend.port}", "tls": {"insecure": True}}}
    read = settings(written)
    async with service(read) as running:
        servicer = AdminServicer(running.pipeline, builder_settings(read.connector), read.graph.exporters)
        await export(ports["grpc"], logs_request(*relay("read", "bash")))
        await until(servicer, lambda sessions: len(sessions) == 1)
        await servicer.flush(pb.FlushRequest())
        for _ in range(100):
            if (await servicer.queue_state(pb.QueueStateRequest())).queues[0].set_aside_rows:
                break
            await asyncio.sleep(0.03)
        yield servicer, running


async def test_queue_state_and_list_set_aside_show_refused_rows_with_the_reason(tmp_path, backend):
    async with refused(tmp_path, backend) as (servicer, _):
        (queue,) = (await servicer.queue_state(pb.QueueStateRequest())).queues
        (row,) = (await servicer.list_set_aside(pb.ListSetAsideRequest())).rows
    assert (queue.exporter, queue.rows, queue.set_aside_rows, queue.set_aside_items) == ("otlp_grpc", 0, 1, 3)
    assert list(queue.set_aside_reasons) == [row.reason]
    assert "too old" in row.reason
    assert (row.exporter, row.signal, row.items) == ("otlp_grpc", "traces", 3)
    assert row.size > 0
    assert row.time_unix_nano > at(0)


@pytest.mark.parametrize("named", [True, False])
async def test_resend_sends_rows_set_aside(tmp_path, backend, named):
    with capture_logs() as logs:
        async with refused(tmp_path, backend) as (servicer, _):
            (row,) = (await servicer.list_set_aside(pb.ListSetAsideRequest())).rows
            moved = await servicer.resend(pb.ResendRequest(ids=[row.id] if named else []))
            assert (moved.rows, moved.items) == (1, 3)
            for _ in range(100):
                if logs[-1]["event"] == "the backend took the resent rows":
                    break
                await asyncio.sleep(0.03)
            assert len(list(spans_of(backend.received))) == 3
            assert not (await servicer.list_set_aside(pb.ListSetAsideRequest())).rows
    logged = [(line["event"], line["exporter"]) for line in logs if "exporter" in line]
    assert logged == [("batch set aside", "otlp_grpc"), ("the backend took the resent rows", "otlp_grpc")]


async def test_resend_with_an_unknown_id_moves_no_row(tmp_path, backend):
    async with refused(tmp_path, backend) as (servicer, _):
        (row,) = (await servicer.list_set_aside(pb.ListSetAsideRequest())).rows
        with pytest.raises(InputError, match="no row with the id 99 is set aside"):
            await servicer.resend(pb.ResendRequest(ids=[row.id, 99]))
        assert len((await servicer.list_set_aside(pb.ListSetAsideRequest())).rows) == 1


async def test_resend_builds_a_request_that_was_set_aside(tmp_path):
    async with receiving(tmp_path, settle=LATER) as (servicer, running):
        request = logs_request(*relay("read"))

        def set_aside(_, store):
            (number,) = store.append(at(0), [request])
            store.set_aside(number, "a defect", at(0))

        await running.pipeline.ask(set_aside)
        (row,) = (await servicer.list_set_aside(pb.ListSetAsideRequest())).rows
        assert (row.exporter, row.items) == (NO_EXPORTER, 2)
        await servicer.resend(pb.ResendRequest(ids=[row.id]))
        listed = await until(servicer, lambda sessions: len(sessions) == 1)
    assert listed.sessions[0].id == "ses_a"


async def test_queue_state_shows_present_failures_in_2048_characters(tmp_path):
    written = tree(tmp_path, free_ports(), settle=LATER)
    read = settings(written)
    async with service(read) as running:
        failing = {"file": lambda: Failure("x" * 5000, at(3), 7), "other": lambda: None}
        servicer = AdminServicer(
            running.pipeline, builder_settings(read.connector), ("file", "other", "third"), failing
        )
        queues = (await servicer.queue_state(pb.QueueStateRequest())).queues
    failures = [(q.exporter, len(q.failure), q.failing_since_unix_nano, q.failed_attempts) for q in queues]
    assert failures == [("file", 2048, at(3), 7), ("other", 0, 0, 0), ("third", 0, 0, 0)]


async def test_queue_state_shows_the_time_of_the_oldest_row(tmp_path):
    ports = free_ports()
    written = tree(tmp_path, ports, settle=LATER)
    written["exporters"] = {"otlp_grpc": {"endpoint": "http://127.0.0.1:1", "tls": {"insecure": True}}}
    read = settings(written)
    async with service(read) as running:
        servicer = AdminServicer(running.pipeline, builder_settings(read.connector), read.graph.exporters)
        (empty,) = (await servicer.queue_state(pb.QueueStateRequest())).queues
        await export(ports["grpc"], logs_request(*relay("read")))
        await until(servicer, lambda sessions: len(sessions) == 1)
        await servicer.flush(pb.FlushRequest())
        (queue,) = (await servicer.queue_state(pb.QueueStateRequest())).queues
    assert empty.oldest_time_unix_nano == 0
    assert queue.oldest_time_unix_nano > at(0) - SECOND
    assert queue.items == 2
