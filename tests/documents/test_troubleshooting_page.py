"""Each thing that breaks in docs/troubleshooting.md is broken here, and what an operator then sees is what the page
says.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import socket
import sqlite3
import ssl
import string
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import grpc
import pytest
import trustme
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver import config
from receiver.cli.main import run_command
from receiver.codec.export_service import EXPORT_SERVICES
from receiver.telemetry.instruments import NAMES
from tests.support.factories import NOON, logs_request, relay_record, spans_request
from tests.support.otlp_requests import DATA, joined
from tests.support.processes import Backend, Receiver, renamed, sigterm_after, until
from tests.support.troubleshooting_page import CAPTURE, PAGE, address, command, metrics, sending_to, told

pytestmark = pytest.mark.process


@pytest.fixture
def receiver(tmp_path):
    """A receiver that is still to be started."""
    made = Receiver(tmp_path / "receiver")
    yield made
    made.kill()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A running receiver with default settings, for the tests that read the log and the metrics of one request."""
    made = Receiver(tmp_path_factory.mktemp("shared") / "receiver").start()
    yield made
    made.kill()


# nothing arrives


def test_a_silent_plugin_counts_nothing(receiver):
    receiver.start()
    counted = re.compile(r"^otelcol_receiver_(?:accepted|refused)_.* [1-9]", re.MULTILINE)
    assert not counted.search(metrics(receiver))
    told("`otelcol_receiver_accepted_*` stay at 0")
    receiver.send(CAPTURE[0])
    assert counted.search(metrics(receiver))


def test_where_nobody_listens_replay_says_so(capsys):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{one.getsockname()[1]}"
        assert run_command(["replay", str(DATA / "parallel-nested"), "--endpoint", nobody]) == 1
    said = capsys.readouterr().err
    for phrase in ("Connection refused", "is a receiver running there?"):
        assert phrase in said
        told(phrase)


def test_a_variable_that_names_the_receiver_itself_is_told(tmp_path):
    variable = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "HOME": str(tmp_path)}
    (notice,) = config.load([], [], variable).notices
    phrase = "names this receiver itself, so it is not used; traces are shown by the debug exporter"
    assert phrase in notice
    told(phrase)


def test_grpc_to_the_http_port_works(shared):
    with grpc.insecure_channel(shared.http) as channel:
        export = channel.unary_unary(f"/{EXPORT_SERVICES['logs'].name}/Export")
        assert export(CAPTURE[0].body, timeout=60) == b""
    told("| gRPC | 4318 | works")


def test_http_to_the_grpc_port_works(shared):
    body, headers = CAPTURE[0].body, {"Content-Type": "application/x-protobuf"}
    asked = urllib.request.Request(f"http://{shared.grpc}/v1/logs", body, headers)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        assert answer.status == 200
    told("| HTTP | 4317 | works")


def test_another_path_is_answered_with_the_right_ones(shared):
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(urllib.request.Request(f"http://{shared.http}/logs", b"x"), timeout=60)
    assert error.value.code == 404
    phrase = "OTLP/HTTP is at /v1/logs, /v1/metrics, /v1/traces"
    assert phrase in error.value.read().decode()
    told(phrase)


def test_tls_to_a_door_without_it_fails_at_the_client(shared):
    for door in (shared.grpc, shared.http):
        host, _, port = door.rpartition(":")
        with (
            socket.create_connection((host, int(port)), timeout=60) as plain,
            pytest.raises(ssl.SSLError, match=r"(?i)wrong.version.number"),
        ):
            ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        until(lambda door=door: f'"endpoint": "{door}"' in shared.log.splitlines()[-1], "a line in the log")
    event = "client speaks TLS to an endpoint without it"
    remedy = "begin the client's endpoint with http://, or set tls for this endpoint"
    assert shared.log.count(event) == shared.log.count(remedy) == 2
    told("wrong version number", event, remedy)


