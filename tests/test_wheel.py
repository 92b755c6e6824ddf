"""The built wheel, installed into a new environment and used away from the checkout.

`make wheel-check` names the wheel of dist/ in WHEEL. Without it the wheel is built here. Slow, because it installs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import until

ROOT = Path(__file__).parent.parent
RECORDING = ROOT / "tests" / "golden" / "D" / "03-task-child" / "otlp"
SESSION = "ses_e071460c6ffe5Qwx88j26FAfNc"  # of the recording
CONFIG = {
    "receivers": {"otlp": {"protocols": {name: {"endpoint": "127.0.0.1:0"} for name in ("grpc", "http")}}},
    "connectors": {"agenttrace": {"settle": "1s", "idle_timeout": "1s", "inactivity_timeout": "2s"}},
    "extensions": {
        "file_storage": {"directory": "store"},
        "health_check": {"endpoint": "127.0.0.1:0"},
        "admin": {"endpoint": "127.0.0.1:0"},
    },
    "service": {"telemetry": {"logs": {"encoding": "json"}, "metrics": {"address": "127.0.0.1:0"}}},
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if "WHEEL" in os.environ:
        return ROOT / os.environ["WHEEL"]
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment that holds the wheel and its dependencies, and nothing else."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True, cwd=environment)
    return environment / "bin"


@pytest.fixture
def program(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The installed program, in a working directory and a home of its own, without the checkout's variables."""
    for name in [name for name in os.environ if name.startswith(("OTEL_", "PYTHON"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(json.dumps(CONFIG))
    return installed / "opencode-trace-receiver"


def output(program: Path, *arguments: str | Path) -> str:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "receiver"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = set(listed.stdout.splitlines())
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {name for name in files if (ROOT / name).exists()} == packed


def test_installed_package_is_not_the_checkout(program: Path) -> None:
    python = program.parent / "python"
    shown = output(python, "-c", "import receiver.cli; print(receiver.cli.__file__)")
    assert Path(shown.strip()).is_relative_to(program.parent.parent)


def test_installed_program_tells_the_version_of_the_wheel(program: Path, wheel: Path) -> None:
    version = wheel.name.split("-")[1]
    assert output(program, "--version").split()[-1] == version


def test_installed_program_validates_a_configuration(program: Path) -> None:
    output(program, "validate", "--config", "config.yaml")
    output(program, "validate", "--config", ROOT / "deploy" / "receiver.yaml")


def test_installed_program_builds_a_recording_as_the_checkout_does(program: Path) -> None:
    built = output(program, "build", "--format", "otlp-json", RECORDING)
    command = [sys.executable, "-m", "receiver", "build", "--format", "otlp-json", RECORDING]
    expected = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert '"traceId"' in built
    assert built == expected


@contextmanager
def running(program: Path) -> Iterator[Path]:
    """`run` with free ports. Gives the folder with what it writes: `stdout` and `stderr`."""
    folder = Path.cwd()
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = subprocess.Popen([program, "run", "--config", "config.yaml"], stdout=out, stderr=err)
    try:
        until(lambda: '"ready"' in (folder / "stderr").read_text() or process.poll() is not None, "the start")
        assert process.poll() is None, (folder / "stderr").read_text()
        yield folder
    finally:
        process.terminate()
        code = process.wait(60)
    assert code == 0, (folder / "stderr").read_text()


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_installed_program_serves_what_it_replays(program: Path, protocol: str) -> None:
    with running(program) as folder:
        lines = [json.loads(line) for line in (folder / "stderr").read_text().splitlines() if line.startswith("{")]
        (endpoint,) = (one["endpoint"] for one in lines if one.get("protocol") == protocol)
        replay_protocol = {"grpc": "grpc", "http": "http/json"}[protocol]
        output(program, "replay", "--endpoint", f"http://{endpoint}", "--protocol", replay_protocol, RECORDING)
        until(lambda: SESSION in (folder / "stdout").read_text(), "a finished tree", patience=60)
