"""OpenTelemetry's exporters for JavaScript, as plugins use them, against `run`: each signal and kind on its own port
and on the other; and who loses what while the receiver is away.
"""

import json
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.processes import Backend, Receiver, until

pytestmark = pytest.mark.interop
SEND = Path(__file__).parent / "send.cjs"
KINDS = ("grpc", "http", "proto")


def client(line, signal, kind, port, count=1, pause=0):
    command = ["node", SEND, signal, kind, f"http://127.0.0.1:{port}", str(count), str(pause)]
    return subprocess.Popen(command, cwd=line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def results(process):
    """What the SDK was told of each request."""
    said, complaints = process.communicate(timeout=90)
    assert process.returncode == 0, complaints
    return [json.loads(one) for one in said.splitlines() if one.startswith("{")]


def running_on(folder, backend):
    """A receiver that forwards what comes, not started."""
    made = Receiver(folder, backend, settle="200ms")
    taking = {"receivers": ["otlp"], "exporters": ["agenttrace", "otlp_grpc"]}
    made.settings["service"]["pipelines"] = {
        "logs": taking,
        "metrics": taking,
        "traces/in": {"receivers": ["otlp"], "exporters": ["agenttrace"]},
        "traces": {"receivers": ["agenttrace"], "exporters": ["otlp_grpc"]},
    }
    return made


def port_of(address):
    return int(address.rpartition(":")[2])


@pytest.fixture(scope="module")
def backend():
    started = Backend().start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def receiver(tmp_path_factory, backend):
    made = running_on(tmp_path_factory.mktemp("interop"), backend).start()
    yield made
    made.kill()


@pytest.mark.parametrize("port", ["grpc", "http"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("signal", ["logs", "metrics", "traces"])
def test_every_exporter_is_served_on_either_port(line, receiver, backend, signal, kind, port):
    backend.received[signal].clear()
    told = results(client(line, signal, kind, port_of(getattr(receiver, port))))
    assert [(one["code"], one.get("error")) for one in told] == [(0, None)]
    name = f"item-{signal}-{kind}-0.".encode()
    until(lambda: any(name in body for body in list(backend.received[signal])), "the forwarded item")


@pytest.fixture
def address():
    """A port that is free until the receiver takes it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_acknowledged_is_kept_however_the_receiver_comes_and_goes(line, tmp_path, backend, address, kind):
    """An item every 250 ms for 25 s; the receiver comes after 3 s, is killed 5 s later, and comes again 3 s later."""
    running = running_on(tmp_path / "receiver", backend)
    protocol = "grpc" if kind == "grpc" else "http"
    running.settings["receivers"]["otlp"]["protocols"][protocol]["endpoint"] = address
    backend.received["logs"].clear()
    sending = client(line, "logs", kind, port_of(address), 100, 250)
    try:
        time.sleep(3)
        running.start()
        time.sleep(5)
        running.kill()
        time.sleep(3)
        running.start()
        told = results(sending)
        kept = {one["name"] for one in told if one["code"] == 0}
        lost = {one["name"] for one in told if one["code"] != 0}
        assert kept

        def came():
            bodies = b"".join(list(backend.received["logs"]))
            return {name for name in kept | lost if name.encode() in bodies}

        until(lambda: came() >= kept, "everything that was acknowledged")
        reasons = sorted({str(one.get("error"))[:60] for one in told if one["code"] != 0})
        print(f"\n{line.name} {kind}: {len(told)} told, {len(kept)} acknowledged, {len(lost - came())} lost: {reasons}")
    finally:
        sending.kill()
        running.kill()
