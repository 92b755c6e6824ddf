"""Does what deploy/Dockerfile says, instruction by instruction, and runs what comes of it, without a container engine:
each stage is this machine's files with a layer above them, entered by chroot. The base image's Python is ours.
Runs as root in a mount namespace of its own: `unshare --mount python -m tests.interop.image PLACE RECORDING`.

What it saw goes to standard output as JSON. It judges nothing.
"""

from __future__ import annotations

import ctypes
import fcntl
import http.server
import json
import os
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.dockerfile import ROOT, context, instructions, told

NEW_NETWORK = 0x40000000  # CLONE_NEWNET
GET_FLAGS, SET_FLAGS, UP = 0x8913, 0x8914, 1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP
PATIENCE = 60.0
PASSED = re.compile(r"PIP_.*|.*_proxy|.*_PROXY|SSL_CERT_.*|REQUESTS_CA_BUNDLE")  # as `docker build` is given them


def mount(*arguments: str) -> None:
    """Mount something, in this namespace."""
    subprocess.run(["mount", *arguments], check=True)


class Stage:
    """A root folder that grows by instructions."""

    def __init__(self, place: Path, name: str) -> None:
        layer, work, self.root = place / f"{name}.layer", place / f"{name}.work", place / name
        for folder in (layer, work, self.root):
            folder.mkdir()
        mount("-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={layer},workdir={work}", str(self.root))
        mount("--rbind", "/proc", f"{self.root}/proc")
        mount("--rbind", "/dev", f"{self.root}/dev")
        shutil.copyfile("/etc/resolv.conf", self.root / "etc/resolv.conf")
        self.environment = {"PATH": f"{sys.base_prefix}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
        self.folder, self.user = "/", "0:0"
        self._python()

    def _python(self) -> None:
        """python:…-slim has it on the path, as `python`, open to everybody."""
        named = Path(sys.base_prefix) / "bin" / "python"
        if not named.exists():
            (self.root / named.relative_to("/")).symlink_to(f"python3.{sys.version_info.minor}")
        for above in [*named.parents][:-1]:
            inside = self.root / above.relative_to("/")
            inside.chmod(inside.stat().st_mode | 0o055)

    def inside(self, path: str) -> Path:
        """Where a path of the image lies here."""
        return self.root / os.path.join(self.folder, path).lstrip("/")

    def command(self, *words: str, **more: str) -> list[str]:
        """What runs words inside, as the image's user and with nothing but the image's environment."""
        given = [f"{name}={value}" for name, value in {**self.environment, **more}.items()]
        return [
            "chroot",
            f"--userspec={self.user}",
            str(self.root),
            "env",
            "-i",
            f"--chdir={self.folder}",
            *given,
            *words,
        ]

    def follow(self, name: str, text: str, stages: dict[str, Stage]) -> None:
        """Do one instruction."""
        if name == "WORKDIR":
            self.folder = text
            self.inside(text).mkdir(parents=True, exist_ok=True)
        elif name == "ENV":
            for word in shlex.split(text):
                key, _, value = word.partition("=")
                self.environment[key] = value.replace("$PATH", self.environment["PATH"])
        elif name == "RUN":
            passed = {key: value for key, value in os.environ.items() if PASSED.fullmatch(key)}
            subprocess.run(self.command("sh", "-c", text, **passed), check=True, stdout=sys.stderr)
        elif name == "COPY":
            self._copy(text.split(), stages)
        elif name == "USER":
            self.user = text

    def _copy(self, words: list[str], stages: dict[str, Stage]) -> None:
        source = ROOT
        if words[0].startswith("--from="):
            source = stages[words.pop(0).removeprefix("--from=")].root
        *names, target = words
        for name in names:
            assert source is not ROOT or name in context(), f"{name} is ignored"
            origin, goal = source / name.lstrip("/"), self.inside(target)
            if origin.is_dir():
                ignored = shutil.ignore_patterns("__pycache__") if source is ROOT else None
                shutil.copytree(origin, goal, symlinks=True, ignore=ignored, dirs_exist_ok=True)
            else:
                (goal if target.endswith("/") else goal.parent).mkdir(parents=True, exist_ok=True)
                shutil.copy(origin, goal)


def built(place: Path) -> Stage:
    """The last stage."""
    stages: dict[str, Stage] = {}
    for name, text in instructions():
        if name == "FROM":
            title = text.split()[2] if " AS " in text else "final"
            stages[title] = Stage(place, title)
        else:
            stages[title].follow(name, text, stages)
    return stages[title]


def alone() -> None:
    """A network with nothing but loopback: the image's ports are its own."""
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "no network namespace")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        known = fcntl.ioctl(any_socket, GET_FLAGS, struct.pack("16sh22x", b"lo", 0))
        flags = struct.unpack("16sh22x", known)[1] | UP
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh22x", b"lo", flags))


