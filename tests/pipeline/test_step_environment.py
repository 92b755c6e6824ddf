"""A stream engine's environment: the step runs where only protobuf 5.29, msgspec and opentelemetry-proto are installed.
PyFlink's Beam wants protobuf below 6, and the receiver's other packages want a later one.

The slow test makes that environment from the package index (`make step-check`); the other one imports the step in this
environment and lists what it loads.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

import pytest

from receiver.core.state.settings import BuilderSettings
from receiver.model import Request
from receiver.pipeline.offline import build
from receiver.recordings.files import read_recordings
from tests.support.paths import ROOT

pytestmark = pytest.mark.process

RECORDINGS = sorted((ROOT / "tests/golden").glob("*/*/otlp"))
OLD_PROTOBUF = "5.29.6"
PACKAGES = (
    f"protobuf=={OLD_PROTOBUF}",
    f"msgspec=={version('msgspec')}",
    f"opentelemetry-proto=={version('opentelemetry-proto')}",
)
ALLOWED = {"google", "msgspec", "opentelemetry", "receiver"}
BY_MSGSPEC = {"typing_extensions"}  # where it is installed

LOADED = """
import sys
from importlib.metadata import packages_distributions
before = set(sys.modules)
import receiver.pipeline.offline, receiver.pipeline.step
installed = packages_distributions()
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before} & installed.keys()))
"""

BUILD = """
import hashlib, sys
import google.protobuf
from receiver.core.state.settings import BuilderSettings
from receiver.model import Request
from receiver.pipeline.offline import build
from receiver.recordings.files import read_recordings
print(google.protobuf.__version__)
for folder in sys.argv[1:]:
    built = build((Request(one.signal, one.body, 1) for one in read_recordings([folder])), BuilderSettings())
    print(len(built.spans), hashlib.sha256(b"".join(built.requests())).hexdigest())
"""


def test_the_step_loads_only_protobuf_msgspec_and_opentelemetry_proto() -> None:
    assert set(run(Path(sys.executable), LOADED)) - BY_MSGSPEC == ALLOWED


@pytest.mark.slow
def test_recordings_are_built_with_protobuf_5_as_with_todays(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env/bin/python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", *PACKAGES], check=True, timeout=300)
    old_version, *words = run(python, BUILD, *map(str, RECORDINGS))
    assert old_version == OLD_PROTOBUF
    assert words == [word for folder in RECORDINGS for word in built_here(folder)]


def built_here(folder: Path) -> tuple[str, str]:
    """The number of spans of a recording, and the hash of its requests."""
    built = build((Request(one.signal, one.body, 1) for one in read_recordings([folder])), BuilderSettings())
    assert built.spans
    return str(len(built.spans)), hashlib.sha256(b"".join(built.requests())).hexdigest()


def run(python: Path, script: str, *arguments: str) -> list[str]:
    """The words that a script prints, run in the checkout by another interpreter."""
    done = subprocess.run([python, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()
