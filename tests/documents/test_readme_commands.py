"""The shell commands of the README, docs/backends.md and docs/commands.md are run from a copy of the files that they
name, as a reader would run them. Servers are started, listen (on free ports), and are ended.

What takes minutes, because it installs, is slow: `make run` from nothing.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from receiver.cli.main import run_command
from tests.support.paths import ROOT
from tests.support.processes import Backend, Receiver, until

pytestmark = pytest.mark.process

PAGES = "".join((ROOT / name).read_text("utf-8") for name in ("README.md", "docs/backends.md", "docs/commands.md"))
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGES, re.DOTALL)
LINES = [line.split("  #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
COMMANDS = list(dict.fromkeys(line.replace(".venv/bin/", "") for line in LINES))  # a command of two pages runs once
PROGRAM = re.compile(r"^((?:[A-Z_]+=\S+ )*)opencode-trace-receiver (.*)$")
OTHERS = re.compile(
    r"opencode export |docker run |jaeger --set|(?:[A-Z_]+=\S+ )*(?:otelcol-contrib|phoenix) "
)  # other programs
FREE_PORTS = [
    "receivers::otlp::protocols::grpc::endpoint=127.0.0.1:0",
    "receivers::otlp::protocols::http::endpoint=127.0.0.1:0",
    "extensions::health_check::endpoint=127.0.0.1:0",
    "extensions::admin::endpoint=127.0.0.1:0",
    "service::telemetry::metrics::address=127.0.0.1:0",
]


def ours() -> Iterator[tuple[dict[str, str], list[str]]]:
    """Every command of the program, with the variables before it."""
    for command in COMMANDS:
        found = PROGRAM.match(command)
        if found:
            yield dict(one.split("=", 1) for one in found[1].split()), shlex.split(found[2])


@pytest.fixture
def place(tmp_path):
    """A folder with what the commands name: recordings, exported sessions, and the configuration that a page shows."""
    shutil.copytree(ROOT / "tests" / "data" / "session-export" / "1.18.33" / "export", tmp_path / "history")
    shutil.copytree(ROOT / "tests" / "golden", tmp_path / "tests" / "golden")
    (shown,) = (text for text in re.findall(r"```yaml\n(.*?)```", PAGES, re.DOTALL) if "pipelines" in text)
    (tmp_path / "receiver.yaml").write_text(shown)
    return tmp_path


def sends(command: tuple[dict[str, str], list[str]]) -> bool:
    """Whether a command wants a running receiver."""
    return command[1][0] == "replay" or "--endpoint" in command[1]


def asks(command: tuple[dict[str, str], list[str]]) -> bool:
    """Whether a command asks a running receiver's admin service."""
    return command[1][0] == "flush"


def _address(receiver: Receiver, protocol: str) -> str:
    lines = (json.loads(line) for line in receiver.log.splitlines())
    return next(str(line["endpoint"]) for line in lines if line.get("protocol") == protocol)


def _metrics(receiver: Receiver) -> bytes:
    port = _address(receiver, "metrics")
    with urllib.request.urlopen(f"http://{port}/metrics") as answer:
        return bytes(answer.read())