@contextmanager
def backend() -> Iterator[tuple[int, list[list[str | None]]]]:
    """A web server's port, and what was posted to it: where to, and with which credentials."""
    posted: list[list[str | None]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            posted.append([self.path, self.headers["Authorization"]])
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, posted
        server.shutdown()


def run(image: Stage, recording: Path) -> dict[str, Any]:
    """Start it as compose does: its root read-only, its volume and /tmp writable, and its backend named by nothing but
    the standard variables."""
    volume = image.inside(told("VOLUME"))
    kept = image.root.parent / "volume"
    subprocess.run(["cp", "--archive", str(volume), str(kept)], check=True)
    given = image.inside("/recording")
    shutil.copytree(recording, given)
    mount("--bind", str(kept), str(volume))
    mount("-t", "tmpfs", "tmpfs", str(image.inside("/tmp")))
    mount("-o", "remount,ro", str(image.root))
    start = [*json.loads(told("ENTRYPOINT")), *json.loads(told("CMD"))]
    health = image.command(*json.loads(told("HEALTHCHECK").partition("CMD ")[2]))
    saw: dict[str, Any] = {"before": _code(health), "volume": [oct(volume.stat().st_mode), volume.stat().st_uid]}
    command = json.loads(told("ENTRYPOINT"))
    with (
        backend() as (port, saw["posted"]),
        subprocess.Popen(image.command(*start, **variables(port)), stderr=subprocess.PIPE) as process,
    ):
        try:
            until = time.monotonic() + PATIENCE
            while (code := _code(health)) and time.monotonic() < until and process.poll() is None:
                time.sleep(0.2)
            saw["healthy"] = code
            for name, words in {"replay": ["replay", "/recording"], "sessions": ["sessions"]}.items():
                done = subprocess.run(image.command(*command, *words), capture_output=True, text=True, check=False)
                saw[name] = [done.returncode, done.stdout + done.stderr]
            saw["listening"] = _listening()
            while not saw["posted"] and time.monotonic() < until:
                time.sleep(0.2)
            saw["store"] = [[one.name, one.stat().st_uid, oct(one.stat().st_mode)] for one in sorted(volume.iterdir())]
            process.send_signal(getattr(signal, told("STOPSIGNAL")))
            saw["log"] = process.communicate(timeout=PATIENCE)[1].decode()
            saw["ended"] = process.returncode
        finally:
            process.kill()
    return saw


def variables(port: int) -> dict[str, str]:
    """What `docker run -e` gives."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20right",
    }


def _code(command: list[str]) -> int:
    return subprocess.run(command, capture_output=True, check=False).returncode


def _listening() -> list[int]:
    """Ports that are open beyond loopback."""
    found = set()
    for table, anywhere in (("/proc/net/tcp", "00000000"), ("/proc/net/tcp6", "0" * 32)):
        for line in Path(table).read_text().splitlines()[1:]:
            address, _, port = line.split()[1].partition(":")
            if line.split()[3] == "0A" and address == anywhere:  # LISTEN
                found.add(int(port, 16))
    return sorted(found)


def main(place: Path, recording: Path) -> None:
    """Build it, run it, say what was seen."""
    mount("-t", "tmpfs", "tmpfs", str(place))
    image = built(place)
    alone()
    print(json.dumps(run(image, recording)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
