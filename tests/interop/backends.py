"""Real backends in processes of their own, on free ports of loopback, with their data in a folder of the test.

Each is started with a configuration that an operator could use (deploy/, or a file beside this one), and asked by its
own query API. Building them is in build.py.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import yaml

from receiver.codec.export_service import EXPORT_SERVICES
from receiver.model import Request
from tests.interop.build import BIN, PHOENIX

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PATIENCE = 90.0  # s: starting Phoenix on a busy machine takes most of it


def until(holds: Callable[[], Any], what: str) -> Any:
    """What it returns, when that is true; fail when it is not for too long."""
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.1)
    return found


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def asked(url: str, **query: str | int) -> Any:
    """The JSON that answers a GET; None while there is no answer, or none but an error."""
    if query:
        url += "?" + urllib.parse.urlencode(query)
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": "application/json"})) as answer:
            body = answer.read()
    except (urllib.error.URLError, ConnectionError):
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


def send(port: int, *requests: Request) -> None:
    """Over gRPC, each after the answer to the one before."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for one in requests:
            export = channel.unary_unary(f"/{EXPORT_SERVICES[one.signal].name}/Export")
            export(one.body, timeout=PATIENCE, wait_for_ready=True)


class Program:
    """One process, its standard streams in a file, ended by its own id."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder
        self.file = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        """Start the process."""
        with self.file.open("ab") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=out, cwd=self.folder, env={**os.environ, **(environment or {})}
            )

    @property
    def log(self) -> str:
        """Everything that it wrote."""
        return self.file.read_text(errors="replace")

    def await_ready(self, ready: Callable[[], Any]) -> None:
        """Return when it is ready; fail when it ends before."""
        assert self.process is not None
        until(lambda: ready() or self.process.poll() is not None, f"the start of {self.file.stem}")
        assert self.process.poll() is None, self.log[-4000:]

    def stop(self) -> None:
        """Ask it to end, and wait."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Collector(Program):
    """The real Collector with one configuration; restarted, it keeps its ports and queues."""

    def __init__(self, folder: Path, configuration: dict[str, Any] | Path, changes: dict[str, Any] | None = None):
        super().__init__("collector", folder)
        self.ports = {name: free_port() for name in ("agents_grpc", "agents_http", "built", "health", "receiver")}
        self.environment = {
            "AGENTS_GRPC_ENDPOINT": f"127.0.0.1:{self.ports['agents_grpc']}",
            "AGENTS_HTTP_ENDPOINT": f"127.0.0.1:{self.ports['agents_http']}",
            "BUILT_GRPC_ENDPOINT": f"127.0.0.1:{self.ports['built']}",
            "HEALTH_ENDPOINT": f"127.0.0.1:{self.ports['health']}",
            "TRACE_RECEIVER_ENDPOINT": f"127.0.0.1:{self.ports['receiver']}",
            "QUEUE_DIRECTORY": str(folder / "queues"),
        }
        files = [configuration] if isinstance(configuration, Path) else [self._written("config", configuration)]
        if changes:
            files.append(self._written("changes", changes))
        self.files = [f"--config={file}" for file in files]

    def _written(self, name: str, tree: dict[str, Any]) -> Path:
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(tree))
        return file

    def to(self, port: int) -> Collector:
        """What is built goes to this port."""
        self.environment["BACKEND_ENDPOINT"] = f"127.0.0.1:{port}"
        return self

    def start(self) -> Collector:
        """Start, and return when its health check says so."""
        self.launch([str(BIN / "collector"), *self.files], self.environment)
        self.await_ready(lambda: asked(f"http://127.0.0.1:{self.ports['health']}/"))
        return self

    def validated(self) -> tuple[int, str]:
        """What `validate` says of the configuration: its exit code and its output."""
        done = subprocess.run(
            [str(BIN / "collector"), "validate", *self.files],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr


class Jaeger(Program):
    """Jaeger 2 with its memory storage."""

    def __init__(self, folder: Path) -> None:
        super().__init__("jaeger", folder)
        self.port, self.query, self.health = free_port(), free_port(), free_port()

    def start(self) -> Jaeger:
        """Start, and return when it answers."""
        environment = {
            "OTLP_ENDPOINT": f"127.0.0.1:{self.port}",
            "QUERY_ENDPOINT": f"127.0.0.1:{self.query}",
            "QUERY_GRPC_ENDPOINT": f"127.0.0.1:{free_port()}",
            "HEALTH_ENDPOINT": f"127.0.0.1:{self.health}",
        }
        self.launch([str(BIN / "jaeger"), f"--config={HERE / 'jaeger.yaml'}"], environment)
        self.await_ready(lambda: asked(f"http://127.0.0.1:{self.query}/api/services"))
        return self

    def ask(self, path: str, **query: str | int) -> Any:
        """Its answer to a query."""
        return asked(f"http://127.0.0.1:{self.query}{path}", **query)

    def spans(self, trace: str) -> list[dict[str, Any]]:
        """The spans of a trace, after its adjusters had them."""
        answer = self.ask(f"/api/traces/{trace}")
        return list(answer["data"][0]["spans"]) if answer and answer.get("data") else []

    def warnings(self, trace: str) -> list[tuple[str, str]]:
        """What its adjusters say of a trace: the span's name, and the warning. By the newer API, since the one that its
        page asks has adjusters of its own before 2.15, which know a host by a tag `ip` and by nothing else."""
        resources = self.ask(f"/api/v3/traces/{trace}")["result"]["resourceSpans"]
        spans = [span for r in resources for scope in r["scopeSpans"] for span in scope["spans"]]
        return [
            (span["name"], one["stringValue"])
            for span in spans
            for attribute in span["attributes"]
            if attribute["key"] == "@jaeger@warnings"
            for one in attribute["value"]["arrayValue"]["values"]
        ]

    @staticmethod
    def parent(span: dict[str, Any]) -> str:
        """The id of the span that one of its spans lies below."""
        found = [one["spanID"] for one in span["references"] if one["refType"] == "CHILD_OF"]
        return found[0] if found else ""


class Tempo(Program):
    """Tempo in one process, with the configuration file of deploy/, its ports and folders changed by the file's
    own variables."""

    def __init__(self, folder: Path, **limits: int) -> None:
        super().__init__("tempo", folder)
        self.port, self.query, self.grpc = free_port(), free_port(), free_port()
        self.limits = limits

    def start(self) -> Tempo:
        """Start, and return when it is ready, which it says some seconds after it listens."""
        environment = {
            "TEMPO_OTLP_ENDPOINT": f"127.0.0.1:{self.port}",
            "TEMPO_HTTP_ADDRESS": "127.0.0.1",
            "TEMPO_HTTP_PORT": str(self.query),
            "TEMPO_GRPC_PORT": str(self.grpc),
            "TEMPO_DATA": str(self.folder / "tempo"),
            **{name.upper(): str(value) for name, value in self.limits.items()},
        }
        file = ROOT / "deploy" / "tempo.yaml"
        self.launch([str(BIN / "tempo"), f"-config.file={file}", "-config.expand-env=true"], environment)
        self.await_ready(lambda: asked(f"http://127.0.0.1:{self.query}/ready"))
        return self

    def ask(self, path: str, **query: str | int) -> Any:
        """Its answer to a query."""
        return asked(f"http://127.0.0.1:{self.query}{path}", **query)

    def spans(self, trace: str) -> list[dict[str, Any]]:
        """The spans of a trace."""
        answer = self.ask(f"/api/v2/traces/{trace}")
        if not isinstance(answer, dict) or not answer.get("trace"):
            return []
        resources = answer["trace"]["resourceSpans"]
        return [span for r in resources for scope in r["scopeSpans"] for span in scope["spans"]]

    @staticmethod
    def id(text: str | None) -> str:
        """An id, which it writes in base64, as hex."""
        return base64.b64decode(text or "").hex()

    def found(self, query: str) -> dict[str, dict[str, Any]]:
        """What a TraceQL query finds, by trace id."""
        answer = self.ask("/api/search", q=query, limit=1000, spss=100)
        return {one["traceID"].rjust(32, "0"): one for one in answer["traces"]}

    def counted(self, name: str) -> float:
        """One of its own counters, all labels together."""
        lines = (self.ask("/metrics") or "").splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))


class Phoenix(Program):
    """Phoenix on SQLite."""

    def __init__(self, folder: Path) -> None:
        super().__init__("phoenix", folder)
        self.port, self.query = free_port(), free_port()

    def start(self) -> Phoenix:
        """Start, and return when it answers."""
        environment = {
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(self.query),
            "PHOENIX_GRPC_PORT": str(self.port),
            "PHOENIX_WORKING_DIR": str(self.folder),
            "PHOENIX_TELEMETRY_ENABLED": "false",
            "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        }
        self.launch([str(PHOENIX / "bin" / "python"), "-m", "phoenix.server.main", "serve"], environment)
        self.await_ready(lambda: asked(f"http://127.0.0.1:{self.query}/healthz") is not None)
        return self

    def ask(self, path: str, **query: str | int) -> Any:
        """Its answer to a query."""
        return asked(f"http://127.0.0.1:{self.query}{path}", **query)
