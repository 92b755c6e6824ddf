"""One client's hostile requests against a receiver in a process of its own: memory, and the other clients' answers."""

import threading
import time
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from receiver.codec.export_service import EXPORT_SERVICES
from receiver.model import Request
from tests.support.hostile_requests import HOSTILE
from tests.support.processes import PATIENCE, Backend, Receiver

pytestmark = pytest.mark.process

MIB = 1 << 20
SIZES = {"log records": 57 * MIB}  # of a body; 58 KB once compressed
SIZE = 16 * MIB
MAX_RSS_MIB = 400  # 57 MiB take 297 to 312: grpcio itself makes three copies of a body before the receiver sees it
MAX_ACK_SECONDS = 1.0  # the 99th percentile of another client's


def peak_rss_mib(receiver: Receiver) -> float:
    status = Path(f"/proc/{receiver.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def small() -> Request:
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=time.time_ns())
    return Request("logs", request.SerializeToString(), 1)


class OtherClient(threading.Thread):
    """Sends a small request twenty times a second; `seconds` are its waits for the answers."""

    def __init__(self, receiver: Receiver) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._receiver = receiver
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(0.05):
            began = time.monotonic()
            self._receiver.send(small())
            self.seconds.append(time.monotonic() - began)

    def stop(self) -> None:
        self._stopped.set()
        self.join()


@pytest.fixture
def receiver(tmp_path):
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is read from /proc")
    backend = Backend().start()
    running = Receiver(tmp_path, backend).start()
    yield running
    running.kill()
    backend.stop()


def test_hostile_requests_take_little_memory_and_keep_no_other_client_waiting(receiver, subtests):
    other = OtherClient(receiver)
    other.start()
    gzipped = grpc.insecure_channel(receiver.grpc, compression=grpc.Compression.Gzip)
    for name, (signal, body) in HOSTILE.items():
        with subtests.test(name):
            export = gzipped.unary_unary(f"/{EXPORT_SERVICES[signal].name}/Export")
            with pytest.raises(grpc.RpcError) as refused:
                export(body(SIZES.get(name, SIZE)), timeout=PATIENCE)
            assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "max_items" in refused.value.details()
            assert not any(key == "grpc-status-details-bin" for key, _ in refused.value.trailing_metadata())
    gzipped.close()
    other.stop()
    assert peak_rss_mib(receiver) < MAX_RSS_MIB
    seconds = sorted(other.seconds)
    assert len(seconds) > 20
    assert seconds[int(len(seconds) * 0.99)] < MAX_ACK_SECONDS
    assert "max_items" in receiver.log


def test_an_honest_request_of_64_mib_and_150000_records_is_accepted(receiver):
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for number in range(150_000):
        record = records.add(time_unix_nano=time.time_ns() + number)
        record.body.string_value = "x" * 370
        for key in ("session.id", "event.name"):
            record.attributes.add(key=key).value.string_value = "0123456789a"
    body = request.SerializeToString()
    assert 63 * MIB < len(body) < 64 * MIB
    receiver.send(Request("logs", body, 150_000))
