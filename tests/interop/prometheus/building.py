"""Builds Prometheus and its promtool, from the Go module proxy, without the service discovery that nobody needs here
(Kubernetes', the clouds'): it would be most of what is compiled. What its own `make` leaves out is one file less.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
MODULE = "github.com/prometheus/prometheus"


def _version() -> str:
    found = re.search(rf"^require {re.escape(MODULE)} (\S+)$", (HERE / "go.mod").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


VERSION = _version()


def build_prometheus(go: Callable[..., str], place: Path, jobs: str) -> None:
    """Into `place`/bin. `go` runs a command in a folder."""
    told = go(["go", "mod", "download", "-json", f"{MODULE}@{VERSION}"], HERE)
    sources = place / "prometheus"
    shutil.rmtree(sources, ignore_errors=True)
    shutil.copytree(json.loads(told)["Dir"], sources, copy_function=shutil.copyfile)
    for folder in (sources, *(one for one in sources.rglob("*") if one.is_dir())):
        folder.chmod(0o755)  # the module cache is read-only
    (sources / "plugins" / "plugins.go").unlink()
    target = f"{place / 'bin'}/"
    go(["go", "build", "-mod=readonly", "-p", jobs, "-o", target, "./cmd/prometheus", "./cmd/promtool"], sources)
