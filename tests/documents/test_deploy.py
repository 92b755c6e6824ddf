"""What lies in deploy/ is consistent: with the configuration classes, with the program's version, and with itself.

No container engine, cluster or Grafana is asked here. What has a real program to check it with is checked with that:
`validate` and `run` for the receiver's file, hadolint and the compose specification here, systemd in test_unit.py, and
compose-go, buildkit, Kubernetes' types, the Collector, Jaeger and Tempo in tests/interop.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
import yaml

from receiver import __version__, config
from receiver.cli.main import run_command
from receiver.config import Admin, GRPCServer, HealthCheck, HTTPServer, MetricsTelemetry
from tests.support.dockerfile import context, instructions
from tests.support.paths import ROOT
from tests.support.processes import Receiver

DEPLOY = ROOT / "deploy"
CONFIG = DEPLOY / "receiver.yaml"
IMAGE = f"opencode-trace-receiver:{__version__}"
STORE = "/var/lib/opencode-trace-receiver"
COMPOSE = sorted(DEPLOY.glob("compose.*.yaml"))
BACKEND = "OTEL_EXPORTER_OTLP_ENDPOINT"
ENVIRONMENT = {BACKEND: "http://backend:4317", "LISTEN_HOST": "0.0.0.0", "HOME": "/nowhere"}


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def default_port(kind: type[Any], field: str) -> int:
    return port_of(kind.model_fields[field].default)


GRPC, HTTP = default_port(GRPCServer, "endpoint"), default_port(HTTPServer, "endpoint")
METRICS, HEALTH = default_port(MetricsTelemetry, "address"), default_port(HealthCheck, "endpoint")
ADMIN = default_port(Admin, "endpoint")


def loaded(text: str, **variables: str) -> config.Settings:
    return config.load([("receiver.yaml", text)], [], {**ENVIRONMENT, **variables})


def pinned(image: str) -> bool:
    """Whether an image's tag names a release, to the patch."""
    return re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+(-[\w.-]+)?", image) is not None


# every file


def test_every_yaml_file_parses_and_says_what_it_is():
    files = [*DEPLOY.rglob("*.yaml"), ROOT / "otel-collector-config.yaml"]
    assert files
    for file in files:
        text = file.read_text()
        assert text.startswith("# "), file
        assert all(document for document in yaml.safe_load_all(text)), file


# the receiver's configuration


