"""The chains of otel-collector-config.yaml with the real Collector: what comes out at the end is what `build` makes of
the same recordings, span by span.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver.cli.replay import replay
from receiver.core.state.settings import BuilderSettings
from receiver.model import Request
from receiver.pipeline.offline import build
from receiver.recordings.files import read_recordings
from tests.golden.rewrite import built_from
from tests.interop.backends import ROOT, Collector, asked, send, until
from tests.interop.captures import ALL, NESTED, SKILL_AND_MCP, capture, captures, folder, same
from tests.support.factories import spans_request
from tests.support.otlp_requests import joined, singles, spans_in
from tests.support.processes import Backend, Receiver, renamed

pytestmark = [pytest.mark.interop, pytest.mark.backend("collector")]

CHAIN = ROOT / "otel-collector-config.yaml"
PATIENT = {"settle": "2s", "idle_timeout": "4s", "inactivity_timeout": "8s"}  # longer than the Collector's batches take
SOON = {"retry_on_failure": {"initial_interval": "200ms", "max_interval": "500ms"}}
RETRIES: dict[str, Any] = {"exporters": {"otlp_grpc/trace_receiver": SOON, "otlp_grpc/backend": SOON}}
BATCH = 8192
TAGS = [f"{a}{b}" for a in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" for b in "abcdefghijklmnopqrstuvwxyz"]  # of copies' sessions


@pytest.fixture
def sink():
    """Where the Collector sends what was built."""
    started = Backend().start()
    yield started
    started.stop()


@pytest.fixture
def chain(tmp_path, sink):
    """Starts the Collector and the receiver behind it, which sends back into the Collector."""
    running: list[Any] = []

    def made(configuration: Any = CHAIN, changes: dict[str, Any] | None = RETRIES, **connector: str):
        collector = Collector(tmp_path, configuration, changes).to(sink.port)
        receiver = Receiver(tmp_path / "receiver", **{**PATIENT, **connector})
        receiver.settings["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] = (
            f"127.0.0.1:{collector.ports['receiver']}"
        )
        receiver.settings["exporters"] = {
            "otlp_grpc": {"endpoint": f"http://127.0.0.1:{collector.ports['built']}", "timeout": "2s", **SOON}
        }
        running.extend((collector, receiver))
        return collector, receiver

    yield made
    for one in running:
        one.kill() if isinstance(one, Receiver) else one.stop()


def behind_only() -> dict[str, Any]:
    """Chain B, made as the file says: without the agents' receiver, the exporter to us and the agents' pipelines."""
    tree: dict[str, Any] = yaml.safe_load(CHAIN.read_text())
    del tree["receivers"]["otlp/agents"], tree["exporters"]["otlp_grpc/trace_receiver"]
    for name in [name for name in tree["service"]["pipelines"] if name.endswith("/agents")]:
        del tree["service"]["pipelines"][name]
    return tree


def play(name: str, endpoint: str) -> None:
    """Send a recording with `replay`."""
    done = asyncio.run(replay(read_recordings([folder(name)]), endpoint))
    assert not done.refused


def everything(sink: Backend, expected: set[bytes]) -> None:
    """Every span came, as `build` makes it, and no other."""
    until(lambda: len(set(spans_in(list(sink.received["traces"])))) >= len(expected), "every span")
    same(sink.received["traces"], expected)


def test_its_own_validate_accepts_the_file(tmp_path):
    code, said = Collector(tmp_path, CHAIN).to(4317).validated()
    assert code == 0, said


def test_its_own_validate_accepts_the_file_cut_to_chain_B(tmp_path):
    code, said = Collector(tmp_path, behind_only()).to(4317).validated()
    assert code == 0, said


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_chain_A_gives_the_spans_of_build_for_all_recordings(chain, sink, protocol):
    collector, receiver = chain()
    receiver.start()
    collector.start()
    port = collector.ports[f"agents_{protocol}"]
    for name in ALL:
        play(name, f"http://127.0.0.1:{port}/" if protocol == "http" else f"127.0.0.1:{port}")
    everything(sink, receiver.expected(captures(*ALL)))


def test_chain_B_gives_the_spans_of_build_for_all_recordings(chain, sink):
    collector, receiver = chain(behind_only(), {"exporters": {"otlp_grpc/backend": SOON}})
    receiver.start()
    collector.start()
    for name in ALL:
        play(name, receiver.grpc)
    everything(sink, receiver.expected(captures(*ALL)))


def test_spans_of_others_come_back_untouched(chain, sink):
    stranger = Span(name="GET /", trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=1, end_time_unix_nano=2)
    request = spans_request(stranger, scope="theirs")
    collector, receiver = chain()
    receiver.start()
    collector.start()
    send(collector.ports["agents_grpc"], request)
    everything(sink, set(spans_in([request.body])))


def test_gzipped_batches_of_8192_records_give_the_spans_of_build(chain, sink, tmp_path):
    seen = tmp_path / "batches.jsonl"
    batching = {
        "processors": {"batch/large": {"send_batch_size": BATCH, "send_batch_max_size": BATCH, "timeout": "2s"}},
        "exporters": {**RETRIES["exporters"], "file/seen": {"path": str(seen)}},
        "service": {
            "pipelines": {
                "logs/agents": {
                    "processors": ["memory_limiter", "batch/large"],
                    "exporters": ["otlp_grpc/trace_receiver", "file/seen"],
                }
            }
        },
    }
    collector, receiver = chain(changes=batching, settle="5s", idle_timeout="20s", inactivity_timeout="30s")
    receiver.start()
    collector.start()
    one = len(singles(capture(NESTED)))
    copies = 2 * BATCH // one + 1
    requests = [again for tag in TAGS[:copies] for again in renamed(capture(NESTED), tag)]
    for request in joined(requests, 16):
        send(collector.ports["agents_grpc"], request)
    everything(sink, receiver.expected(requests))
    sizes = [_records(json.loads(line)) for line in seen.read_text().splitlines()]
    assert max(sizes) == BATCH
    assert sum(sizes) == one * copies


def test_a_backend_with_the_usual_limit_gets_large_batches_in_pieces(chain, sink):
    """gRPC servers, Jaeger's and Tempo's among them, refuse more than 4 MiB for good unless told otherwise."""
    sink.stop()
    limited = Backend(4 * 2**20).start()
    ids = [number.to_bytes(8, "big") for number in range(1, BATCH + 1)]
    strangers = [
        Span(name="x" * 1000, trace_id=b"t" * 16, span_id=one, start_time_unix_nano=1, end_time_unix_nano=2)
        for one in ids
    ]
    collector, receiver = chain()
    collector.to(limited.port)
    receiver.start()
    collector.start()
    request = spans_request(*strangers, scope="theirs")
    send(collector.ports["agents_grpc"], request)
    try:
        everything(limited, set(spans_in([request.body])))
    finally:
        limited.stop()
    assert "Exporting failed" not in collector.log


def test_what_it_took_from_us_is_kept_when_it_is_killed(chain, sink):
    """It answers us when a batch is in its queue on disk, so a batch that waits for company is not lost."""
    batching = {"sending_queue": {"batch": {"flush_timeout": "120s"}}}
    collector, receiver = chain(behind_only(), {"exporters": {"otlp_grpc/backend": batching}})
    receiver.start()
    collector.start()
    play(NESTED, receiver.grpc)
    expected = receiver.expected(capture(NESTED))
    until(lambda: _sent(receiver) == len(expected), "everything sent to the Collector")
    assert not sink.received["traces"]
    collector.process.kill()
    collector.process.wait()
    collector.files = Collector(collector.folder, behind_only()).files
    collector.start()
    everything(sink, expected)


def _sent(receiver: Receiver) -> int:
    """The spans that the receiver says it has sent."""
    said = [json.loads(line) for line in receiver.log.splitlines() if '"metrics"' in line]
    text = asked(f"http://{said[0]['endpoint']}/metrics") or ""
    lines = [line for line in text.splitlines() if line.startswith("otelcol_exporter_sent_spans{")]
    return sum(int(float(line.rpartition(" ")[2])) for line in lines)


def test_it_retries_while_the_receiver_is_not_there_yet(chain, sink):
    collector, receiver = chain()
    collector.start()
    play(NESTED, f"127.0.0.1:{collector.ports['agents_grpc']}")
    until(lambda: "Exporting failed. Will retry" in collector.log, "a failed attempt")
    receiver.start()
    everything(sink, receiver.expected(capture(NESTED)))


def test_it_keeps_its_queue_for_us_over_its_own_restart(chain, sink):
    collector, receiver = chain()
    collector.start()
    play(NESTED, f"127.0.0.1:{collector.ports['agents_grpc']}")
    until(lambda: "Exporting failed. Will retry" in collector.log, "a failed attempt")
    collector.stop()
    receiver.start()
    collector.start()
    everything(sink, receiver.expected(capture(NESTED)))


def test_it_retries_on_our_UNAVAILABLE(chain, sink):
    """A store at its limit refuses. The backend's return empties it, and the Collector gets rid of what it kept."""
    collector, receiver = chain()
    receiver.settings["extensions"]["file_storage"]["max_size_mib"] = 1
    sink.stop()
    receiver.settings["exporters"]["otlp_grpc"]["endpoint"] = f"http://127.0.0.1:{sink.port}"
    receiver.start()
    collector.start()
    before = _fill(receiver)
    play(NESTED, f"127.0.0.1:{collector.ports['agents_grpc']}")
    until(lambda: "the store is full" in collector.log, "our refusal")
    assert "Will retry" in collector.log
    sink.start()
    everything(sink, receiver.expected([*before, *capture(NESTED)]))


