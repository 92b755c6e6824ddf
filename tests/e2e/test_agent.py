"""End to end with the real agent: OpenCode plays a scenario against a running receiver, through the project's own
plugin, and the spans at a backend are compared with the agent's own store.

This module starts the processes and waits for them. Scenarios are in tests/agent_lab, the rules of the comparison in
tests/support/trace_scoring.py. It takes minutes, so it runs only with `-m e2e`. `E2E=all` plays all scenarios; `LAB`
names a lab that is set up already. Without node, npm, git or a package registry it is skipped, and says so.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest

from tests.support.trace_scoring import Score, Seen, laws, score, spans_of

pytestmark = pytest.mark.e2e

LAB = Path(__file__).parent.parent / "agent_lab"
SCENARIOS = (
    "basic",
    "skill-mcp",
    "tasks",
    "parallel-nested",
    "slash",
    "llm-errors",
    "permission",
    "two-dirs",
    "run-basic",
    "run-tasks",
    "run-greet",
)
SLOW_SCENARIOS = ("abort", "resume", "serve-multi", "long-session")  # 20 to 40 s each
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PATIENCE = 40.0  # s from the agent's end to the last span: the idle time-out, and a machine that is busy
INACTIVE = "20s"  # closes what `opencode run` left open, where it ended before its last event was sent


class Backend(grpc.GenericRpcHandler):
    """An OTLP/gRPC backend that keeps what it is sent."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(2), handlers=(self,), options=[("grpc.so_reuseport", 0)])
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if handler_call_details.method != EXPORT:
            return None
        return grpc.unary_unary_rpc_method_handler(self._export)

    def _export(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        self.requests.append(body)
        return b""

    def stop(self) -> None:
        self._server.stop(1).wait(3)


@pytest.fixture
def backend() -> Iterator[Backend]:
    backend = Backend()
    yield backend
    backend.stop()


@pytest.fixture(scope="session")
def lab() -> dict[str, str]:
    """The environment of a lab that is set up, which takes some 430 MB of packages the first time."""
    missing = [tool for tool in ("node", "npm", "git") if not shutil.which(tool)]
    if missing:
        pytest.skip(f"the real agent needs {', '.join(missing)} on PATH")
    place = Path(os.environ.get("LAB") or LAB / "lab").resolve()
    environment = {**os.environ, "LAB": str(place)}
    if not (place / "opencode").exists() or not (place / "event-relay").exists():
        done = subprocess.run(
            [LAB / "setup.sh"], env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode:
            pytest.skip(f"the real agent could not be installed: {done.stderr.strip()[-300:]}")
    return environment


@pytest.fixture
def endpoint(backend: Backend, tmp_path: Path) -> Iterator[str]:
    """The address of a receiver that runs with short time-outs and exports to the backend."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = (
        f"receivers::otlp::protocols={{grpc: {{endpoint: '{address}'}}}}",
        "connectors::agenttrace::idle_timeout=4s",
        f"connectors::agenttrace::inactivity_timeout={INACTIVE}",
        "connectors::agenttrace::settle=500ms",
        f"exporters={{otlp_grpc: {{endpoint: 'http://127.0.0.1:{backend.port}'}}}}",
        f"extensions={{file_storage: {{directory: '{tmp_path / 'store'}'}}}}",
        "service::extensions=[file_storage]",
        "service::telemetry::metrics::address=127.0.0.1:0",
    )
    command = [sys.executable, "-m", "receiver", "run", *(f"--set={setting}" for setting in settings)]
    # nothing of the caller's own telemetry settings
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    with open(tmp_path / "receiver.log", "wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_until_up(process, address, tmp_path / "receiver.log")
        yield f"http://{address}"
        assert process.poll() is None, (tmp_path / "receiver.log").read_text()[-2000:]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, (tmp_path / "receiver.log").read_text()[-2000:]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _wait_until_up(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    host, port = address.split(":")
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection((host, int(port)), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the receiver did not come up: {log.read_text()[-2000:]}")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_traces_of_a_live_agent_are_exact(
    scenario: str, lab: dict[str, str], endpoint: str, backend: Backend, tmp_path: Path
) -> None:
    _play_and_judge(scenario, lab, endpoint, backend, tmp_path)


@pytest.mark.skipif(os.environ.get("E2E") != "all", reason="the slow scenarios: set E2E=all")
@pytest.mark.parametrize("scenario", SLOW_SCENARIOS)
def test_the_traces_of_a_live_agent_are_exact_in_slow_scenarios(
    scenario: str, lab: dict[str, str], endpoint: str, backend: Backend, tmp_path: Path
) -> None:
    _play_and_judge(scenario, lab, endpoint, backend, tmp_path)


def _play_and_judge(scenario: str, lab: dict[str, str], endpoint: str, backend: Backend, tmp_path: Path) -> None:
    played = tmp_path / "played"
    command = [sys.executable, LAB / "lab.py", "run", "--endpoint", endpoint, "--record", played, scenario]
    run = subprocess.run(command, env=lab, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, f"the agent did not play {scenario} as written: {run.stdout}{run.stderr}"
    expected = json.loads((played / scenario / "expected.json").read_text())
    told = b"".join(path.read_bytes() for path in sorted((played / scenario / "otlp").glob("*-logs.pb")))

    def judged() -> tuple[list[Seen], list[str], Score]:
        spans = spans_of(list(backend.requests))
        return spans, laws(spans), score(spans, expected, told)

    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        spans, broken, result = judged()
        if result.perfect and not broken and _all_closed(spans, expected, told):
            break
        time.sleep(0.25)
    spans, broken, result = judged()
    said = (tmp_path / "receiver.log").read_text(errors="replace")[-4000:]
    assert not broken, said
    assert result.perfect, "\n".join([str(result), *result.notes, said])
    assert result.calls_extra == 0, f"{result}\n{said}"
    print(f"{scenario}: {len(spans)} spans · {result}")


def _all_closed(spans: list[Seen], expected: list[dict[str, object]], told: bytes) -> bool:
    """Whether each session that was told of has its span: it leaves after all that is below it."""
    closed = {span.session for span in spans if span.is_session}
    return all(session["id"] in closed for session in expected if str(session["id"]).encode() in told)
