"""What lies in deploy/, read by the parsers of the programs that it is for: compose-go, buildkit, Kubernetes' types,
and the configuration checks of Tempo and Jaeger. Consistency with the program is in tests/documents/test_deploy.py.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.interop.backends import HERE, ROOT
from tests.interop.build import BIN

pytestmark = pytest.mark.interop

DEPLOY = ROOT / "deploy"
COMPOSE = sorted(DEPLOY.glob("compose.*.yaml"))


def read(parser: str, file: Path) -> Any:
    """What a parser understands of a file; fails with its complaint."""
    done = subprocess.run([BIN / parser, file], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refusal(parser: str, file: Path) -> str:
    """What a parser complains of."""
    done = subprocess.run([BIN / parser, file], capture_output=True, text=True)
    assert done.returncode, f"{parser} takes {file.read_text()}"
    return done.stderr


@pytest.mark.backend("compose-go")
@pytest.mark.parametrize("file", COMPOSE, ids=lambda file: file.name)
def test_compose_reads(file):
    project = read("compose-go", file)
    for service in project["services"].values():
        for mount in service.get("volumes", ()):
            if mount["type"] == "bind":
                assert Path(mount["source"]).is_file(), mount
            else:
                assert mount["source"] in project["volumes"]
        for port in service.get("ports", ()):
            assert port["host_ip"] == "127.0.0.1"
    built = project["services"]["receiver"]["build"]
    assert (Path(built["context"]) / built["dockerfile"]).samefile(DEPLOY / "Dockerfile")


@pytest.mark.backend("compose-go")
def test_compose_would_say_what_is_wrong(tmp_path):
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((DEPLOY / "compose.jaeger.yaml").read_text().replace("cap_drop", "cap_dropped"))
    assert "cap_dropped" in refusal("compose-go", wrong)


@pytest.mark.backend("buildkit")
def test_buildkit_has_nothing_to_say_of_the_Dockerfile():
    assert read("buildkit", DEPLOY / "Dockerfile") == {"error": None, "warnings": None}


@pytest.mark.backend("buildkit")
def test_buildkit_would_say_what_is_wrong(tmp_path):
    wrong = tmp_path / "Dockerfile"
    text = (DEPLOY / "Dockerfile").read_text()
    wrong.write_text(text.replace('ENTRYPOINT ["opencode-trace-receiver"]', "ENTRYPOINT opencode-trace-receiver"))
    assert [one["ruleName"] for one in read("buildkit", wrong)["warnings"]] == ["JSONArgsRecommended"]
    wrong.write_text(text.replace("--from=build", "--from=built --chown"))
    assert read("buildkit", wrong)["error"]


@pytest.mark.backend("kubernetes")
def test_kubernetes_takes_the_manifest_strictly():
    kinds = [(one["apiVersion"], one["kind"]) for one in read("kubernetes", DEPLOY / "kubernetes.yaml")]
    assert kinds == [("v1", "ConfigMap"), ("v1", "Service"), ("apps/v1", "StatefulSet")]


@pytest.mark.backend("kubernetes")
@pytest.mark.parametrize(
    ("right", "wrong"),
    [("startupProbe", "startUpProbe"), ("memory: 512Mi", "memory: 512 MB"), ("apps/v1", "apps/v1beta9")],
)
def test_kubernetes_would_say_what_is_wrong(tmp_path, right, wrong):
    file = tmp_path / "kubernetes.yaml"
    file.write_text((DEPLOY / "kubernetes.yaml").read_text().replace(right, wrong))
    assert refusal("kubernetes", file)


@pytest.mark.backend("tempo")
def test_tempo_verifies_its_configuration(tmp_path):
    file = tmp_path / "tempo.yaml"
    verify = [BIN / "tempo", f"-config.file={file}", "-config.expand-env=true", "-config.verify=true"]
    text = (DEPLOY / "tempo.yaml").read_text()
    file.write_text(text)
    done = subprocess.run(verify, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    file.write_text(text.replace("trace_idle_period", "trace_idle_time"))
    done = subprocess.run(verify, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode
    assert "trace_idle_time" in done.stdout + done.stderr


@pytest.mark.backend("jaeger")
def test_jaeger_validates_its_configuration():
    addresses = {f"{name}_ENDPOINT": "127.0.0.1:1" for name in ("OTLP", "QUERY", "QUERY_GRPC", "HEALTH")}
    command = [BIN / "jaeger", "validate", f"--config={HERE / 'jaeger.yaml'}"]
    done = subprocess.run(command, env=addresses, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
