"""The whole way with everything real: OpenCode with the event relay → Collector → receiver → Collector → Jaeger and
Tempo, by otel-collector-config.yaml. What the backends show is what `build` makes of the same records, and that is what
the agent's own store says. The lab is that of tests/agent_lab; `LAB` names one that is set up already.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from receiver import config
from receiver.app.builder_settings import builder_settings
from receiver.model import Request
from receiver.pipeline.offline import build
from receiver.recordings.files import read_recordings
from tests.interop.backends import ROOT, Collector, Jaeger, Tempo, until
from tests.interop.captures import Expected
from tests.interop.test_collector import CHAIN, SOON
from tests.interop.test_modes import sanitized
from tests.support.processes import Receiver
from tests.support.trace_scoring import laws, score, spans_of

pytestmark = [pytest.mark.interop, *(pytest.mark.backend(name) for name in ("collector", "jaeger", "tempo"))]

LAB = ROOT / "tests" / "agent_lab"
PLACE = Path(os.environ.get("LAB") or LAB / "lab")
TIMES = {"settle": "2s", "idle_timeout": "5s", "inactivity_timeout": "20s"}
SCENARIOS = ("parallel-nested", "skill-mcp", "resume")


@pytest.fixture(scope="module")
def backends(tmp_path_factory):
    """Jaeger and Tempo."""
    if not (PLACE / "opencode").exists():
        pytest.skip("the real agent is not set up: make e2e, or tests/agent_lab/setup.sh")
    started = Jaeger(tmp_path_factory.mktemp("jaeger")), Tempo(tmp_path_factory.mktemp("tempo"))
    for one in started:
        one.start()
    yield started
    for one in started:
        one.stop()


@pytest.fixture
def chain(backends, tmp_path):
    """The Collector and the receiver behind it, which sends back into the Collector."""
    jaeger, tempo = backends
    further = {"endpoint": f"127.0.0.1:{tempo.port}", "tls": {"insecure": True}}
    changes = {
        "exporters": {"otlp_grpc/tempo": further},
        "service": {"pipelines": {"traces/built": {"exporters": ["otlp_grpc/backend", "otlp_grpc/tempo"]}}},
    }
    collector = Collector(tmp_path, CHAIN, changes).to(jaeger.port)
    receiver = Receiver(tmp_path / "receiver", **TIMES)
    door = receiver.settings["receivers"]["otlp"]["protocols"]["grpc"]
    door["endpoint"] = f"127.0.0.1:{collector.ports['receiver']}"
    receiver.settings["exporters"] = {"otlp_grpc": {"endpoint": f"http://127.0.0.1:{collector.ports['built']}", **SOON}}
    receiver.start()
    collector.start()
    yield collector, receiver
    receiver.kill()
    collector.stop()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_live_agents_tree_is_right_and_without_warnings(backends, chain, scenario, tmp_path):
    jaeger, tempo = backends
    collector, receiver = chain
    endpoint = f"http://127.0.0.1:{collector.ports['agents_grpc']}"
    played = tmp_path / "played"
    command = [sys.executable, LAB / "lab.py", "run", "--endpoint", endpoint, "--record", played, scenario]
    run = subprocess.run(command, env={**os.environ, "LAB": str(PLACE)}, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    recorded = [Request(one.signal, one.body, 0) for one in read_recordings([played / scenario / "otlp"])]
    loaded = config.load([("config", json.dumps(receiver.settings))], [], {"HOME": str(tmp_path)})
    bodies = list(build(recorded, builder_settings(loaded.connector)).requests())
    expected = Expected(bodies)
    for trace, ours in expected.traces.items():
        wanted = sorted((one.span_id.hex(), one.parent_span_id.hex(), one.name) for one in ours)
        for backend in backends:
            until(lambda b=backend, t=trace, n=ours: len(b.spans(t)) >= len(n), f"trace {trace} of {ours[0].name}")
        shown = jaeger.spans(trace)
        assert sorted((span["spanID"], Jaeger.parent(span), span["operationName"]) for span in shown) == wanted
        came = [(Tempo.id(s["spanId"]), Tempo.id(s.get("parentSpanId")), s["name"]) for s in tempo.spans(trace)]
        assert sorted(came) == wanted
        warnings = [(name, text.partition(" Original")[0]) for name, text in jaeger.warnings(trace)]
        assert sorted(warnings) == sorted(sanitized(ours))
    truth = json.loads((played / scenario / "expected.json").read_text())
    found = spans_of(bodies)
    assert not laws(found)
    judged = score(found, truth, b"".join(one.body for one in recorded if one.signal == "logs"))
    assert judged.perfect, [str(judged), *judged.notes]
    print(f"{scenario}: {len(expected.spans)} spans in {len(expected.traces)} traces; {judged}")
