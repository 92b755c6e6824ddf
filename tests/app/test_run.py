"""`python -m receiver run` as its users have it: real clients on its ports, a real backend, signals. What its backend
gets is what `build` gives for the same requests (contract 7.7).
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
    """Known spans, and one that nobody knows, in one request."""
    strange = spans_request(foreign(3), scope="somebody").body
    requests = renamed(recorded("plugin-spans"), "AF")
    return [type(r)(r.signal, r.body + strange, r.items + 1) if r.signal == "traces" else r for r in requests]


# what is sent, and how; all at once, since each takes some seconds until its sessions are quiet
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
        [spans_request(foreign(1), foreign(2), scope="somebody")],
        lambda running, r: running.send(*r),
    ),
    "foreign and known spans": (mixed(), lambda running, r: running.send(*r)),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A receiver to which everything was sent, and its backend. Ends when all has come."""
    backend = Backend().start()
    running = Receiver(tmp_path_factory.mktemp("run"), backend)
    # logs and metrics go on untouched as well
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


def test_spans_that_nobody_knows_pass_through_byte_for_byte(run):
    _, backend = run
    came = b"".join(backend.received["traces"])
    for number in (1, 2, 3):
        assert foreign(number).SerializeToString() in came


@pytest.mark.parametrize("signal", ["logs", "metrics"])
def test_a_pipeline_that_says_so_forwards_byte_for_byte(run, signal):
    _, backend = run
    came = b"".join(backend.received[signal])
    sent = [r for how in ("grpc", "http/protobuf", "foreign and known spans") for r in SENT[how][0]]
    sent = [r for r in sent if r.signal == signal]
    assert sent
    assert all(r.body in came for r in sent)


def test_every_record_that_is_forwarded_comes_as_often_as_it_was_sent(run):
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
    """A receiver that is still to be started."""
    made = Receiver(tmp_path / "receiver", backend, settle="200ms")
    yield made
    made.kill()


def test_what_was_built_while_the_backend_was_away_comes_when_it_is_there(receiver, backend):
    backend.stop()
    receiver.start().send(*recorded("parallel-nested"))
    until(lambda: "export failed; will retry" in receiver.log, "a failed export")
    backend.start()
    until(lambda: backend.spans() == receiver.expected(recorded("parallel-nested")), "every span")
    assert backend.copies() == 0


def test_what_a_backend_refuses_for_good_is_set_aside_and_the_rest_goes_on(receiver, backend):
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
    """Spans set aside, as the metrics count them: the log says one line of a kind in a minute."""
    said = [json.loads(line) for line in receiver.log.splitlines() if line.startswith("{")]
    where = next(one["endpoint"] for one in said if one.get("protocol") == "metrics")
    with urllib.request.urlopen(f"http://{where}/metrics") as answer:
        found = re.search(
            r"^opencode_trace_receiver_items_set_aside\{.*\} (\d+)$", answer.read().decode(), re.MULTILINE
        )
    return int(found[1])


# signals


def test_open_sessions_go_on_after_a_restart(receiver, backend):
    requests = recorded("parallel-nested")
    receiver.start().send(*requests[:5])
    assert receiver.stop() == 0
    before = backend.spans()
    assert not any(b"opencode.end_reason" in span for span in before)  # no session's span: none is closed
    receiver.start().send(*requests[5:])
    until(lambda: backend.spans() == receiver.expected(requests), "every span")
    assert backend.copies() == 0


def test_an_interrupt_ends_it_well_too(receiver):
    receiver.start().signal(signal.SIGINT)
    assert receiver.ended() == 0


def test_a_second_signal_forces(receiver):
    receiver.start()
    host, _, port = receiver.http.rpartition(":")
    with socket.create_connection((host, int(port))) as slow:  # a request that never ends holds the stop up
        slow.sendall(
            b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        receiver.post(*recorded("parallel-nested")[:1], encoding="json")  # so the other one was taken up
        receiver.signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            receiver.process.wait(0.5)
        receiver.signal(signal.SIGTERM)
        assert receiver.ended() == 128 + signal.SIGTERM


# without a backend


def test_without_a_backend_it_shows_the_trees(tmp_path):
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
    """Run what cannot start; its exit code and what it says."""
    file = receiver.configured()
    return subprocess.run(
        [sys.executable, "-m", "receiver", "run", "--config", file], capture_output=True, text=True, timeout=120
    )


def test_a_folder_that_another_receiver_has_is_refused_in_one_line(receiver):
    second = another(receiver.start())
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert "extensions::file_storage::directory" in second.stderr
    assert "in use by another receiver" in second.stderr


def test_a_port_that_is_taken_is_named(receiver, tmp_path, backend):
    receiver.start()
    other = Receiver(tmp_path / "other", backend)
    other.settings["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] = receiver.grpc
    second = another(other)
    assert second.returncode == 1
    assert f"receivers::otlp::protocols::grpc: cannot listen on {receiver.grpc}" in second.stderr.splitlines()[-1]
