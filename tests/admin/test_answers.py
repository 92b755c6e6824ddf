"""What the admin service answers, asked of a receiver in this process."""

import asyncio
from collections import deque
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc import aio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from structlog.testing import capture_logs

from receiver.admin import admin_pb2 as pb
from receiver.admin.answers import Answers
from receiver.app.factory import builder_settings
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

LATER = "1h"  # nothing leaves by itself
SOON = "50ms"

FAMILY = [
    *relay("read", "bash"),
    relay_call("ses_a", "task", 3, 9, sessionId="ses_b"),
    *relay("grep", "my_query", session="ses_b", start=4, parent="ses_a"),
    relay_idle("ses_b", 8),
    relay_idle("ses_a", 10),
]


@asynccontextmanager
async def asking(folder, *records, **connector):
    """A receiver that was told this, and its answers."""
    ports = free_ports()
    written = tree(folder, ports, **connector)
    read = settings(written)
    async with service(read) as running:
        if records:
            await export(ports["grpc"], logs_request(*records))
        answers = Answers(running.pipeline, builder_settings(read.connector), read.graph.exporters)
        yield answers, running
    # whatever was asked, the receiver is as well as before


def shape(spans):
    """What of spans is remembered after they left: who they are, where they hang, when they were."""
    return {(s.trace_id, s.span_id, s.parent_span_id, s.start_time_unix_nano, s.end_time_unix_nano) for s in spans}


def expected(*records):
    """The spans that `build` makes."""
    return list(spans_of([ExportTraceServiceRequest.FromString(spans_request(built(logs_request(*records)).spans))]))


def previewed(answer):
    return list(spans_of([ExportTraceServiceRequest(resource_spans=answer.traces.resource_spans)]))


async def until(answers, done):
    """List the sessions until they are as they should be."""
    for _ in range(200):
        listed = await answers.list_sessions(pb.ListSessionsRequest())
        if done(listed.sessions):
            return listed
        await asyncio.sleep(0.03)
    raise AssertionError(listed)


def both(sessions):
    return len(sessions) == 2


def all_left(sessions):
    return len(sessions) == 2 and not any(one.open_calls for one in sessions)


# sessions


async def test_open_sessions_are_listed_with_what_is_known_of_them(tmp_path):
    async with asking(tmp_path, *FAMILY, settle=LATER) as (answers, _):
        listed = await until(answers, both)
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


async def test_a_session_that_works_is_open_and_counts_what_has_left(tmp_path):
    async with asking(tmp_path, *relay("read", "bash"), settle=SOON) as (answers, _):
        listed = await until(answers, lambda sessions: sessions and sessions[0].spans_left == 2)
    assert listed.sessions[0].state == pb.Session.STATE_OPEN
    assert listed.sessions[0].open_calls == 0


async def test_no_more_are_listed_than_were_asked_for(tmp_path):
    records = [record for n in range(5) for record in relay("read", session=f"ses_{n}")]
    async with asking(tmp_path, *records, settle=LATER) as (answers, _):
        await until(answers, lambda sessions: len(sessions) == 5)
        listed = await answers.list_sessions(pb.ListSessionsRequest(limit=2))
    assert len(listed.sessions) == 2
    assert listed.total == 5


# a tree


@pytest.mark.parametrize("session", ["ses_a", "ses_b"])
async def test_a_tree_that_nothing_has_left_of_is_what_would_be_built(tmp_path, session):
    async with asking(tmp_path, *FAMILY, settle=LATER) as (answers, _):
        await until(answers, both)
        answer = await answers.get_tree(pb.GetTreeRequest(session_id=session))
    assert not answer.left_span_ids
    assert sorted(previewed(answer), key=lambda s: s.span_id) == sorted(expected(*FAMILY), key=lambda s: s.span_id)


async def test_what_has_left_is_still_in_the_tree(tmp_path):
    async with asking(tmp_path, *FAMILY, settle=SOON) as (answers, _):
        await until(answers, all_left)
        answer = await answers.get_tree(pb.GetTreeRequest(session_id="ses_a"))
    spans = previewed(answer)
    assert shape(spans) == shape(expected(*FAMILY))
    calls = {s.span_id for s in spans if not s.name.startswith("invoke_agent")}
    assert set(answer.left_span_ids) == calls


