"""Killed with SIGKILL at any point and started again: nothing that was acknowledged is lost, no span id leaves with two
contents, and copies are byte for byte the same (contract 7.3).
"""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from tests.support.otlp_requests import joined, recorded, singles
from tests.support.processes import Backend, Receiver, renamed, until

pytestmark = pytest.mark.process


@pytest.fixture
def backend():
    started = Backend().start()
    yield started
    started.stop()


@pytest.fixture
def receiver(tmp_path, backend):
    """A receiver that is still to be started. What is finished waits for longer than a restart takes."""
    made = Receiver(tmp_path / "receiver", backend, settle="3s")
    yield made
    made.kill()


def insist(receiver, requests):
    """Send as a client that sends again what was not acknowledged."""
    for request in requests:
        while True:
            try:
                receiver.send(request)
                break
            except (grpc.RpcError, ValueError):  # ValueError: the channel was closed under the call
                time.sleep(0.01)


def everything(receiver, backend, requests):
    """Every span of `build` came, and no other."""
    expected = receiver.expected(requests)
    until(lambda: backend.spans() >= expected, "every span")
    assert backend.spans() == expected
    return backend.copies()


def test_killed_while_it_receives(receiver, backend):
    chance = random.Random()
    requests = [*recorded("parallel-nested"), *renamed(recorded("parallel-nested"), "KR")]
    records = singles(requests)
    chance.shuffle(records)
    receiver.start()
    with ThreadPoolExecutor(3) as clients:
        shares = [joined(records[i::3], 4) for i in range(3)]
        sending = [clients.submit(insist, receiver, share) for share in shares]
        for _ in range(2):
            time.sleep(chance.uniform(0, 0.08))
            receiver.kill()
            receiver.start()
        for one in sending:
            one.result()
    everything(receiver, backend, requests)


def test_killed_while_it_builds(receiver, backend):
    chance = random.Random()
    receiver.settings["connectors"]["agenttrace"]["settle"] = "100ms"
    requests = [r for i in range(8) for r in renamed(recorded("parallel-nested"), f"K{i}")]
    receiver.start().send(*requests)
    for _ in range(4):
        receiver.kill()
        receiver.start()
        time.sleep(chance.uniform(0.08, 0.3))  # from then on, what is due leaves
    everything(receiver, backend, requests)


def test_killed_while_it_sends(receiver, backend):
    """The backend takes batches and says that it did not, so that they come again, before and after the kill."""
    receiver.settings["connectors"]["agenttrace"]["settle"] = "100ms"
    backend.refuse = lambda body: grpc.StatusCode.UNAVAILABLE
    requests = [r for i in range(2) for r in renamed(recorded("parallel-nested"), f"S{i}")]
    receiver.start().send(*requests)
    for _ in range(2):
        before = len(backend.received["traces"])
        until(lambda before=before: len(backend.received["traces"]) > before + 2, "sending")
        receiver.kill()
        receiver.start()
    backend.refuse = lambda body: None
    assert everything(receiver, backend, requests) > 0


def test_killed_right_after_the_answer(receiver, backend):
    """Acknowledged means committed: the JavaScript exporter sends nothing twice."""
    requests = recorded("parallel-nested")
    for request in requests[:4]:
        receiver.start().send(request)
        receiver.kill()
    receiver.start().send(*requests[4:])
    everything(receiver, backend, requests)


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(10))
def test_killed_at_any_point(receiver, backend, round_):
    """All at once, again and again: a backend that comes and goes, clients that insist, kills at random."""
    chance = random.Random(round_)
    requests = [r for i in range(4) for r in renamed(recorded("parallel-nested"), f"{round_}{i}")]
    requests += renamed(recorded("plugin-spans"), f"{round_}P")
    records = {s: singles(r for r in requests if r.signal == s) for s in ("logs", "metrics", "traces")}
    backend.refuse = lambda body: grpc.StatusCode.UNAVAILABLE if chance.random() < 0.3 else None
    receiver.start()
    with ThreadPoolExecutor(3) as clients:
        shares = [joined(chance.sample(of, len(of)), 5) for of in records.values() if of]
        sending = [clients.submit(insist, receiver, share) for share in shares]
        for _ in range(3):
            time.sleep(chance.uniform(0, 0.5))
            receiver.kill()
            receiver.start()
        for one in sending:
            one.result()
    for _ in range(5):
        time.sleep(chance.uniform(0, 2))
        receiver.kill()
        receiver.start()
    everything(receiver, backend, requests)
