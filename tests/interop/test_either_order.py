"""The two commands of docs/backends.md for Jaeger's program and this one on the same machine, copied and run in either
order: both keep running, and the trace arrives. In a network namespace of their own, since they use the usual ports.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.backends import BIN, ROOT
from tests.interop.captures import NESTED, folder

pytestmark = [pytest.mark.interop, pytest.mark.backend("jaeger")]
APART = ["unshare", "--user", "--map-root-user", "--net"]

# Asks until it holds, for 30 s at most: of a process that ended, or of what is not there, no more comes.
SCRIPT = """
ip link set lo up
until_it_holds() { for _ in $(seq 150); do if eval "$1"; then return 0; fi; sleep 0.2; done; echo "never: $1"; exit 1; }
trap 'kill $first $second; wait' EXIT
(exec FIRST) & first=$!
until_it_holds 'FIRST_IS_UP'
(exec SECOND) & second=$!
until_it_holds 'SECOND_IS_UP'
RECEIVER replay "$RECORDING" && RECEIVER flush
until_it_holds 'curl -sf localhost:16686/api/services | grep -q opencode'
kill -0 $first && kill -0 $second && echo both are there
"""
UP = {"jaeger": "curl -sf localhost:16686/api/services", "receiver": "curl -sf localhost:13136"}


def commands() -> dict[str, str]:
    """Jaeger's and the receiver's, as docs/backends.md has them."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "backends.md").read_text(encoding="utf-8"), re.DOTALL)
    (block,) = (one for one in blocks if one.startswith("jaeger "))
    jaeger, receiver = block.strip().splitlines()
    return {"jaeger": jaeger, "receiver": f"env {receiver}"}


@pytest.mark.parametrize("order", [("jaeger", "receiver"), ("receiver", "jaeger")], ids="-".join)
def test_jaeger_and_the_receiver_start_in_either_order(tmp_path: Path, order: tuple[str, str]) -> None:
    if shutil.which("unshare") is None or subprocess.run([*APART, "ip", "link"], capture_output=True).returncode:
        pytest.skip("no network of their own to be had: the commands for Jaeger were NOT tested")
    program = tmp_path / "opencode-trace-receiver"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m receiver "$@"\n')
    program.chmod(0o700)
    script = SCRIPT.replace("RECEIVER", program.name)
    for place, name in zip(("FIRST", "SECOND"), order, strict=True):
        script = script.replace(f"{place}_IS_UP", UP[name]).replace(f"exec {place}", f"exec {commands()[name]}")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "XDG_"))}
    environment = {
        **clean,
        "HOME": str(tmp_path),
        "PATH": f"{tmp_path}:{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RECORDING": str(folder(NESTED)),
    }
    done = subprocess.run(
        [*APART, "bash", "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "both are there" in done.stdout
