"""OpenTelemetry's exporters for JavaScript, as plugins use them, against `run`: each signal and kind on its own port
and on the other; and who loses what while the receiver is away.
"""

import json
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.support.processes import Backend, Receiver, until

pytestmark = pytest.mark.interop
SEND = Path(__file__).parent / "send.cjs"
PATIENCE = 180.0  # s: gRPC's pauses between attempts grow to two minutes
KINDS = ("grpc", "http", "proto")


class Client:
    """An SDK that sends items in a process of its own, `pause` ms apart; what it says is read as it comes."""

    def __init__(self, line, signal, kind, port, count=1, pause=0):
        command = ["node", SEND, signal, kind, f"http://127.0.0.1:{port}", str(count), str(pause)]
        self._process = subprocess.Popen(
            command, cwd=line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.sent, self.told = [], []  # names; what the SDK was told of each request
        self._complaints = []
        readers = (self._hear, lambda: self._complaints.extend(self._process.stderr))
        self._reading = [threading.Thread(target=reader, daemon=True) for reader in readers]
        for reader in self._reading:
            reader.start()

    def _hear(self):
        for line in self._process.stdout:
            if line.startswith("{"):
                said = json.loads(line)
                self.sent.append(said["sent"]) if "sent" in said else self.told.append(said)

    def acknowledged(self):
        return {one["name"] for one in list(self.told) if one["code"] == 0}

    def goes_on(self, holds, what):
        """Return when it holds, while items are sent. Fails when they are not any more, or after PATIENCE."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert self._process.poll() is None, f"{what}: {''.join(self._complaints)}"
            assert time.monotonic() < deadline, f"{what}: {len(self.sent)} sent, told {self.told[-3:]}"
            time.sleep(0.05)

    def results(self):
        """What the SDK was told of each request, when no more are sent and it has ended."""
        self._process.stdin.close()
        code = self._process.wait(90)
        for reader in self._reading:
            reader.join()
        assert code == 0, "".join(self._complaints)
        return self.told

    def kill(self):
        self._process.kill()
        self._process.wait()
        for reader in self._reading:
            reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            pipe.close()


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
    sending = Client(line, signal, kind, port_of(getattr(receiver, port)))
    told = sending.results()
    sending.kill()
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
    """An item every 250 ms; the receiver comes after twelve, is killed when twelve are acknowledged, and comes again
    after another twelve, for twelve more. How long each takes is the SDK's business: gRPC tries again ever more seldom.
    """
    running = running_on(tmp_path / "receiver", backend)
    protocol = "grpc" if kind == "grpc" else "http"
    running.settings["receivers"]["otlp"]["protocols"][protocol]["endpoint"] = address
    backend.received["logs"].clear()
    sending = Client(line, "logs", kind, port_of(address), count=0, pause=250)

    def more(counted, what):
        before = len(counted())
        sending.goes_on(lambda: len(counted()) >= before + 12, what)

    try:
        more(lambda: sending.sent, "sending while nobody listens")
        running.start()
        more(sending.acknowledged, "acknowledgement")
        running.kill()
        more(lambda: sending.sent, "sending to one that was killed")
        running.start()
        more(sending.acknowledged, "acknowledgement after it came back")
        told = sending.results()
        kept = {one["name"] for one in told if one["code"] == 0}
        lost = {one["name"] for one in told if one["code"] != 0}

        def came():
            bodies = b"".join(list(backend.received["logs"]))
            return {name for name in kept | lost if name.encode() in bodies}

        until(lambda: came() >= kept, "everything that was acknowledged")
        reasons = sorted({str(one.get("error"))[:60] for one in told if one["code"] != 0})
        print(f"\n{line.name} {kind}: {len(told)} told, {len(kept)} acknowledged, {len(lost - came())} lost: {reasons}")
    finally:
        sending.kill()
        running.kill()
