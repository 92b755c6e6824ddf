"""A real receiver in a process of its own, a real backend for it, and clients. For tests of the program as it runs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from receiver import config
from receiver.app.builder_settings import builder_settings
from receiver.codec.export_service import EXPORT_SERVICES
from receiver.codec.otlp_json import from_protobuf
from receiver.model import SIGNALS, Request
from receiver.pipeline.offline import build
from tests.support.otlp_requests import span_ids, spans_in

PATIENCE = 120.0  # s: longer than anything takes on a busy machine; every wait ends when its condition holds

# Settings under which a busy machine that sends or restarts slowly closes no session early: pauses here are longer than
# both take. Without them, sessions close soon, so that a test waits for little.
UNHURRIED = {"settle": "4s", "idle_timeout": "6s", "inactivity_timeout": "15s"}


def until(holds: Callable[[], Any], what: str = "it", patience: float = PATIENCE) -> None:
    """Return when it holds; fail when it does not for too long (s)."""
    deadline, pause = time.monotonic() + patience, 0.02
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(pause)
        pause = min(pause * 1.2, 0.5)  # a look may cost a lot, and slow down what it waits for


@contextmanager
def sigterm_after(seconds: float) -> Iterator[None]:
    """For a `run` in this process that must not start: if it serves, SIGTERM ends it, and the test goes on."""
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Backend:
    """Takes every request, or answers with the gRPC code that `refuse` gives for its body. `received` also holds what
    was refused with a code that asks for it again: a backend may fail after it took something."""

    def __init__(self, limit: int = -1) -> None:
        self.limit = limit  # bytes of a request; -1: none
        self.received: dict[str, list[bytes]] = {signal: [] for signal in SIGNALS}
        self.refuse: Callable[[bytes], grpc.StatusCode | None] = lambda body: None
        self.port = 0
        self._server: grpc.Server | None = None

    def start(self) -> Backend:
        """Listen; on the same port as before, if it was started before."""
        self._server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", self.limit)])
        for name in SIGNALS:
            export = grpc.unary_unary_rpc_method_handler(self._export(name))
            handler = grpc.method_handlers_generic_handler(EXPORT_SERVICES[name].name, {"Export": export})
            self._server.add_generic_rpc_handlers((handler,))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()
        return self

    def stop(self) -> None:
        """Go away."""
        if self._server is not None:
            self._server.stop(None).wait()

    def _export(self, name: str) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        def export(body: bytes, context: grpc.ServicerContext) -> bytes:
            code = self.refuse(body)
            if code != grpc.StatusCode.INVALID_ARGUMENT:
                self.received[name].append(body)
            if code is not None:
                context.abort(code, "as the test wants it")
            return b""

        return export

    def spans(self) -> set[bytes]:
        """Every span that came, with its resource and scope."""
        return set(spans_in(list(self.received["traces"])))

    def copies(self) -> int:
        """How many spans came more than once. Fails where two copies of a span differ."""
        bodies = list(self.received["traces"])
        ids, spans = span_ids(bodies), set(spans_in(bodies))
        assert len(spans) == len(set(ids)), "a span id came with two contents"
        return len(ids) - len(spans)


class Receiver:
    """`python -m receiver run`, on free ports, with its store in a folder that outlives it."""

    def __init__(self, folder: Path, backend: Backend | None = None, **connector: str) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.settings: dict[str, Any] = {
            "receivers": {"otlp": {"protocols": {p: {"endpoint": "127.0.0.1:0"} for p in ("grpc", "http")}}},
            "connectors": {"agenttrace": {"settle": "1s", "idle_timeout": "1500ms", "inactivity_timeout": "4s"}},
            "extensions": {
                "file_storage": {"directory": str(folder / "store")},
                "health_check": {"endpoint": "127.0.0.1:0"},
                "admin": {"endpoint": "127.0.0.1:0"},
            },
            "service": {
                "telemetry": {
                    "logs": {"level": "info", "encoding": "json"},
                    "metrics": {"address": "127.0.0.1:0"},
                }
            },
        }
        self.settings["connectors"]["agenttrace"].update(connector)
        if backend is not None:
            retry = {"initial_interval": "100ms", "max_interval": "300ms"}
            exporter = {"endpoint": f"http://127.0.0.1:{backend.port}", "retry_on_failure": retry, "timeout": "60s"}
            self.settings["exporters"] = {"otlp_grpc": exporter}
        self.under: list[str] = []  # a command that runs the one that follows it
        self.process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self._channel: grpc.Channel | None = None

    @property
    def log(self) -> str:
        """What the last process wrote to standard error."""
        return (self.folder / f"stderr-{self._starts}").read_text()

    @property
    def shown(self) -> str:
        """What the last process wrote to standard output."""
        return (self.folder / f"stdout-{self._starts}").read_text()

    def configured(self) -> str:
        """Its configuration, written to a file; the file's name."""
        file = self.folder / "config.yaml"
        file.write_text(json.dumps(self.settings))
        return str(file)

    def start(self) -> Receiver:
        """Start, and return when it listens."""
        file = self.configured()
        self._starts += 1
        with (
            (self.folder / f"stdout-{self._starts}").open("wb") as out,
            (self.folder / f"stderr-{self._starts}").open("wb") as err,
        ):
            command = [*self.under, sys.executable, "-m", "receiver", "run", "--config", file]
            home = {**os.environ, "HOME": str(self.folder)}
            self.process = subprocess.Popen(command, stdout=out, stderr=err, env=home)
        until(lambda: '"ready"' in self.log or self.process.poll() is not None, "the start")
        assert self.process.poll() is None, self.log
        said = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        doors = {one["protocol"]: one["endpoint"] for one in said if one["event"] == "listening" and "protocol" in one}
        self.grpc, self.http = doors["grpc"], doors["http"]
        self._channel = grpc.insecure_channel(self.grpc)
        return self

    def send(self, *requests: Request) -> None:
        """Over gRPC, each after the answer to the one before. Raises grpc.RpcError."""
        assert self._channel is not None
        for one in requests:
            export = self._channel.unary_unary(f"/{EXPORT_SERVICES[one.signal].name}/Export")
            export(one.body, timeout=PATIENCE)

    def post(self, *requests: Request, encoding: str) -> None:
        """Over HTTP, as protobuf or as JSON."""
        for one in requests:
            body = one.body if encoding == "x-protobuf" else from_protobuf(one.signal, one.body).encode()
            headers = {"Content-Type": f"application/{encoding}"}
            asked = urllib.request.Request(f"http://{self.http}/v1/{one.signal}", body, headers)
            with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
                assert answer.status == 200

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def ended(self) -> int:
        """Its exit code, when it has ended."""
        assert self.process is not None
        code = self.process.wait(PATIENCE)
        if self._channel is not None:
            self._channel.close()
        return code

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.ended()

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        self.signal(signal.SIGTERM)
        return self.ended()

    def expected(self, requests: Iterable[Request]) -> set[bytes]:
        """The spans of `build` with the same settings."""
        loaded = config.load([("config", json.dumps(self.settings))], [], {"HOME": str(self.folder)})
        return set(spans_in(build(requests, builder_settings(loaded.connector)).requests()))


_SESSION = re.compile(rb"(ses_[0-9a-zA-Z]{24})[0-9a-zA-Z]{2}")


def renamed(requests: Iterable[Request], tag: str) -> list[Request]:
    """The same sessions under ids of their own: `tag` (two letters) stands in for the last two letters of each."""
    return [Request(r.signal, _SESSION.sub(rb"\g<1>" + tag.encode(), r.body), r.items) for r in requests]
