"""The own metrics, as a real Prometheus reads them with the configuration of deploy/: every expression of the dashboard
has an answer. And as a real Collector tells its own: what has its names is what it means by them.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from prometheus_client.parser import text_string_to_metric_families

from receiver.admin.client import AdminClient
from receiver.codec.validate import validate
from receiver.model import SIGNALS
from tests.golden.rewrite import RECORDINGS, requests_of
from tests.interop.backends import ROOT, Collector, Program, asked, free_port, send, until
from tests.interop.build import BIN
from tests.support.processes import Backend, Receiver, renamed
from tests.telemetry.test_equal_counters import STRANGE, Scraped, endpoints, garbage

pytestmark = [pytest.mark.interop, pytest.mark.backend("prometheus")]

CONFIG = ROOT / "deploy" / "prometheus.yaml"
PANELS = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text())["panels"]
TARGETS = [(panel["title"], target) for panel in PANELS for target in panel.get("targets", ())]
EXPRESSIONS = [(f"{title}-{target['refId']}", target["expr"]) for title, target in TARGETS]
RECORDED = [request for folder in RECORDINGS for request in requests_of(folder)]
VARIABLES = {"$job": ".*", "$instance": ".*", "$__rate_interval": "2m", "$__range": "5m"}
ZERO = ("Accepted - used - discarded", "Queued - sent - waiting")
# Of the Collector's: a queue for each signal; an address beside an exporter's name; Go's memory; its own batches.
LABELS_MISSING = {"data_type", "server_address", "server_port"}
NAMES_MISSING = re.compile(r"otelcol_(process_runtime|exporter_(in_flight|queue_batch|enqueue_failed))_")


class Prometheus(Program):
    """Prometheus with the configuration of deploy/, which looks at one receiver every second."""

    def __init__(self, folder: Path, target: str) -> None:
        super().__init__("prometheus", folder)
        self.port = free_port()
        tree = yaml.safe_load(CONFIG.read_text())
        tree["global"]["scrape_interval"] = "1s"
        (job,) = tree["scrape_configs"]
        job["static_configs"][0]["targets"] = [target]
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(tree))

    def start(self) -> Prometheus:
        """Start, and return when it is ready."""
        self.launch(
            [
                str(BIN / "prometheus"),
                f"--config.file={self.folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={self.folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ]
        )
        self.await_ready(lambda: asked(f"http://127.0.0.1:{self.port}/-/ready"))
        return self

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The samples that an expression has now. Fails where Prometheus cannot read it."""
        answer = asked(f"http://127.0.0.1:{self.port}/api/v1/query", query=expression)
        assert answer is not None, expression
        assert answer["status"] == "success", answer
        assert not answer.get("warnings"), answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found


def promtool(*arguments: str, told: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BIN / "promtool"), *arguments], input=told, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory):
    """A receiver whose backend first refuses, for now and for good. Logs and metrics pass through to it too: without a
    pipeline that says so, what is sent, and fails, of these two is rightly empty in the dashboard."""
    backend = Backend().start()
    codes = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INVALID_ARGUMENT]
    backend.refuse = lambda body: codes.pop(0) if codes else None
    made = Receiver(tmp_path_factory.mktemp("receiver"), backend, settle="100ms")
    both = {"receivers": ["otlp"], "exporters": ["agenttrace", "otlp_grpc"]}
    made.settings["service"]["pipelines"] = {
        "logs": both,
        "metrics": both,
        "traces/in": {"receivers": ["otlp"], "exporters": ["agenttrace"]},
        "traces": {"receivers": ["agenttrace"], "exporters": ["otlp_grpc"]},
    }
    made.start()
    yield made
    made.kill()
    backend.stop()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory, receiver):
    """Prometheus, after it saw everything happen twice and come to rest."""
    started = Prometheus(tmp_path_factory.mktemp("prometheus"), endpoints(receiver)["metrics"]).start()
    try:
        until(lambda: started.ask("up == 1"), "the first look")
        for tag in ("Q1", "Q2", "Q3"):
            receiver.send(*RECORDED, *renamed(RECORDED, tag), *STRANGE)
            garbage(receiver)
            receiver.post(*renamed(RECORDED, tag), encoding="x-protobuf")
            with AdminClient(endpoints(receiver)["admin"]) as client:
                client.flush()
            time.sleep(3)
        yield started
    finally:
        started.stop()


def test_promtool_takes_the_configuration():
    done = promtool("check", "config", str(CONFIG))
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_finds_nothing_wrong_but_the_collectors_names(receiver, prometheus):
    page = asked(f"http://{endpoints(receiver)['metrics']}/metrics")
    done = promtool("check", "metrics", told=page)
    said = {line.split(" ", 1)[1] for line in done.stderr.splitlines()}
    assert said == {'counter metrics should have "_total" suffix'}, done


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS, ids=[name for name, _ in EXPRESSIONS])
def test_each_panel_has_data(prometheus, name, expression):
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    found = prometheus.ask(expression)
    assert found, expression
    numbers = [float(one["value"][1]) for one in found]
    assert not any(math.isnan(one) for one in numbers), found
    if name.rpartition("-")[0] in ZERO:
        until(lambda: [float(one["value"][1]) for one in prometheus.ask(expression)] == [0.0], f"{name} at rest")


def test_the_variables_of_the_dashboard_have_values(prometheus):
    (up,) = prometheus.ask("otelcol_process_uptime")
    assert up["metric"]["job"] == "opencode-trace-receiver"
    (about,) = prometheus.ask("target_info")
    assert about["metric"]["service_name"] == "opencode-trace-receiver"