async def test_a_wait_that_has_left_hangs_below_its_call(tmp_path):
    wait = {"id": "per_1", "sessionID": "ses_a", "permission": "bash", "tool": {"callID": "bash@2"}}
    records = [
        *relay("read", "bash", "grep"),
        relay_record("permission.asked", 2.1, wait),
        relay_record("permission.replied", 2.3, {"sessionID": "ses_a", "requestID": "per_1", "reply": "once"}),
    ]
    async with asking(tmp_path, *records, settle=SOON) as (answers, _):
        await until(answers, lambda sessions: sessions and sessions[0].spans_left == 4)
        answer = await answers.get_tree(pb.GetTreeRequest(session_id="ses_a"))
    assert shape(previewed(answer)) == shape(expected(*records))


async def test_what_has_left_does_not_fill_the_trace_twice(tmp_path):
    records = [*relay("read", "bash", "grep", "glob"), relay_running("ses_a", "webfetch", 6)]
    async with asking(tmp_path, *records, settle=SOON, max_spans_per_trace=6) as (answers, _):
        await until(answers, lambda sessions: sessions and sessions[0].spans_left == 4)
        answer = await answers.get_tree(pb.GetTreeRequest(session_id="ses_a"))
    assert shape(previewed(answer)) == shape(expected(*records))


async def test_a_closed_session_is_in_the_tree_of_its_parent_that_is_open(tmp_path):
    deleted = [*FAMILY[:-1], *relay(session="ses_b", start=4, parent="ses_a")]
    async with asking(tmp_path, *deleted, settle=SOON, idle_timeout="300ms") as (answers, _):
        await until(answers, lambda sessions: [one.id for one in sessions] == ["ses_a"])
        answer = await answers.get_tree(pb.GetTreeRequest(session_id="ses_b"))
    assert shape(previewed(answer)) == shape(expected(*deleted))


async def test_a_tree_that_has_left_whole_is_remembered(tmp_path):
    async with asking(tmp_path, *FAMILY, settle=SOON) as (answers, _):
        await until(answers, both)
        await answers.flush(pb.FlushRequest())
        answer = await answers.get_tree(pb.GetTreeRequest(session_id="ses_a"))
    assert shape(previewed(answer)) == shape(expected(*FAMILY))


@pytest.mark.parametrize(("told", "reasons"), [((), set()), (("session.deleted",), {"deleted"})])
async def test_why_a_session_closed_is_not_made_up_when_it_has_left(tmp_path, told, reasons):
    """It closed for it was flushed, and before that nobody said that it was idle."""
    records = [*relay("read"), *(relay_record(event, 9, {"info": {"id": "ses_a"}}) for event in told)]
    async with asking(tmp_path, *records, settle=LATER) as (answers, _):
        await until(answers, lambda sessions: len(sessions) == 1)
        await answers.flush(pb.FlushRequest())
        answer = await answers.get_tree(pb.GetTreeRequest(session_id="ses_a"))
    (root,) = (span for span in previewed(answer) if not span.parent_span_id)
    assert {one.value.string_value for one in root.attributes if one.key == "opencode.end_reason"} == reasons


async def test_asking_for_a_tree_changes_nothing(tmp_path):
    async with asking(tmp_path, *FAMILY, settle=SOON) as (answers, running):
        for _ in range(3):
            await until(answers, both)
            await answers.get_tree(pb.GetTreeRequest(session_id="ses_b"))
        await until(answers, all_left)
        await answers.get_tree(pb.GetTreeRequest(session_id="ses_a"))
        await answers.flush(pb.FlushRequest())
        sent = await everything_sent(running, tmp_path)
    assert sorted(s.SerializeToString() for s in sent) == sorted(s.SerializeToString() for s in expected(*FAMILY))


async def everything_sent(running, folder):
    """What the file exporter wrote, once the queue is empty."""
    from receiver.recordings.files import read_recordings

    for _ in range(100):
        if not (await running.pipeline.ask(lambda _, store: store.queue_size("file"))).rows:
            break
        await asyncio.sleep(0.03)
    bodies = [r.body for r in read_recordings([folder / "traces.jsonl"])]
    return list(spans_of(ExportTraceServiceRequest.FromString(body) for body in bodies))


