"""After a SIGKILL at any point and a restart, nothing acknowledged is lost, no span id is sent with two contents, and
copies are byte for byte the same (docs/contract.md 7.3).
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
    """A receiver that is not started. Its `settle` is longer than a restart takes."""
    made = Receiver(tmp_path / "receiver", backend, settle="3s")
    yield made
    made.kill()


def send_until_acknowledged(receiver, requests):
    """Send like a client that resends until it is acknowledged."""
    for request in requests:
        while True:
            try:
                receiver.send(request)
                break
            except (grpc.RpcError, ValueError):  # ValueError: the channel was closed under the call
                time.sleep(0.01)


def check_spans(receiver, backend, requests):
    """Wait for every span of `build`, and check that no other came; the number of copies."""
    expected = receiver.expected(requests)
    until(lambda: backend.spans() >= expected, "every span")
    assert backend.spans() == expected
    return backend.copies()


def test_a_kill_while_receiving_loses_nothing(receiver, backend):
    chance = random.Random()
    requests = [*recorded("parallel-nested"), *renamed(recorded("parallel-nested"), "KR")]
    records = singles(requests)
    chance.shuffle(records)
    receiver.start()
    with ThreadPoolExecutor(3) as clients:
        shares = [joined(records[i::3], 4) for i in range(3)]
        sending = [clients.submit(send_until_acknowledged, receiver, share) for share in shares]
        for _ in range(2):
            time.sleep(chance.uniform(0, 0.08))
            receiver.kill()
            receiver.start()
        for one in sending:
            one.result()
    check_spans(receiver, backend, requests)


def test_a_kill_while_building_loses_nothing(receiver, backend):
    chance = random.Random()
    receiver.settings["connectors"]["agenttrace"]["settle"] = "100ms"
    requests = [r for i in range(8) for r in renamed(recorded("parallel-nested"), f"K{i}")]
    receiver.start().send(*requests)
    for _ in range(4):
        receiver.kill()
        receiver.start()
        time.sleep(chance.uniform(0.08, 0.3))  # due spans are emitted from then on
    check_spans(receiver, backend, requests)


def test_a_kill_while_sending_loses_nothing(receiver, backend):
    """The backend takes batches but answers UNAVAILABLE, so that they are sent again, before and after the kill."""
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
    assert check_spans(receiver, backend, requests) > 0


def test_a_kill_right_after_the_acknowledgement_loses_nothing(receiver, backend):
    """The JavaScript exporter does not resend what was acknowledged."""
    requests = recorded("parallel-nested")
    for request in requests[:4]:
        receiver.start().send(request)
        receiver.kill()
    receiver.start().send(*requests[4:])
    check_spans(receiver, backend, requests)


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(10))
def test_kills_at_random_points_lose_nothing(receiver, backend, round_):
    """An unreliable backend, clients that resend, and kills at random, all at once."""
    chance = random.Random(round_)
    requests = [r for i in range(4) for r in renamed(recorded("parallel-nested"), f"{round_}{i}")]
    requests += renamed(recorded("plugin-spans"), f"{round_}P")
    records = {s: singles(r for r in requests if r.signal == s) for s in ("logs", "metrics", "traces")}
    backend.refuse = lambda body: grpc.StatusCode.UNAVAILABLE if chance.random() < 0.3 else None
    receiver.start()
    with ThreadPoolExecutor(3) as clients:
        shares = [joined(chance.sample(of, len(of)), 5) for of in records.values() if of]
        sending = [clients.submit(send_until_acknowledged, receiver, share) for share in shares]
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
    check_spans(receiver, backend, requests)
