"""The image without an engine: deploy/Dockerfile done by hand (image.py) and run as compose runs it: not as root, with
a root file system that nobody can write, its volume, its ports, its health check and its stop signal.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.interop.backends import ROOT
from tests.interop.captures import NESTED, folder

pytestmark = pytest.mark.interop

APART = ["unshare", "--mount", "--propagation", "private"]


def unable() -> str:
    """Why this machine cannot enter a file system of its own; nothing if it can."""
    if shutil.which("unshare") is None or os.geteuid():
        return "the image is done by hand by root, with unshare"
    tried = ["sh", "-c", "mount -t tmpfs t /mnt && cd /mnt && mkdir a b c && mount -t overlay o -o $0 c"]
    done = subprocess.run([*APART, *tried, "lowerdir=/,upperdir=a,workdir=b"], capture_output=True, text=True)
    return done.stderr.strip()


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What building and running it showed."""
    if why := unable():
        pytest.skip(why)
    place = tmp_path_factory.mktemp("image")
    command = [*APART, sys.executable, "-m", "tests.interop.image", str(place), str(folder(NESTED))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_its_health_check_fails_before_it_runs_and_not_after(seen):
    assert seen["before"] != 0
    assert seen["healthy"] == 0, seen["log"]


def test_it_takes_telemetry_and_answers_its_own_commands(seen):
    code, said = seen["replay"]
    assert code == 0, said
    code, said = seen["sessions"]
    assert code == 0, said
    assert "ses_" in said


def test_the_standard_variables_alone_bring_its_traces_to_a_backend(seen):
    assert seen["posted"], seen["log"]
    assert set(map(tuple, seen["posted"])) == {("/v1/traces", "Bearer right")}


def test_it_listens_where_it_says_and_keeps_its_admin_service_inside(seen):
    assert seen["listening"] == [4317, 4318, 8888, 13133]


def test_its_volume_is_its_own_and_holds_nothing_else(seen):
    assert seen["volume"] == ["0o40700", 10001]
    assert {owner for _, owner, _ in seen["store"]} == {10001}
    assert {mode for _, _, mode in seen["store"]} <= {"0o100600"}
    assert not [name for name, _, _ in seen["store"] if name.startswith(".")]


def test_either_port_takes_either_protocol(seen):
    assert "takes its own protocol only" not in seen["log"]


def test_it_stops_when_it_is_told_to(seen):
    assert seen["ended"] == 0, seen["log"]
