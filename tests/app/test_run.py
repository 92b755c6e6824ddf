"""`python -m receiver run` with real clients, a real backend and signals. Its backend gets what `build` gives for the
same requests (docs/contract.md 7.7).
"""

import json
import random
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import grpc
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver.model import Request
from receiver.storage.sqlite_store import SQLiteStore
from tests.support.factories import spans_request
from tests.support.otlp_requests import joined, recorded, singles
from tests.support.processes import Backend, Receiver, renamed, until

pytestmark = pytest.mark.process


def shuffled_twice(requests):
    chance = random.Random(7)
    records = [*singles(requests), *singles(requests)]
    chance.shuffle(records)
    return joined(records, 20)


def foreign(number):
    return Span(trace_id=bytes([number]) * 16, span_id=bytes([number]) * 8, name="not ours", start_time_unix_nano=1)


def mixed():
    """Known spans and a foreign one in one request."""
    strange = spans_request(foreign(3), scope="another program").body
    requests = renamed(recorded("plugin-spans"), "AF")
    return [type(r)(r.signal, r.body + strange, r.items + 1) if r.signal == "traces" else r for r in requests]


# what is sent, and how; all at once, since each takes seconds until its sessions close
SENT = {
    "grpc": (renamed(recorded("parallel-nested"), "AA"), lambda running, r: running.send(*r)),
    "http/json": (renamed(recorded("parallel-nested"), "AB"), lambda running, r: running.post(*r, encoding="json")),
    "http/protobuf": (
        renamed(recorded("parallel-nested"), "AC"),
        lambda running, r: running.post(*r, encoding="x-protobuf"),
    ),
    "shuffled, and each twice": (
        renamed(recorded("parallel-nested"), "AD"),
        lambda running, r: running.send(*shuffled_twice(r)),
    ),
    "metrics and spans of the plugin": (
        renamed(recorded("plugin-spans"), "AE"),
        lambda running, r: running.post(*r, encoding="json"),
    ),
    "foreign spans": (
        [spans_request(foreign(1), foreign(2), scope="another program")],
        lambda running, r: running.send(*r),
    ),
    "foreign and known spans": (mixed(), lambda running, r: running.send(*r)),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A receiver that got all of SENT, and its backend, when every span has arrived."""
    backend = Backend().start()
    running = Receiver(tmp_path_factory.mktemp("run"), backend)
    # logs and metrics are also forwarded as they come
    taking = {"receivers": ["otlp"], "exporters": ["agenttrace", "otlp_grpc"]}
    running.settings["service"]["pipelines"] = {
        "logs": taking,
        "metrics": taking,
        "traces/in": {"receivers": ["otlp"], "exporters": ["agenttrace"]},
        "traces": {"receivers": ["agenttrace"], "exporters": ["otlp_grpc"]},
    }
    running.start()
    try:
        with ThreadPoolExecutor() as clients:
            for sending in [clients.submit(send, running, requests) for requests, send in SENT.values()]:
                sending.result()
        everything = running.expected(r for requests, _ in SENT.values() for r in requests)
        until(lambda: backend.spans() >= everything, "every span")
        yield running, backend
        assert backend.spans() == everything
        assert backend.copies() == 0
    finally:
        running.kill()
        backend.stop()


@pytest.mark.parametrize("how", SENT)
def test_a_backend_gets_the_spans_of_build(run, how):
    running, backend = run
    expected = running.expected(SENT[how][0])
    assert expected
    assert expected <= backend.spans()


def test_foreign_spans_are_forwarded_byte_for_byte(run):
    _, backend = run
    came = b"".join(backend.received["traces"])
    for number in (1, 2, 3):
        assert foreign(number).SerializeToString() in came


@pytest.mark.parametrize("signal", ["logs", "metrics"])
def test_a_pipeline_to_an_exporter_forwards_requests_byte_for_byte(run, signal):
    _, backend = run
    came = b"".join(backend.received[signal])
    sent = [r for how in ("grpc", "http/protobuf", "foreign and known spans") for r in SENT[how][0]]
    sent = [r for r in sent if r.signal == signal]
    assert sent
    assert all(r.body in came for r in sent)


def test_every_forwarded_record_arrives_as_often_as_it_was_sent(run):
    _, backend = run
    came = singles(Request("logs", body, 1) for body in backend.received["logs"])
    sent = sum(r.items for requests, _ in SENT.values() for r in requests if r.signal == "logs")
    assert len(came) == sent + sum(r.items for r in SENT["shuffled, and each twice"][0])


# the backend


@pytest.fixture
def backend():
    started = Backend().start()
    yield started
    started.stop()


@pytest.fixture
def receiver(tmp_path, backend):
    """A receiver that is not started."""
    made = Receiver(tmp_path / "receiver", backend, settle="200ms")
    yield made
    made.kill()


def test_spans_built_without_a_backend_arrive_when_it_is_back(receiver, backend):
    backend.stop()
    receiver.start().send(*recorded("parallel-nested"))
    until(lambda: "export failed; will retry" in receiver.log, "a failed export")
    backend.start()
    until(lambda: backend.spans() == receiver.expected(recorded("parallel-nested")), "every span")
    assert backend.copies() == 0


def test_batches_refused_for_good_are_set_aside_and_the_others_arrive(receiver, backend):
    bad, good = renamed(recorded("parallel-nested"), "BA"), renamed(recorded("parallel-nested"), "BB")
    backend.refuse = lambda body: grpc.StatusCode.INVALID_ARGUMENT if b"BA" in body else None
    receiver.start().send(*bad, *good)
    until(lambda: backend.spans() == receiver.expected(good), "every good span")
    refused = len(receiver.expected(bad))
    until(lambda: "batch set aside" in receiver.log and _set_aside(receiver) == refused, "every refusal")
    assert receiver.stop() == 0
    with closing(SQLiteStore(receiver.folder / "store")) as store:
        rows = store.set_aside_rows(1000)
        assert store.queue_size("otlp_grpc").rows == 0
    assert sum(row.items for row in rows) == refused
    assert all("INVALID_ARGUMENT" in row.reason for row in rows)


def _set_aside(receiver):
    """Spans set aside, by the metrics: the log is rate-limited."""
    logged = [json.loads(line) for line in receiver.log.splitlines() if line.startswith("{")]
    address = next(one["endpoint"] for one in logged if one.get("protocol") == "metrics")
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        found = re.search(
            r"^opencode_trace_receiver_items_set_aside\{.*\} (\d+)$", answer.read().decode(), re.MULTILINE
        )
    return int(found[1])


# signals


def test_open_sessions_continue_after_a_restart(receiver, backend):
    requests = recorded("parallel-nested")
    receiver.start().send(*requests[:5])
    assert receiver.stop() == 0
    before = backend.spans()
    assert not any(b"opencode.end_reason" in span for span in before)  # no session's span: no session is closed
    receiver.start().send(*requests[5:])
    until(lambda: backend.spans() == receiver.expected(requests), "every span")
    assert backend.copies() == 0


def test_sigint_stops_with_exit_code_0(receiver):
    receiver.start().signal(signal.SIGINT)
    assert receiver.ended() == 0


def test_a_second_signal_ends_the_process_at_once(receiver):
    receiver.start()
    host, _, port = receiver.http.rpartition(":")
    with socket.create_connection((host, int(port))) as slow:  # a request that never ends delays the stop
        slow.sendall(
            b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        receiver.post(
            *recorded("parallel-nested")[:1], encoding="json"
        )  # answered: so the server has read the other one too
        receiver.signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            receiver.process.wait(0.5)
        receiver.signal(signal.SIGTERM)
        assert receiver.ended() == 128 + signal.SIGTERM


# without a backend


def test_without_an_exporter_trees_are_printed(tmp_path):
    running = Receiver(tmp_path / "receiver", settle="200ms").start()
    try:
        running.send(*recorded("parallel-nested"))
        until(
            lambda: "subagent_depth" in running.shown and "ended: idle" in running.shown.split("trace ")[-2], "a tree"
        )
        until(lambda: running.shown.count("execute_tool task general") >= 4, "every task")
        assert "invoke_agent build" in running.shown
        assert running.stop() == 0
    finally:
        running.kill()


def another(receiver):
    """Run a receiver that cannot start; the finished process."""
    file = receiver.configured()
    return subprocess.run(
        [sys.executable, "-m", "receiver", "run", "--config", file], capture_output=True, text=True, timeout=120
    )


def test_a_locked_store_folder_gives_a_one_line_error(receiver):
    second = another(receiver.start())
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert "extensions::file_storage::directory" in second.stderr
    assert "in use by another receiver" in second.stderr


def test_a_taken_port_is_named_in_the_error(receiver, tmp_path, backend):
    receiver.start()
    other = Receiver(tmp_path / "other", backend)
    other.settings["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] = receiver.grpc
    second = another(other)
    assert second.returncode == 1
    assert f"receivers::otlp::protocols::grpc: cannot listen on {receiver.grpc}" in second.stderr.splitlines()[-1]
