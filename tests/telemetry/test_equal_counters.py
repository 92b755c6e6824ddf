"""What docs/operations.md says must be equal, read off the address that Prometheus reads, of the program as it runs:
after everything that was ever recorded, copies and garbage among it; after it was killed; with a backend that refuses.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import urllib.error
import urllib.request

import grpc
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver.admin.client import AdminClient
from receiver.codec.export_service import EXPORT_SERVICES
from receiver.telemetry.instruments import ITEMS, OWN
from tests.golden.rewrite import RECORDINGS, requests_of
from tests.support.factories import at, logs_request, relay_record, spans_request
from tests.support.processes import Backend, Receiver, until
from tests.telemetry.test_metrics import samples, total

pytestmark = pytest.mark.process

RECORDED = [request for folder in RECORDINGS for request in requests_of(folder)]
SOME = RECORDED[::3]  # of every recording, where any requests will do
STRANGE = [
    logs_request(relay_record("server.connected", 3), relay_record("x.y", 3), scope="?"),
    spans_request(
        *(
            Span(name=name, trace_id=b"t" * 16, span_id=name.encode() * 8, start_time_unix_nano=at(1))
            for name in ("a", "b")
        ),
        scope="theirs",
    ),
]


class Scraped:
    """A receiver's metrics at one time."""

    def __init__(self, port: int) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            self.found = samples(answer.read().decode())

    def __call__(self, name: str, **labels: str) -> float:
        return total(self.found, name, **labels)

    def own(self, name: str, **labels: str) -> float:
        return self(f"{OWN}{name}", **labels)

    @property
    def is_settled(self) -> bool:
        return self.own("backlog_items") == 0

    def unequal(self, *exporters: str) -> list[str]:
        """Every equality of docs/operations.md that does not hold; all exporters take the built traces."""
        accepted = sum(self(f"otelcol_receiver_accepted_{items}") for items in ITEMS.values())
        became = self.own("records_used") + self.own("records_discarded")
        kept = self.own("backlog_items") + self.own("records_set_aside")
        pairs = {"accepted": (accepted + self.own("records_at_start"), became + kept)}
        exporters = exporters or ("otlp_grpc",)
        for one in exporters:
            sent = sum(self(f"otelcol_exporter_sent_{items}", exporter=one) for items in ITEMS.values())
            kept_items = self("otelcol_exporter_queue_size", exporter=one) + self.own("items_set_aside", exporter=one)
            put = self.own("items_queued", exporter=one) + self.own("items_at_start", exporter=one)
            pairs[f"queued {one}"] = (put, sent + kept_items)
        spans = self.own("spans_built") + self.own("spans_handed_on")
        for one in exporters:
            pairs[f"built {one}"] = (self.own("items_queued", exporter=one, signal="traces"), spans)
        return [f"{name}: {left} is not {right}" for name, (left, right) in pairs.items() if left != right]

    def by_signal(self) -> list[str]:
        """The signals whose accepted records are not all used or discarded, when nothing is kept."""
        return [
            signal
            for signal, items in ITEMS.items()
            if self(f"otelcol_receiver_accepted_{items}")
            != sum(self.own(f"records_{outcome}", signal=signal) for outcome in ("used", "discarded"))
        ]


def endpoints(receiver: Receiver) -> dict[str, str]:
    logged = [json.loads(line) for line in receiver.log.splitlines()]
    return {one["protocol"]: one["endpoint"] for one in logged if one["event"] == "listening"}


def scrape(receiver: Receiver) -> Scraped:
    return Scraped(int(endpoints(receiver)["metrics"].rpartition(":")[2]))


def flush(receiver: Receiver) -> None:
    with AdminClient(endpoints(receiver)["admin"]) as client:
        client.flush()


def settled(receiver: Receiver, holds=lambda found: found("otelcol_exporter_queue_size") == 0) -> Scraped:
    """The metrics when they no longer change: twice the same, 0.3 s apart."""
    until(lambda: (found := scrape(receiver)).is_settled and holds(found), "settled")
    before = None
    while before is None or changing(before) != changing(after := scrape(receiver)):
        before = scrape(receiver)
        time.sleep(0.3)
    return after


def changing(found: Scraped) -> dict[object, float]:
    return {key: value for key, value in found.found.items() if not re.search("process|age|next_try", key[0])}


def garbage(receiver: Receiver) -> None:
    """Send malformed requests over both protocols, and calls whose clients hang up."""
    for path, body in (("/v1/logs", b"\xff\xff"), ("/v1/x", b""), ("/v1/traces", os.urandom(99))):
        headers = {"Content-Type": "application/x-protobuf"}
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(urllib.request.Request(f"http://{receiver.http}{path}", body, headers))
    with grpc.insecure_channel(receiver.grpc) as channel:
        for one in RECORDED[:60]:
            export = channel.unary_unary(f"/{EXPORT_SERVICES[one.signal].name}/Export")
            with contextlib.suppress(grpc.RpcError):
                export(one.body, timeout=0.003)
            with contextlib.suppress(grpc.RpcError):
                export(b"\xff\xff" + one.body)


