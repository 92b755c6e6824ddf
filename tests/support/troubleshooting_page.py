"""Helpers for the tests of docs/troubleshooting.md: the page's text, the commands and metrics that an operator looks
at, and HTTP servers that stand in for misconfigured backends.
"""

from __future__ import annotations

import http.server
import json
import re
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.otlp_requests import recorded
from tests.support.paths import DOCS
from tests.support.processes import Receiver

PAGE = re.sub(r"\s+", " ", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"))
CAPTURE = recorded("parallel-nested")


def told(*phrases: str) -> None:
    """The page quotes them."""
    assert [phrase for phrase in phrases if phrase not in PAGE] == []


def address(receiver: Receiver, door: str) -> str:
    """Where one of its doors listens."""
    said = (json.loads(line) for line in receiver.log.splitlines() if line.startswith("{"))
    return next(str(one["endpoint"]) for one in said if one["event"] == "listening" and one["protocol"] == door)


def metrics(receiver: Receiver) -> str:
    with urllib.request.urlopen(f"http://{address(receiver, 'metrics')}/metrics") as answer:
        return str(answer.read().decode())


def command(receiver: Receiver, *arguments: str) -> str:
    """What one of the commands that ask a running receiver prints."""
    asked = [sys.executable, "-m", "receiver", *arguments, "--endpoint", address(receiver, "admin")]
    done = subprocess.run(asked, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def sending_to(receiver: Receiver, **exporters: dict[str, object]) -> None:
    retry = {"initial_interval": "100ms", "max_interval": "300ms"}
    receiver.settings["exporters"] = {
        name.replace("__", "/"): {"timeout": "20s", "retry_on_failure": retry, **body}
        for name, body in exporters.items()
    }


def lines(receiver: Receiver, event: str) -> list[dict[str, Any]]:
    """The lines of its log that tell of this."""
    said = (json.loads(line) for line in receiver.log.splitlines())  # each is ours, or this fails
    return [one for one in said if one["event"] == event]


@contextmanager
def website(
    status: int = 501, headers: dict[str, str] | None = None, body: bytes = b"", context: ssl.SSLContext | None = None
) -> Iterator[int]:
    """The port of a web server that answers every POST like this."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # whoever speaks something else, and that is what is tried here

    with Server(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