def test_the_receivers_file_is_valid(monkeypatch, capsys):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert run_command(["validate", "--config", str(CONFIG)]) == 0
    assert "valid" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("endpoint", "protocol", "exporter"),
    [
        ("http://backend:4317", "", "otlp_grpc"),
        ("https://backend", "", "otlp_http"),
        ("http://backend:5317", "grpc", "otlp_grpc"),
    ],
)
def test_the_standard_variables_configure_the_receivers_backend(endpoint, protocol, exporter):
    variables = {BACKEND: endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_HEADERS": "a=secret"}
    settings = loaded(CONFIG.read_text(), **variables)
    assert settings.graph.built == (exporter,)
    assert settings.exporters[exporter].endpoint == endpoint
    assert {key: one.get_secret_value() for key, one in settings.exporters[exporter].headers.items()} == {"a": "secret"}


def test_without_them_the_trees_are_shown():
    assert loaded(CONFIG.read_text(), **{BACKEND: ""}).graph.built == ("debug",)
    assert "Without them the trees go to standard output" in CONFIG.read_text()


def test_the_ports_are_the_ones_that_nobody_changed():
    settings = loaded(CONFIG.read_text())
    protocols = settings.receivers["otlp"].protocols
    assert [port_of(protocols.grpc.endpoint), port_of(protocols.http.endpoint)] == [GRPC, HTTP]
    assert port_of(settings.service.telemetry.metrics.address) == METRICS
    assert settings.health_check.endpoint == f"0.0.0.0:{HEALTH}"
    assert settings.admin.endpoint == f"localhost:{ADMIN}"  # no authentication, so never beyond loopback
    assert settings.storage.directory == STORE


@pytest.mark.process
def test_the_receiver_runs_with_it_and_the_images_health_check_is_content(tmp_path):
    receiver = Receiver(tmp_path)
    receiver.settings = deployed(tmp_path)
    receiver.start()
    try:
        (test,) = [text for name, text in instructions() if name == "HEALTHCHECK"]
        command = json.loads(test.partition("CMD ")[2])
        health = next(json.loads(line)["endpoint"] for line in receiver.log.splitlines() if '"health"' in line)
        script = command[-1].replace(f"127.0.0.1:{HEALTH}", health)
        assert script != command[-1]
        assert subprocess.run([sys.executable, *command[1:-1], script]).returncode == 0
    finally:
        receiver.kill()
    assert subprocess.run([sys.executable, *command[1:-1], script], capture_output=True).returncode != 0


def deployed(folder: Path) -> dict[str, Any]:
    """The file, its variables filled in, on free ports and in a folder of the test."""
    tree: dict[str, Any] = yaml.safe_load(on_free_ports())
    tree["extensions"]["file_storage"]["directory"] = str(folder / "store")
    return tree


def on_free_ports() -> str:
    """The file, its other variables as they are."""
    text = re.sub(r"\$\{env:LISTEN_HOST:-localhost\}:\d+", "127.0.0.1:0", CONFIG.read_text())
    return text.replace("localhost:13134", "127.0.0.1:0")


# the image


def test_the_image_has_two_stages_of_one_pinned_python():
    bases = [text.split()[0] for name, text in instructions() if name == "FROM"]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert pinned(bases[0])
    assert "slim" in bases[0]
    assert tuple(map(int, re.findall(r"\d+", bases[0])[:2])) >= (3, 11)  # requires-python


def test_the_image_does_not_run_as_root():
    said = [text for name, text in instructions() if name == "USER"]
    assert said == ["10001:10001"]
    after = [name for name, _ in instructions()]
    assert "RUN" not in after[after.index("USER") :]


def test_the_image_exposes_the_configured_doors_and_keeps_the_store():
    told = dict(instructions())
    assert list(map(int, told["EXPOSE"].split())) == [GRPC, HTTP, METRICS, HEALTH]
    assert told["VOLUME"] == STORE
    assert f":{HEALTH}/" in told["HEALTHCHECK"]
    assert "curl" not in told["HEALTHCHECK"]


def test_the_image_starts_the_installed_command():
    told = dict(instructions())
    assert f'{json.loads(told["ENTRYPOINT"])[0]} = "receiver.__main__:main"' in (ROOT / "pyproject.toml").read_text()
    command = json.loads(told["CMD"])
    (copied,) = [text for name, text in instructions() if name == "COPY" and text.startswith("deploy/receiver.yaml")]
    assert command == ["run", "--config", copied.split()[1]]


def test_what_the_image_copies_exists_and_is_not_ignored():
    copied = [text.split()[:-1] for name, text in instructions() if name == "COPY" and not text.startswith("--from")]
    for source in (one.removeprefix("./") for sources in copied for one in sources):
        assert (ROOT / source).exists(), source
        assert source in context(), source


@pytest.mark.slow
def test_what_the_image_copies_is_enough_to_install(tmp_path):
    """The build stage, done by hand: only what COPY names, in a fresh environment."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "receiver", tmp_path / "receiver", ignore=shutil.ignore_patterns("__pycache__"))
    venv.create(tmp_path / "venv", with_pip=True)
    subprocess.run([tmp_path / "venv/bin/pip", "install", "--quiet", "."], cwd=tmp_path, check=True)
    command = tmp_path / "venv/bin/opencode-trace-receiver"
    done = subprocess.run(
        [command, "validate", "--config", CONFIG], env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


HADOLINT = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


@pytest.mark.process
@pytest.mark.skipif(HADOLINT is None, reason="no hadolint on this machine: the Dockerfile was NOT linted")
def test_hadolint_has_nothing_to_say_of_the_Dockerfile():
    done = subprocess.run([HADOLINT, DEPLOY / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


# compose


@pytest.mark.process
@pytest.mark.parametrize("file", COMPOSE, ids=lambda file: file.name)
def test_it_is_what_the_compose_specification_allows(file):
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*checker, file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.fixture(params=COMPOSE, ids=lambda file: file.name)
def compose(request):
    return yaml.safe_load(request.param.read_text())


def test_there_are_compose_files():
    assert {file.name for file in COMPOSE} == {"compose.collector.yaml", "compose.jaeger.yaml", "compose.tempo.yaml"}


def test_every_image_is_pinned(compose):
    images = [service["image"] for service in compose["services"].values()]
    assert all(map(pinned, images)), images
    assert compose["services"]["receiver"]["image"] == IMAGE


def test_our_image_is_built_from_our_dockerfile(compose):
    build = compose["services"]["receiver"]["build"]
    assert (DEPLOY / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()


def test_ports_are_published_on_loopback_only(compose):
    for service in compose["services"].values():
        for port in service.get("ports", ()):
            host, outside, inside = port.split(":")
            assert host == "127.0.0.1"
            assert outside == inside


def test_the_plugins_ports_lead_somewhere(compose):
    first = compose["services"].get("collector", compose["services"]["receiver"])
    assert {f"127.0.0.1:{port}:{port}" for port in (GRPC, HTTP)} <= set(first["ports"])


def test_nothing_that_listens_runs_as_root_by_our_choice(compose):
    for name, service in compose["services"].items():
        assert service.get("user", "10001:10001").split(":")[0] != "0", name
        for waited in service.get("depends_on", ()):
            assert waited in compose["services"]


def test_endpoints_name_services_of_the_file(compose):
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if not name.endswith("_ENDPOINT"):
                continue
            host, _, port = value.removeprefix("http://").rpartition(":")
            assert host == "0.0.0.0" or host in compose["services"], value
            assert int(port) in {GRPC, HTTP, 5317}


def test_the_receiver_sends_over_grpc_to_a_service_of_the_file(compose):
    variables = compose["services"]["receiver"]["environment"]
    (name,) = (settings := loaded(CONFIG.read_text(), **variables)).graph.built
    assert isinstance(settings.exporters[name], config.OTLPGRPCExporter)
    assert f"http://{settings.exporters[name].target}" == variables[BACKEND]


def test_variables_are_ones_that_the_files_read(compose):
    read_by = {"tempo": DEPLOY / "tempo.yaml", "collector": ROOT / "otel-collector-config.yaml"}
    for name, file in read_by.items():
        for variable in compose["services"].get(name, {}).get("environment", {}):
            assert variable in file.read_text(), variable


def test_tempos_variables_in_the_tests_are_ones_that_its_file_reads():
    given = re.findall(r'"(TEMPO_\w+)":', (ROOT / "tests" / "interop" / "backends.py").read_text())
    assert given
    for variable in given:
        assert f"${{{variable}" in (DEPLOY / "tempo.yaml").read_text(), variable


def test_the_images_are_of_the_versions_that_were_tried():
    """As far as docs/verification.md names one to the patch."""
    page = (ROOT / "docs" / "verification.md").read_text()
    tried = dict(re.findall(r"^\| ([\w ]+) \| (\d+\.\d+\.\d+) \|", page, re.MULTILINE))
    images = "\n".join(file.read_text() for file in COMPOSE)
    names = {"Prometheus": "prom/prometheus:v", "Jaeger": "jaegertracing/jaeger:"}
    for program, image in {**names, "OpenTelemetry Collector": "otel/opentelemetry-collector-contrib:"}.items():
        assert set(re.findall(rf"{image}(\S+)", images)) == {tried[program]}


def test_mounts_exist_and_volumes_are_declared(compose):
    for service in compose["services"].values():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).is_file(), source
                assert mount.endswith(":ro")
            else:
                assert source in compose["volumes"], source


def test_the_store_outlives_the_container_which_can_write_nothing_else(compose):
    receiver = compose["services"]["receiver"]
    assert f"receiver:{STORE}" in receiver["volumes"]
    assert receiver["read_only"]
    assert receiver["tmpfs"] == ["/tmp"]
    assert receiver["cap_drop"] == ["ALL"]


# what Grafana and Prometheus are given


def test_the_dashboard_is_where_grafana_looks_for_it():
    grafana = yaml.safe_load((DEPLOY / "compose.tempo.yaml").read_text())["services"]["grafana"]
    (provider,) = yaml.safe_load((DEPLOY / "grafana" / "dashboards.yaml").read_text())["providers"]
    mounted = dict(mount.split(":")[:2] for mount in grafana["volumes"])
    assert Path(mounted["./grafana-dashboard.json"]).parent == Path(provider["options"]["path"])


def test_grafana_and_prometheus_look_at_services_of_the_file():
    services = yaml.safe_load((DEPLOY / "compose.tempo.yaml").read_text())["services"]
    sources = yaml.safe_load((DEPLOY / "grafana" / "datasources.yaml").read_text())["datasources"]
    assert {source["type"] for source in sources} == {"tempo", "prometheus"}
    for source in sources:
        assert re.fullmatch(r"http://(\w+):\d+", source["url"])[1] in services
    (job,) = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"receiver:{METRICS}"]}]


# Kubernetes


def objects() -> dict[str, Any]:
    documents = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    return {one["kind"]: one for one in documents}


def container() -> dict[str, Any]:
    (one,) = objects()["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    return one


def test_kubernetes_objects_are_of_one_name_and_select_the_pods():
    found = objects()
    assert set(found) == {"ConfigMap", "Service", "StatefulSet"}
    assert {one["metadata"]["name"] for one in found.values()} == {"opencode-trace-receiver"}
    labels = found["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    assert found["StatefulSet"]["spec"]["selector"]["matchLabels"] == labels
    assert found["Service"]["spec"]["selector"] == labels
    assert found["StatefulSet"]["spec"]["serviceName"] == "opencode-trace-receiver"
    assert found["StatefulSet"]["spec"]["replicas"] == 1  # all of one agent's telemetry comes to one


def test_kubernetes_configures_the_receiver_as_the_other_ways_do():
    given = objects()["ConfigMap"]["data"]["config.yaml"]
    assert yaml.safe_load(given) == yaml.safe_load(CONFIG.read_text())
    assert loaded(given)


def test_kubernetes_ports_are_the_configured_ones():
    ports = {one["name"]: one["containerPort"] for one in container()["ports"]}
    assert ports == {"otlp-grpc": GRPC, "otlp-http": HTTP, "metrics": METRICS, "health": HEALTH}
    for port in objects()["Service"]["spec"]["ports"]:
        assert ports[port["targetPort"]] == port["port"]


def test_kubernetes_probes_ask_grpc_health():
    one = container()
    assert one["startupProbe"]["grpc"] == one["readinessProbe"]["grpc"] == {"port": GRPC}
    assert one["livenessProbe"]["tcpSocket"]["port"] == "otlp-grpc"


def test_kubernetes_runs_the_pinned_image_without_rights():
    one, pod = container(), objects()["StatefulSet"]["spec"]["template"]["spec"]
    assert one["image"] == IMAGE
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == 10001
    assert one["securityContext"]["readOnlyRootFilesystem"]
    mounts = {mount["name"]: mount["mountPath"] for mount in one["volumeMounts"]}
    (claim,) = objects()["StatefulSet"]["spec"]["volumeClaimTemplates"]
    assert set(mounts) == {claim["metadata"]["name"], *(volume["name"] for volume in pod["volumes"])}
    assert mounts["store"] == STORE
    assert mounts["sockets"] == "/tmp"
    assert one["args"][-1] == f"{mounts['config']}/config.yaml"
    assert {variable["name"] for variable in one["env"]} <= set(ENVIRONMENT)


def test_kubernetes_shows_how_a_secret_becomes_a_header():
    """The commented example, with its comment signs taken away: what it names is there, and it is taken."""
    text = (DEPLOY / "kubernetes.yaml").read_text()
    (shown,) = re.findall(r"^ +# (- name: OTEL_EXPORTER_OTLP_HEADERS)\n +# (  valueFrom: .*)$", text, re.MULTILINE)
    (variable,) = yaml.safe_load("\n".join(shown))
    (secret, key, value) = re.search(r"create secret generic (\S+) --from-literal=(\w+)='(.*)'", text).groups()
    assert variable["valueFrom"] == {"secretKeyRef": {"name": secret, "key": key}}
    settings = loaded(objects()["ConfigMap"]["data"]["config.yaml"], **{variable["name"]: value})
    assert settings.exporters["otlp_grpc"].headers["authorization"].get_secret_value() == "Bearer TOKEN"


# what the documents say of them


def test_the_commands_that_reach_the_admin_service_name_what_is_there():
    page = (ROOT / "docs" / "operations.md").read_text()
    file, service, program = re.search(r"docker compose -f (\S+) exec (\w+) (\S+) queue", page).groups()
    assert service in yaml.safe_load((ROOT / file).read_text())["services"]
    assert program == json.loads(dict(instructions())["ENTRYPOINT"])[0]
    pod, program = re.search(r"kubectl exec (\S+) -- (\S+) queue", page).groups()
    assert pod == f"{objects()['StatefulSet']['metadata']['name']}-0"
    assert program == json.loads(dict(instructions())["ENTRYPOINT"])[0]