def test_we_retry_while_it_is_gone(chain, sink):
    collector, receiver = chain(behind_only(), {"exporters": {"otlp_grpc/backend": SOON}})
    receiver.start()
    play(SKILL_AND_MCP, receiver.grpc)
    collector.start()
    everything(sink, receiver.expected(capture(SKILL_AND_MCP)))
    collector.stop()
    play(NESTED, receiver.grpc)
    until(lambda: "export failed; will retry" in receiver.log, "a failed attempt")
    collector.start()
    everything(sink, receiver.expected(captures(SKILL_AND_MCP, NESTED)))


def test_we_retry_on_its_UNAVAILABLE(chain, sink):
    """A memory limit that it has passed when it starts: it refuses everything, as an overloaded Collector does."""
    short = behind_only()
    short["processors"]["memory_limiter"] = {"check_interval": "100ms", "limit_mib": 2, "spike_limit_mib": 1}
    collector, receiver = chain(short, {"exporters": {"otlp_grpc/backend": SOON}})
    receiver.start()
    collector.start()
    play(NESTED, receiver.grpc)
    until(lambda: "data refused due to high memory usage" in receiver.log, "its refusal")
    collector.stop()
    collector.files = Collector(collector.folder, behind_only(), {"exporters": {"otlp_grpc/backend": SOON}}).files
    collector.start()
    everything(sink, receiver.expected(capture(NESTED)))