async def test_a_session_that_nobody_told_of_has_no_tree(tmp_path):
    async with asking(tmp_path) as (answers, _):
        with pytest.raises(InputError, match="session ses_x is not known"):
            await answers.get_tree(pb.GetTreeRequest(session_id="ses_x"))


# flush


async def test_a_session_is_closed_with_the_tree_that_it_is_in(tmp_path):
    records = [*FAMILY, *relay("read", session="ses_other")]
    async with asking(tmp_path, *records, settle=LATER) as (answers, _):
        await until(answers, lambda sessions: len(sessions) == 3)
        assert (await answers.flush(pb.FlushRequest(session_ids=["ses_b"]))).closed == 2
        emitted = await answers.list_sessions(pb.ListSessionsRequest())
        assert [one.id for one in emitted.sessions] == ["ses_other"]
        assert (await answers.flush(pb.FlushRequest(session_ids=["ses_b"]))).closed == 0
        assert (await answers.flush(pb.FlushRequest())).closed == 1


async def test_a_session_that_nobody_told_of_cannot_be_closed(tmp_path):
    async with asking(tmp_path) as (answers, _):
        with pytest.raises(InputError, match="session ses_x is not known"):
            await answers.flush(pb.FlushRequest(session_ids=["ses_x"]))


async def test_of_several_those_that_are_known_are_closed_and_the_others_named(tmp_path):
    async with asking(tmp_path, *relay("read"), settle=LATER) as (answers, _):
        await until(answers, lambda sessions: len(sessions) == 1)
        asked = ["ses_a", "", "x" * 500, "a\nb\x1b"]
        with pytest.raises(InputError, match=r"session '', x{100}, a\\nb\\x1b is not known"):
            await answers.flush(pb.FlushRequest(session_ids=asked))
        assert not (await answers.list_sessions(pb.ListSessionsRequest())).sessions


async def test_thousands_of_sessions_are_listed_in_part(tmp_path):
    records = [
        record for number in range(3000) for record in relay("read", session=f"ses_{number}", start=number / 1000)
    ]
    async with asking(tmp_path, *records, settle=LATER) as (answers, _):
        await until(answers, lambda sessions: len(sessions) == 1000)
        for asked, rows in ((0, 1000), (7, 7), (2500, 2500), ((1 << 31) - 1, 3000), (-1, 1000)):
            answer = await answers.list_sessions(pb.ListSessionsRequest(limit=asked))
            assert (len(answer.sessions), answer.total) == (rows, 3000)


# queues


class Backend:
    """A backend that takes spans unless there are `answers`: gRPC codes to refuse with."""

    def __init__(self):
        self.received = []
        self.answers = deque()

    async def export(self, body, context):
        if self.answers:
            await context.abort(self.answers.popleft(), "too old")
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
    """A receiver one of whose batches was refused for good."""
    backend.answers.append(grpc.StatusCode.INVALID_ARGUMENT)
    ports = free_ports()
    written = tree(folder, ports, settle=LATER)
    written["exporters"] = {"otlp_grpc": {"endpoint": f"http://127.0.0.1:{backend.port}", "tls": {"insecure": True}}}
    read = settings(written)
    async with service(read) as running:
        answers = Answers(running.pipeline, builder_settings(read.connector), read.graph.exporters)
        await export(ports["grpc"], logs_request(*relay("read", "bash")))
        await until(answers, lambda sessions: len(sessions) == 1)
        await answers.flush(pb.FlushRequest())
        for _ in range(100):
            if (await answers.queue_state(pb.QueueStateRequest())).queues[0].set_aside_rows:
                break
            await asyncio.sleep(0.03)
        yield answers, running


