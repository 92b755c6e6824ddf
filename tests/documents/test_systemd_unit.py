"""deploy/opencode-trace-receiver.service: systemd understands it, it starts the program with a store of its own, and it
forbids nothing that the program does. No unit is started here: the program runs as the unit says, watched by strace.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys

import pytest

from tests.documents.test_deploy import CONFIG, DEPLOY, STORE, on_free_ports
from tests.golden.rewrite import HERE
from tests.support.operator_endpoints import command
from tests.support.processes import until

pytestmark = pytest.mark.process

TRACED = 120.0  # s: strace stops the program at each of its calls

FILE = DEPLOY / "opencode-trace-receiver.service"


def unit() -> dict[str, str]:
    lines = FILE.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))


def test_the_unit_starts_the_installed_command_with_a_store_of_its_own():
    program, *arguments = shlex.split(unit()["ExecStart"])
    assert program.endswith("/bin/opencode-trace-receiver")
    assert arguments == ["run", "--config", "/etc/opencode-trace-receiver/config.yaml"]
    assert f"/var/lib/{unit()['StateDirectory']}" == STORE
    assert "${env:STATE_DIRECTORY" in CONFIG.read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_understands_the_unit_and_finds_it_hardened(tmp_path):
    text = FILE.read_text()
    file = tmp_path / "opencode-trace-receiver.service"
    file.write_text(text.replace(shlex.split(unit()["ExecStart"])[0], sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", file], capture_output=True, text=True
    ).stdout
    level = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", told)
    assert level is not None, told
    assert float(level[1]) < 2


def settings(name: str) -> list[str]:
    """All that the unit says under a name, in order."""
    return re.findall(rf"^{name}=(.*)$", FILE.read_text(), flags=re.MULTILINE)


def allowed() -> set[str]:
    """The system calls that the unit lets through."""
    found: set[str] = set()
    for text in settings("SystemCallFilter"):
        for group in text.removeprefix("~").split():
            found = found - _calls(group) if text.startswith("~") else found | _calls(group)
    return found


def _calls(group: str) -> set[str]:
    told = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
    names = re.findall(r"^ +([@\w-]+)$", told.stdout, flags=re.MULTILINE)
    return set().union(*(_calls(name) if name.startswith("@") else {name} for name in names))


@pytest.mark.skipif(
    not (shutil.which("strace") and shutil.which("systemd-analyze")), reason="no strace or systemd-analyze here"
)
def test_it_starts_the_program_and_forbids_nothing_that_it_does(tmp_path):
    """It is started, takes a recording, sends to a backend that is not there, and stops."""
    (tmp_path / "config.yaml").write_text(on_free_ports())
    (tmp_path / "store").mkdir(mode=0o700)
    seen, log = tmp_path / "calls", tmp_path / "log"
    _, *arguments = shlex.split(unit()["ExecStart"].replace("/etc/opencode-trace-receiver", str(tmp_path)))
    environment = {
        **dict(pair.split("=", 1) for pair in settings("Environment")),
        **dict(re.findall(r"echo (\w+)=(\S+) >", FILE.read_text())),  # a backend that is not there
        "STATE_DIRECTORY": str(tmp_path / "store"),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    program = ["strace", "-f", "-qq", "-o", str(seen), sys.executable, "-m", "receiver", *arguments]
    with log.open("wb") as out, subprocess.Popen(program, stderr=out, env=environment, umask=0o077) as process:
        try:
            until(lambda: '"ready"' in log.read_text() or process.poll() is not None, "the start", TRACED)
            address = re.search(r'"protocol": "grpc", "endpoint": "([^"]+)"', log.read_text())
            assert address is not None, log.read_text()
            done = command("replay", str(HERE / "C" / "04-parallel-nested" / "otlp"), "--endpoint", address[1])
            assert done.returncode == 0, done.stderr
            until(lambda: "export failed; will retry" in log.read_text(), "an attempt to send", TRACED)
        finally:
            child = int(seen.read_text().split(maxsplit=1)[0])
            os.kill(child, getattr(signal, unit()["KillSignal"]))
        assert process.wait(30) == 0, log.read_text()
    lines = seen.read_text().splitlines()
    calls = {found[1] for line in lines if (found := re.match(r"\d+ +(?:<\.\.\. )?(\w+)", line))}
    assert calls - allowed() <= ({"fchown"} if os.geteuid() == 0 else set())  # SQLite does that as root only
    families = {found[1] for line in lines if (found := re.search(r" socket\((AF_\w+)", line))}
    assert families <= {*unit()["RestrictAddressFamilies"].split(), "AF_NETLINK"}  # refused, libc does without
    assert not [line for line in lines if re.search(r"PROT_WRITE\|PROT_EXEC", line)]
    assert {one.stat().st_mode & 0o777 for one in (tmp_path / "store").iterdir()} == {0o600}
