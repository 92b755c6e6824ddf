"""Helpers for the tests of the operator endpoints (health, admin, metrics): a receiver on free ports, in this process
or in its own, the commands that query it, and requests to send it.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import yaml
from grpc import aio
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from rich.console import Console

from receiver import config, model
from receiver.app.service import Service
from receiver.codec.export_service import EXPORT_SERVICES
from tests.support.factories import at, relay_record

PLACES = ("grpc", "http", "health", "admin", "metrics")
FAST = {"settle": "100ms", "idle_timeout": "1h"}  # calls leave at once, sessions stay


# Below the ports that the kernel gives to clients, and from another one on in each process, so that no other socket of
# the tests takes a port between the look and its use.
_ports = itertools.cycle((*range(10_000 + os.getpid() * 997 % 20_000, 32_000), *range(10_000, 32_000)))


def free_ports() -> dict[str, int]:
    """A free loopback port for each endpoint."""
    return {name: next(port for port in _ports if _is_free(port)) for name in PLACES}


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def tree(folder: Path, ports: dict[str, int], **connector: Any) -> dict[str, Any]:
    """A configuration, as YAML has it, with every door on its port."""
    at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    return {
        "receivers": {"otlp": {"protocols": {p: {"endpoint": at[p]} for p in ("grpc", "http")}}},
        "connectors": {"agenttrace": {**FAST, **connector}},
        "exporters": {"file": {"path": str(folder / "traces.jsonl")}},
        "extensions": {
            "file_storage": {"directory": str(folder / "store"), "fsync": False},
            "health_check": {"endpoint": at["health"]},
            "admin": {"endpoint": at["admin"]},
        },
        "service": {"telemetry": {"metrics": {"address": at["metrics"]}}},
    }


def settings(written: dict[str, Any]) -> config.Settings:
    """The settings of such a configuration."""
    return config.load([("test.yaml", yaml.safe_dump(written))], [], {})


@contextlib.asynccontextmanager
async def service(written: dict[str, Any] | config.Settings) -> AsyncIterator[Service]:
    """A receiver in this process."""
    read = written if isinstance(written, config.Settings) else settings(written)
    running = Service(read, Console(file=io.StringIO()))
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


@contextlib.contextmanager
def process(folder: Path, written: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """`run` in a process of its own, once it is ready; told to stop at the end."""
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(written))
    arguments = [sys.executable, "-m", "receiver", "run", "--config", str(file)]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as running:
        assert running.stderr is not None
        said = []
        for line in running.stderr:
            said.append(line)
            if " ready " in line:
                break
        else:
            raise AssertionError("".join(said))
        try:
            yield running
        finally:
            running.terminate()
            running.communicate(timeout=120)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """One command of the program, in a process of its own."""
    environment = {**os.environ, "COLUMNS": "240", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", "receiver", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        check=False,
    )


async def export(port: int, *requests: model.Request) -> None:
    """Send requests over gRPC."""
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for request in requests:
            await channel.unary_unary(f"/{EXPORT_SERVICES[request.signal].name}/Export")(request.body)


def ms(seconds: float) -> int:
    """Milliseconds since the epoch, as OpenCode writes times, of a moment in seconds after NOON."""
    return at(seconds) // 1_000_000


def relay(*tools: str, session: str = "ses_a", start: float = 0, parent: str | None = None) -> list[LogRecord]:
    """A session in the words of the event relay: created, then a call a second, half a second long."""
    info = {"id": session, "time": {"created": ms(start)}, **({"parentID": parent} if parent else {})}
    records = [relay_record("session.created", start, {"info": info})]
    for number, tool in enumerate(tools, start=1):
        began = start + number
        records.append(relay_call(session, tool, began, began + 0.5))
    return records


def relay_call(session: str, tool: str, start: float, end: float, **metadata: object) -> LogRecord:
    """A call that ended."""
    state = {"status": "completed", "input": {}, "output": "", "title": "", "metadata": metadata}
    return _part(session, tool, start, end, {**state, "time": {"start": ms(start), "end": ms(end)}})


def relay_running(session: str, tool: str, start: float) -> LogRecord:
    """A call that goes on."""
    return _part(session, tool, start, start, {"status": "running", "input": {}, "time": {"start": ms(start)}})


def _part(session: str, tool: str, start: float, time: float, state: dict[str, Any]) -> LogRecord:
    part = {"id": f"prt_{session}_{start}", "sessionID": session, "messageID": "msg_1", "type": "tool"}
    told = {**part, "callID": f"{tool}@{start}", "tool": tool, "state": state}
    return relay_record("message.part.updated", time, {"part": told})


def relay_idle(session: str, time: float) -> LogRecord:
    """A session's turn is over."""
    return relay_record("session.idle", time, {"sessionID": session})