def started(place: Path, variables: dict[str, str], arguments: list[str]) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.Popen(
        [sys.executable, "-m", "receiver", *(word.replace("=/tmp/", f"={place}/") for word in arguments)],
        cwd=place,
        env={**clean, "HOME": str(place), "PYTHONPATH": str(ROOT), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_every_documented_command_is_run_here_or_belongs_to_another_program():
    known = {"make run", "mkdir history"}
    unknown = [command for command in COMMANDS if command not in known and not PROGRAM.match(command)]
    assert [command for command in unknown if not OTHERS.match(command)] == []
    assert {arguments[0] for _, arguments in ours()} == {"build", "flush", "replay", "run", "validate"}


OFFLINE = [c for c in ours() if not sends(c) and not asks(c) and c[1][0] != "run"]


@pytest.mark.parametrize(("variables", "arguments"), OFFLINE, ids=str)
def test_an_offline_command_succeeds(place, variables, arguments):
    process = started(place, variables, arguments)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.strip()


@pytest.mark.parametrize(("variables", "arguments"), [c for c in ours() if sends(c)], ids=str)
def test_a_sending_command_reaches_a_running_receiver(place, variables, arguments):
    receiver = Receiver(place / "receiver").start()
    try:
        process = started(place, variables, [*arguments, "--endpoint", receiver.grpc])  # the last one counts
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        until(lambda: b"otelcol_receiver_accepted" in _metrics(receiver), "something accepted")
    finally:
        receiver.kill()


def test_replay_and_flush_show_the_trace_of_the_readme(place):
    """The quick start, with a receiver on free ports."""
    (flush,) = (arguments for variables, arguments in ours() if asks((variables, arguments)))
    receiver = Receiver(place / "receiver", idle_timeout="10m", inactivity_timeout="10m")
    receiver.settings["exporters"] = {"debug": {"verbosity": "normal"}}
    receiver.start()
    try:
        replayed(place, receiver.grpc)
        process = started(place, {}, [*flush, "--endpoint", _address(receiver, "admin")])
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        until(lambda: "invoke_agent build" in receiver.shown, "the trace")
    finally:
        receiver.kill()


@pytest.mark.parametrize(("variables", "arguments"), [c for c in ours() if c[1][0] == "run" and not c[0]], ids=str)
def test_a_receiver_starts_and_stops(place, variables, arguments):
    sets = [word for setting in (*FREE_PORTS, "service::telemetry::logs::encoding=json") for word in ("--set", setting)]
    process = started(place, variables, [*arguments, *sets])
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(json.loads(line))
        if said[-1]["event"] == "ready":
            break
    assert said, "it ended at once"
    assert said[-1]["event"] == "ready"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 0


@pytest.mark.parametrize(("variables", "arguments"), [c for c in ours() if c[1][0] == "run" and c[0]], ids=str)
def test_a_documented_run_command_sends_traces_to_a_backend(place, variables, arguments):
    """Each documented backend takes OTLP over gRPC. A command with a new store works after the recording was replayed
    into the default store."""
    backend = Backend().start()
    if any("file_storage::directory=" in word for word in arguments):
        with served(place, {}, ["run"]) as doors:
            replayed(place, doors["grpc"])
    moved = {name: re.sub(r"localhost:\d+", f"127.0.0.1:{backend.port}", value) for name, value in variables.items()}
    try:
        with served(place, moved, arguments) as doors:
            replayed(place, doors["grpc"])
            until(lambda: backend.received["traces"], "the first spans")
    finally:
        backend.stop()


@contextmanager
def served(place: Path, variables: dict[str, str], arguments: list[str]) -> Iterator[dict[str, str]]:
    """A running receiver: its addresses by protocol."""
    sets = [*FREE_PORTS, "service::telemetry::logs::encoding=json", "connectors::agenttrace::settle=100ms"]
    process = started(place, variables, [*arguments, *(word for one in sets for word in ("--set", one))])
    try:
        assert process.stderr is not None
        doors = {}
        for line in process.stderr:
            one = json.loads(line)
            doors[one.get("protocol")] = one.get("endpoint")
            if one["event"] == "ready":
                break
        yield doors
    finally:
        process.terminate()
        process.communicate(timeout=120)
    assert process.returncode == 0


def replayed(place: Path, endpoint: str) -> None:
    """Send the recording of the quick start there."""
    assert run_command(["replay", str(place / "tests/golden/C/04-parallel-nested"), "--endpoint", endpoint]) == 0


def _taken(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
@pytest.mark.skipif(any(map(_taken, (4317, 4318))), reason="4317 or 4318 is taken on this machine")
def test_make_run_from_nothing(tmp_path):
    """The first of the two commands, on a fresh copy: installs, listens, and shows a tree that is replayed to it."""
    copy = tmp_path / "copy"
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    environment.pop("PYTHONPATH", None)
    out = tmp_path / "out"
    with out.open("wb") as file:
        made = subprocess.Popen(
            ["make", "run", f"PYTHON={sys.executable}"],
            cwd=copy,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 600
        while not _taken(4317):
            assert made.poll() is None, out.read_text()
            assert time.monotonic() < deadline
            time.sleep(1)
        program = copy / ".venv" / "bin" / "opencode-trace-receiver"
        subprocess.run([program, "replay", copy / "tests/golden/C/04-parallel-nested"], env=environment, check=True)
        subprocess.run([program, "flush"], env=environment, check=True)
        while "invoke_agent build" not in out.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.5)
    finally:
        os.killpg(made.pid, signal.SIGTERM)
        made.wait(60)