def test_no_tls_to_a_door_with_it_is_said(receiver, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued = trustme.CA().issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(key)
    issued.cert_chain_pems[0].write_to_path(cert)
    for protocol in receiver.settings["receivers"]["otlp"]["protocols"].values():
        protocol["tls"] = {"cert_file": str(cert), "key_file": str(key)}
    receiver.start()
    with pytest.raises(grpc.RpcError):
        receiver.send(CAPTURE[0])
    event, remedy = "client speaks no TLS to an endpoint that requires it", "begin the client's endpoint with https://"
    until(lambda: event in receiver.log, "a line in the log")
    assert remedy in receiver.log
    told(event, remedy)


def test_what_is_sent_to_an_operators_door_writes_nothing(shared):
    before = shared.log
    for door in ("metrics", "health", "admin"):
        for endpoint in (address(shared, door), f"http://{address(shared, door)}/v1/logs"):
            assert run_command(["replay", str(DATA / "parallel-nested"), "--endpoint", endpoint]) == 1
    assert shared.log == before
    told("| gRPC or HTTP | 8888, 13133, 13134: the operator endpoints |")


def test_a_wrong_token_is_seen_on_both_sides(receiver):
    receiver.settings["receivers"]["otlp"]["protocols"]["grpc"]["auth"] = {"bearer_token": "right"}
    receiver.start()
    for refused, (given, phrase) in enumerate(
        [
            ((("authorization", "Bearer wrong"),), "the bearer token is not valid"),
            ((), "no credentials: send them in the authorization header"),
        ],
        start=1,
    ):
        with grpc.insecure_channel(receiver.grpc) as channel:
            export = channel.unary_unary(f"/{EXPORT_SERVICES['logs'].name}/Export")
            with pytest.raises(grpc.RpcError) as error:
                export(CAPTURE[0].body, timeout=60, metadata=given)
        assert (error.value.code(), error.value.details()) == (grpc.StatusCode.UNAUTHENTICATED, phrase)
        counted = f'requests_refused{{reason="unauthenticated",transport="grpc"}} {refused}'
        assert counted in metrics(receiver)
        told(phrase)
    until(lambda: '"reason": "the bearer token is not valid"' in receiver.log, "a line in the log")
    assert '"event": "request refused"' in receiver.log
    assert '"peer": "ipv4:127.0.0.1' in receiver.log
    told("UNAUTHENTICATED", "request refused", "peer=ipv4:", "opencode_trace_receiver_requests_refused")


# it arrives, and nothing becomes of it


def test_records_that_no_dialect_knows_are_counted_and_no_more(receiver):
    receiver.start()
    for _ in range(3):
        receiver.send(logs_request(relay_record("hello", 0.0), scope="com.example.other"))
    counted = 'opencode_trace_receiver_records_discarded{reason="unknown_record"'
    until(lambda: counted in metrics(receiver), "the count")
    assert "no session is open" in command(receiver, "sessions")
    until(lambda: "no dialect knows these records" in receiver.log, "a line in the log")
    assert receiver.log.count("com.example.other") == 1
    told(counted, "no session is open", "no dialect knows these records")


def test_spans_of_others_are_counted_and_handed_on(receiver):
    backend = Backend().start()
    sending_to(receiver, otlp_grpc={"endpoint": f"http://127.0.0.1:{backend.port}"})
    receiver.start()
    receiver.send(spans_request(Span(trace_id=b"t" * 16, span_id=b"s" * 8, name="x"), scope="com.example.other"))
    counted = 'opencode_trace_receiver_records_discarded{reason="handed_on"'
    until(lambda: counted in metrics(receiver), "the count")
    until(lambda: backend.received["traces"], "the span")
    backend.stop()
    told(counted)


def test_what_was_replayed_before_leaves_no_second_time(receiver):
    """The probe that the page recommends, twice, the second time with another backend."""
    backend = Backend().start()
    sending_to(receiver, otlp_grpc={"endpoint": f"http://127.0.0.1:{backend.port}"})
    replayed(receiver)
    until(lambda: backend.received["traces"], "the spans")
    until(lambda: "opencode_trace_receiver_sessions_open 0" in metrics(receiver), "the end of the sessions")
    assert receiver.stop() == 0
    backend.stop()
    other = Backend().start()
    sending_to(receiver, otlp_grpc={"endpoint": f"http://127.0.0.1:{other.port}"})
    replayed(receiver)
    counted = 'opencode_trace_receiver_items_skipped{reason="already_left"'
    until(lambda: counted in metrics(receiver), "the count")
    assert "no session is open" in command(receiver, "sessions")
    assert not other.received["traces"]
    other.stop()
    assert config.FileStorage(directory="x").retention == 7 * 86400 * 10**9
    told(counted, "the store remembers for 7 days", "had in the last 7 days")


def replayed(receiver: Receiver) -> None:
    """Start it, and send it a recording."""
    receiver.start()
    assert run_command(["replay", str(DATA / "parallel-nested"), "--endpoint", receiver.grpc]) == 0


def test_a_clock_that_is_off_is_seen_by_the_latency_and_hinders_nothing(receiver):
    """A clock that is 400 days behind, and then one that is as far ahead: its latency of 0 leaves the sum as it is."""
    receiver.start()
    for closed, days in enumerate((-400, 400), start=1):
        begin = time.time() - NOON / 1e9 + days * 86400
        times = {"start": round((begin + NOON / 1e9) * 1e3), "end": round((begin + NOON / 1e9 + 1) * 1e3)}
        state = {"status": "completed", "time": times}
        part = {"type": "tool", "tool": "bash", "callID": "c", "state": state}
        receiver.send(
            logs_request(
                relay_record("message.part.updated", begin + 1, {"part": part}, session_id=f"ses_{closed}"),
                relay_record("session.idle", begin + 2, {}, session_id=f"ses_{closed}"),
            )
        )
        counted = f"opencode_trace_receiver_sessions_closed {closed}"
        until(lambda counted=counted: counted in metrics(receiver), "the end of the session")
        latency = re.search(r'opencode_trace_receiver_span_latency_sum{kind="call"} (\S+)', metrics(receiver))
        assert latency is not None
        assert float(latency[1]) == pytest.approx(400 * 86400, abs=60)
    told("is as far off as a clock that is behind, and 0 for one that is ahead")


def more_than_fits():
    """Requests of some thousands of sessions."""
    return itertools.chain.from_iterable(
        joined(renamed(CAPTURE, first + second), 100)
        for first, second in itertools.product(string.ascii_letters, repeat=2)
    )


def test_a_full_store_is_said_to_clients_and_in_the_log(receiver):
    receiver.settings["extensions"]["file_storage"]["max_size_mib"] = 1
    sending_to(receiver, otlp_grpc={"endpoint": "http://127.0.0.1:9"})
    receiver.start()
    with pytest.raises(grpc.RpcError) as error:
        receiver.send(*more_than_fits())
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    for words in (error.value.details(), receiver.log):
        assert "the store is full" in words
    told("the store is full")


@pytest.fixture
def small_disk(tmp_path):
    """A command that runs another one where the store lies on a disk of 600 KiB, of which 200 KiB are `ballast`."""
    place = tmp_path / "disk"
    place.mkdir()
    script = 'mount -t tmpfs -o size=600k t "$0" && head -c 200k /dev/zero > "$0/ballast" && exec "$@"'
    under = ["unshare", *([] if os.geteuid() == 0 else ["-r"]), "-m", "sh", "-c", script, str(place)]
    if not shutil.which("unshare") or subprocess.run([*under, "true"], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here (unshare -m, mount -t tmpfs)")
    return under, place


def test_a_full_disk_is_said_and_told_by_the_health_check_and_heals_when_there_is_room(receiver, small_disk):
    receiver.under, place = small_disk
    receiver.settings["extensions"]["file_storage"]["directory"] = str(place / "store")
    sending_to(receiver, otlp_grpc={"endpoint": "http://127.0.0.1:9"})
    receiver.start()
    health = f"http://{address(receiver, 'health')}/"
    with pytest.raises(grpc.RpcError) as error:
        receiver.send(*more_than_fits())
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "database or disk is full" in error.value.details()
    assert "make room on the disk" in error.value.details()
    until(lambda: status(health) == 503, "bad health")
    time.sleep(3)
    assert receiver.log.count("requests could not be persisted") <= 1
    assert receiver.log.count("nothing can be built; trying again") <= 1
    (Path(f"/proc/{receiver.process.pid}/root{place}") / "ballast").unlink()
    until(lambda: status(health) == 200, "good health")
    receiver.send(CAPTURE[0])
    told("requests could not be persisted", "nothing can be built; trying again", "database or disk is full")
    told("building resumed", "health is 503")


def status(url: str) -> int:
    """Of the answer to a GET."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


# it does not start


@pytest.fixture
def refusal(capsys):
    """`refusal(receiver, *sets)`: the one line that `run` prints in this process when it does not start."""

    def refusal(receiver: Receiver, *sets: str) -> str:
        changes = [word for one in sets for word in ("--set", one)]
        with sigterm_after(60):
            assert run_command(["run", "--config", receiver.configured(), *changes]) == 1
        (line,) = (line for line in capsys.readouterr().err.splitlines() if not line.startswith("{"))
        return line

    return refusal


def test_an_address_that_is_taken_is_named(receiver, refusal):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refusal(receiver, f"receivers::otlp::protocols::grpc::endpoint={where}")
    phrase = "the port is taken; stop the program that listens there, or set another endpoint"
    assert said.endswith(f"cannot listen on {where}: {phrase}")
    told(f"cannot listen on localhost:4317: {phrase}", "the receiver works without it")


def test_an_exporter_that_leads_back_here_is_refused(receiver, refusal):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{one.getsockname()[1]}"
    said = refusal(
        receiver,
        f"receivers::otlp::protocols::grpc::endpoint={where}",
        f"exporters::otlp_grpc::endpoint=http://{where}",
    )
    phrase = "is this program's own receiver; set the backend's address"
    assert said.endswith(phrase)
    told(phrase)


def test_a_store_that_another_has_is_refused(shared, refusal):
    phrase = "is in use by another receiver; stop it or name another folder"
    assert phrase in refusal(shared)
    told(phrase)


def test_a_store_that_cannot_be_made_is_refused(receiver, refusal):
    receiver.settings["extensions"]["file_storage"]["directory"] = "/dev/null/store"
    phrase = "name a folder that this user may write"
    assert phrase in refusal(receiver)
    told(phrase)


def test_a_store_that_cannot_be_read_is_refused(receiver, refusal, subtests):
    receiver.start()
    assert receiver.stop() == 0
    database = receiver.folder / "store" / "receiver.db"
    whole = database.read_bytes()
    for spoil, phrase in [
        (newer, "was written by another version of this program"),
        (lambda db: db.write_bytes(b"garbage" * 1000), "receiver.db cannot be read (file is not a database)"),
        (lambda db: db.write_bytes(whole[:8192]), "database disk image is malformed"),
    ]:
        with subtests.test(phrase=phrase):
            database.write_bytes(whole)
            spoil(database)
            assert phrase in refusal(receiver)
            told(phrase)


def newer(database: Path) -> None:
    """Make it that of a later version."""
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA user_version = 99")


def test_an_unknown_key_is_told_with_the_nearest_one(receiver, refusal):
    receiver.settings["extensions"]["file_storage"]["direktory"] = "x"
    assert "unknown key; did you mean directory?" in refusal(receiver)
    told("unknown key; did you mean")


# names


def test_every_metric_and_command_of_the_page_exists():
    for name in re.findall(r"\b(?:otelcol|opencode_trace_receiver)_[a-z_]*[a-z]\b", PAGE):
        assert any(known.startswith(name) for known in NAMES), name
    help_ = subprocess.run([sys.executable, "-m", "receiver", "--help"], capture_output=True, text=True).stdout
    for name in re.findall(r"`?opencode-trace-receiver ([a-z]+)", PAGE):
        assert name in help_, name