async def test_what_a_backend_refused_is_shown_with_the_reason(tmp_path, backend):
    async with refused(tmp_path, backend) as (answers, _):
        (queue,) = (await answers.queue_state(pb.QueueStateRequest())).queues
        (row,) = (await answers.list_set_aside(pb.ListSetAsideRequest())).rows
    assert (queue.exporter, queue.rows, queue.set_aside_rows, queue.set_aside_items) == ("otlp_grpc", 0, 1, 3)
    assert list(queue.set_aside_reasons) == [row.reason]
    assert "too old" in row.reason
    assert (row.exporter, row.signal, row.items) == ("otlp_grpc", "traces", 3)
    assert row.size > 0
    assert row.time_unix_nano > at(0)


@pytest.mark.parametrize("named", [True, False])
async def test_what_was_set_aside_is_sent_again(tmp_path, backend, named):
    with capture_logs() as said:
        async with refused(tmp_path, backend) as (answers, _):
            (row,) = (await answers.list_set_aside(pb.ListSetAsideRequest())).rows
            moved = await answers.resend(pb.ResendRequest(ids=[row.id] if named else []))
            assert (moved.rows, moved.items) == (1, 3)
            for _ in range(100):
                if said[-1]["event"] == "rows that were sent again were taken":
                    break
                await asyncio.sleep(0.03)
            assert len(list(spans_of(backend.received))) == 3
            assert not (await answers.list_set_aside(pb.ListSetAsideRequest())).rows
    told = [(line["event"], line["exporter"]) for line in said if "exporter" in line]
    assert told == [("batch set aside", "otlp_grpc"), ("rows that were sent again were taken", "otlp_grpc")]


async def test_where_a_row_is_not_there_none_is_sent_again(tmp_path, backend):
    async with refused(tmp_path, backend) as (answers, _):
        (row,) = (await answers.list_set_aside(pb.ListSetAsideRequest())).rows
        with pytest.raises(InputError, match="nothing is set aside under 99"):
            await answers.resend(pb.ResendRequest(ids=[row.id, 99]))
        assert len((await answers.list_set_aside(pb.ListSetAsideRequest())).rows) == 1


async def test_a_request_that_could_not_be_built_is_built_again(tmp_path):
    async with asking(tmp_path, settle=LATER) as (answers, running):
        request = logs_request(*relay("read"))

        def put_aside(_, store):
            (number,) = store.append(at(0), [request])
            store.set_aside(number, "a defect", at(0))

        await running.pipeline.ask(put_aside)
        (row,) = (await answers.list_set_aside(pb.ListSetAsideRequest())).rows
        assert (row.exporter, row.items) == (NO_EXPORTER, 2)
        await answers.resend(pb.ResendRequest(ids=[row.id]))
        listed = await until(answers, lambda sessions: len(sessions) == 1)
    assert listed.sessions[0].id == "ses_a"


async def test_what_fails_now_is_told_with_its_queue_and_cut(tmp_path):
    written = tree(tmp_path, free_ports(), settle=LATER)
    read = settings(written)
    async with service(read) as running:
        failing = {"file": lambda: Failure("x" * 5000, at(3), 7), "other": lambda: None}
        answers = Answers(running.pipeline, builder_settings(read.connector), ("file", "other", "third"), failing)
        queues = (await answers.queue_state(pb.QueueStateRequest())).queues
    told = [(q.exporter, len(q.failure), q.failing_since_unix_nano, q.failed_attempts) for q in queues]
    assert told == [("file", 2048, at(3), 7), ("other", 0, 0, 0), ("third", 0, 0, 0)]


async def test_the_oldest_in_a_queue_tells_when_it_came(tmp_path):
    ports = free_ports()
    written = tree(tmp_path, ports, settle=LATER)
    written["exporters"] = {"otlp_grpc": {"endpoint": "http://127.0.0.1:1", "tls": {"insecure": True}}}
    read = settings(written)
    async with service(read) as running:
        answers = Answers(running.pipeline, builder_settings(read.connector), read.graph.exporters)
        (empty,) = (await answers.queue_state(pb.QueueStateRequest())).queues
        await export(ports["grpc"], logs_request(*relay("read")))
        await until(answers, lambda sessions: len(sessions) == 1)
        await answers.flush(pb.FlushRequest())
        (queue,) = (await answers.queue_state(pb.QueueStateRequest())).queues
    assert empty.oldest_time_unix_nano == 0
    assert queue.oldest_time_unix_nano > at(0) - SECOND
    assert queue.items == 2