@pytest.fixture
def backend():
    made = Backend().start()
    yield made
    made.stop()


@pytest.fixture
def receiver(tmp_path, backend):
    made = Receiver(tmp_path / "receiver", backend)
    yield made
    made.kill()


def test_the_counters_are_equal_in_a_healthy_system(receiver, backend):
    receiver.start()
    first = scrape(receiver)
    assert first.unequal() == []
    assert ("otelcol_receiver_accepted_spans", frozenset({("receiver", "otlp"), ("transport", "http")})) in first.found
    receiver.send(*RECORDED, *STRANGE)
    receiver.post(*RECORDED[::3], *STRANGE, encoding="x-protobuf")
    receiver.post(*RECORDED[::5], encoding="json")
    garbage(receiver)
    flush(receiver)
    found = settled(receiver)
    assert found.unequal() == []
    assert found.by_signal() == []
    assert (
        found("otelcol_exporter_sent_spans") == len(backend.spans()) + 2
    )  # the two foreign spans came twice and were handed on twice
    assert found.own("spans_handed_on") == found.own("records_discarded", reason="handed_on") > 2
    assert found.own("records_discarded", reason="unknown_record") > 2
    assert found.own("requests_refused", transport="grpc", reason="invalid_argument") >= 60


def test_the_counters_are_equal_after_a_kill_and_after_a_stop(receiver):
    receiver.start()
    for round_ in range(2):
        receiver.send(*RECORDED[round_ * 40 : round_ * 40 + 60])
        if round_ % 2:
            receiver.stop()
        else:
            receiver.kill()
        receiver.start()
        found = settled(receiver)
        assert found.unequal() == [], round_
    receiver.send(*SOME)
    flush(receiver)
    assert settled(receiver).unequal() == []


def test_the_counters_are_equal_when_a_backend_refuses_and_after_a_resend(receiver, backend):
    refused: dict[bytes, bool] = {}  # every second body, beginning with the first
    backend.refuse = lambda body: (
        grpc.StatusCode.INVALID_ARGUMENT if refused.setdefault(body, len(refused) % 2 == 0) else None
    )
    receiver.start()
    receiver.send(*SOME)
    flush(receiver)
    found = settled(receiver)
    assert found.unequal() == []
    assert found.own("items_set_aside") == found("otelcol_exporter_send_failed_spans") > 0
    receiver.kill()
    receiver.start()
    assert settled(receiver).unequal() == []
    backend.refuse = lambda body: None
    with AdminClient(endpoints(receiver)["admin"]) as client:
        assert client.resend([]).items == found.own("items_set_aside")
    again = settled(receiver)
    assert again.unequal() == []
    assert again("otelcol_exporter_sent_spans") == found.own("items_set_aside")


def test_the_counters_are_equal_without_a_backend_and_when_it_is_back(receiver, backend):
    backend.refuse = lambda body: grpc.StatusCode.UNAVAILABLE
    receiver.start()
    receiver.send(*SOME)
    flush(receiver)
    found = settled(receiver, lambda found: found.own("items_retried") > 0)
    assert found.unequal() == []
    assert found("otelcol_exporter_queue_size") > 0
    assert found.own("queue_age") > 0
    receiver.kill()
    backend.refuse = lambda body: None
    receiver.start()
    assert settled(receiver).unequal() == []


def test_the_counters_are_equal_with_signals_forwarded_to_other_exporters(receiver, backend):
    receiver.settings["exporters"]["file"] = {"path": str(receiver.folder / "all.jsonl")}
    receiver.settings["service"]["pipelines"] = {
        "logs": {"receivers": ["otlp"], "exporters": ["agenttrace", "file"]},
        "metrics": {"receivers": ["otlp"], "exporters": ["agenttrace", "file"]},
        "traces/in": {"receivers": ["otlp"], "exporters": ["agenttrace"]},
        "traces": {"receivers": ["agenttrace"], "exporters": ["otlp_grpc", "file"]},
    }
    receiver.start()
    receiver.send(*SOME, *STRANGE)
    flush(receiver)
    found = settled(receiver)
    assert found.unequal("otlp_grpc", "file") == []
    assert found("otelcol_exporter_sent_log_records", exporter="file") == found("otelcol_receiver_accepted_log_records")
    assert found("otelcol_exporter_sent_log_records", exporter="otlp_grpc") == 0