def test_what_its_file_exporter_writes_is_a_recording(tmp_path, sink):
    seen = tmp_path / "recording.jsonl"
    files: dict[str, Any] = {"exporters": {"file": {"path": str(seen)}}, "service": {"pipelines": {}}}
    for signal in ("logs", "metrics", "traces"):
        files["service"]["pipelines"][f"{signal}/agents"] = {"exporters": ["file"]}
    collector = Collector(tmp_path, CHAIN, files).to(sink.port).start()
    try:
        play(SKILL_AND_MCP, f"127.0.0.1:{collector.ports['agents_grpc']}")
        until(lambda: seen.exists() and len(seen.read_text().splitlines()) == len(capture(SKILL_AND_MCP)), "the file")
    finally:
        collector.stop()
    same(_built(seen), set(spans_in(built_from(folder(SKILL_AND_MCP).parent).requests())))


def _fill(receiver: Receiver) -> list[Request]:
    """Send until the store is full; what was accepted."""
    accepted: list[Request] = []
    refusal: grpc.RpcError | None = None
    for tag in TAGS:
        request = joined(renamed(capture(NESTED), tag), 100)[0]
        try:
            receiver.send(request)
        except grpc.RpcError as error:
            refusal = error
            break
        accepted.append(request)
    assert refusal is not None, "the store took everything"
    assert refusal.code() is grpc.StatusCode.UNAVAILABLE
    return accepted


def _built(file: Path) -> list[bytes]:
    requests = [Request(one.signal, one.body, 0) for one in read_recordings([file])]
    return list(build(requests, BuilderSettings()).requests())


def _records(request: dict[str, Any]) -> int:
    return sum(len(s["logRecords"]) for r in request["resourceLogs"] for s in r["scopeLogs"])