def test_nothing_that_clients_sent_is_in_a_label(receiver, prometheus):
    """So the number of series is bounded by the program, not by them."""
    found = Scraped(int(endpoints(receiver)["metrics"].rpartition(":")[2])).found
    values = {value for _, labels in found for name, value in labels if not name.startswith("service_")}
    assert all(re.fullmatch(r"[a-z0-9_./+]+|\+Inf", value) for value in values), values
    assert not [value for value in values if value.startswith("ses_")]
    assert len(found) < 500


@pytest.mark.backend("collector")
def test_what_has_a_collectors_name_is_what_the_collector_means(tmp_path, receiver, prometheus):
    theirs = _families(_of_a_collector(tmp_path))
    ours = _families(asked(f"http://{endpoints(receiver)['metrics']}/metrics"))
    for name, (kind, labels) in ours.items():
        if name.startswith("otelcol_"):
            assert name in theirs, name
            assert kind == theirs[name][0], name
            assert labels <= theirs[name][1], name
            assert theirs[name][1] - labels <= LABELS_MISSING, name
    missing = {name for name in theirs.keys() - ours.keys() if name.startswith("otelcol_")}
    assert not [name for name in missing if not NAMES_MISSING.match(name)]
    assert ours["target_info"] == theirs["target_info"]


def _of_a_collector(folder: Path) -> str:
    """The page of a real one that took logs, metrics and spans, and could not send them."""
    port = free_port()
    protocols = {"grpc": {"endpoint": "${env:AGENTS_GRPC_ENDPOINT}"}}
    exporter = {"endpoint": "127.0.0.1:1", "tls": {"insecure": True}, "retry_on_failure": {"enabled": False}}
    reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": port}}}}
    collector = Collector(
        folder,
        {
            "receivers": {"otlp": {"protocols": protocols}},
            "exporters": {"otlp_grpc": exporter},
            "extensions": {"health_check": {"endpoint": "${env:HEALTH_ENDPOINT}"}},
            "service": {
                "extensions": ["health_check"],
                "telemetry": {"metrics": {"readers": [reader]}},
                "pipelines": {s: {"receivers": ["otlp"], "exporters": ["otlp_grpc"]} for s in SIGNALS},
            },
        },
    ).start()
    try:
        send(collector.ports["agents_grpc"], *RECORDED[:60], *STRANGE)
        failed = "otelcol_exporter_send_failed_"
        page = until(lambda: (p := asked(f"http://127.0.0.1:{port}/metrics")) and failed in p and p, "its metrics")
        time.sleep(1)
        return asked(f"http://127.0.0.1:{port}/metrics") or page
    finally:
        collector.stop()


def _families(page: str) -> dict[str, tuple[str, set[str]]]:
    """Of each metric, by the name that is written, its kind and the labels of its samples."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE))
    found: dict[str, tuple[str, set[str]]] = {name: (kind, set()) for name, kind in kinds.items()}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            name = next((n for n in (sample.name, sample.name.removesuffix("_total"), family.name) if n in found), None)
            if name is not None:
                found[name][1].update(label for label in sample.labels if label != "le")
    return found


@pytest.mark.backend("collector")
def test_a_collector_takes_what_is_pushed_also_when_it_was_away(tmp_path):
    """And nothing of it comes back into the receiver's own doors."""
    backend = Backend().start()
    collector = Collector(
        tmp_path,
        {
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": "${env:AGENTS_GRPC_ENDPOINT}"}}}},
            "exporters": {"otlp_grpc": {"endpoint": "${env:BACKEND_ENDPOINT}", "tls": {"insecure": True}}},
            "extensions": {"health_check": {"endpoint": "${env:HEALTH_ENDPOINT}"}},
            "service": {
                "extensions": ["health_check"],
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"metrics": {"receivers": ["otlp"], "exporters": ["otlp_grpc"]}},
            },
        },
    ).to(backend.port)
    receiver = Receiver(tmp_path / "receiver")
    otlp = {"protocol": "grpc", "endpoint": f"http://127.0.0.1:{collector.ports['agents_grpc']}", "insecure": True}
    readers = [{"periodic": {"interval": 500, "exporter": {"otlp": otlp}}}]
    receiver.settings["service"]["telemetry"]["metrics"]["readers"] = readers
    receiver.start()  # before there is a Collector
    try:
        time.sleep(1.5)
        for _ in range(2):
            collector.start()
            receiver.send(*RECORDED[:20])
            before = len(backend.received["metrics"])
            until(lambda before=before: len(backend.received["metrics"]) > before + 1, "a push")
            collector.stop()
        pushed = ExportMetricsServiceRequest.FromString(backend.received["metrics"][-1])
        (told,) = pushed.resource_metrics
        about = {one.key: one.value.string_value for one in told.resource.attributes}
        assert about["service.name"] == "opencode-trace-receiver"
        assert sorted(about) == ["service.instance.id", "service.name", "service.version"]
        sums = [metric.sum for scope in told.scope_metrics for metric in scope.metrics if metric.HasField("sum")]
        cumulative = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        assert {one.aggregation_temporality for one in sums} == {cumulative}
        seen = Scraped(int(endpoints(receiver)["metrics"].rpartition(":")[2]))
        taken = [validate(one.signal, one.body).request for one in RECORDED[:20] if one.signal == "metrics"]
        expected = sum(one.items for one in taken)
        assert seen("otelcol_receiver_accepted_metric_points") == 2 * expected
        assert receiver.log.count("own metrics could not be pushed") <= 20
    finally:
        receiver.kill()
        collector.stop()
        backend.stop()
