"""Builds the backends of the interop tests into .interop/, which git ignores: `python -m tests.interop.build [NAME…]`.

The Collector's sources come from its own builder and are compiled with collector/go.mod and go.sum. Jaeger and Tempo
are compiled inside their own modules, from the Go module proxy. The parsers of the files in deploy/ are a module of
ours. Phoenix comes from PyPI and gets an environment of its own. A backend that is already there in the wanted version
is not built again. A backend that cannot be built is written down with the reason; its tests are then skipped.

After a change of collector/builder.yaml, `python -m tests.interop.build --lock` writes collector/go.mod and go.sum.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.interop.prometheus import building as prometheus

HERE = Path(__file__).parent
PLACE = HERE.parent.parent / ".interop"
BIN = PLACE / "bin"
PHOENIX = PLACE / "phoenix"
COLLECTOR = HERE / "collector"
MANIFEST = COLLECTOR / "builder.yaml"
PARSERS = HERE / "deploy"

MODULE_FILES = ("go.mod", "go.sum")
MODULE_HEADER = """\
// The modules that the interop tests' Collector is compiled from; go.sum says what their sources hash to. Written from
// builder.yaml by `make interop-lock`; change builder.yaml, not this file.
module github.com/opencode-trace-receiver/interop/collector

go 1.25

"""
PLATFORMS = (("linux", "amd64"), ("linux", "arm64"), ("darwin", "amd64"), ("darwin", "arm64"))

BUILDER = "go.opentelemetry.io/collector/cmd/builder"
JAEGER = "github.com/jaegertracing/jaeger"
TEMPO = "github.com/grafana/tempo"
COMPOSE = "github.com/compose-spec/compose-go/v2"
BUILDKIT = "github.com/moby/buildkit"
KUBERNETES = "k8s.io/api"
PHOENIX_VERSION = "20.26.1"
JOBS = os.environ.get("INTEROP_JOBS", "2")  # compilers at once: linking Jaeger or Tempo takes about 3 GiB


class Unavailable(Exception):
    """A backend cannot be built on this machine; the message says why."""


def pinned(module: str, place: Path = HERE) -> str:
    """The version of a module that go.mod names."""
    found = re.search(rf"^\s*{re.escape(module)} (\S+)$", (place / "go.mod").read_text(), re.MULTILINE)
    assert found is not None, module
    return found[1]


def collector_version() -> str:
    """The version that the Collector's builder is told to write into it."""
    found = re.search(r"^  version: (\S+)$", MANIFEST.read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


VERSIONS = {
    "collector": collector_version(),
    "jaeger": pinned(JAEGER),
    "tempo": pinned(TEMPO),
    "phoenix": PHOENIX_VERSION,
    "prometheus": prometheus.VERSION,
    "compose-go": pinned(COMPOSE, PARSERS),
    "buildkit": pinned(BUILDKIT, PARSERS),
    "kubernetes": pinned(KUBERNETES, PARSERS),
}


def _collector() -> None:
    sources = _collector_sources()
    for name in MODULE_FILES:
        shutil.copyfile(COLLECTOR / name, sources / name)
    _go(["go", "build", "-mod=readonly", "-p", JOBS, "-o", str(BIN / "collector"), "."], sources)


def _collector_sources() -> Path:
    """The folder with the Go files that the Collector's builder writes. It has no go.mod yet.

    The builder would write one and run `go mod tidy`, which also wants the modules that only the components' own tests
    import; not every module proxy has all of these. With `--skip-get-modules` it does neither."""
    _inside_its_module(BUILDER, ".", BIN / "builder")
    sources = PLACE / "collector"
    shutil.rmtree(sources, ignore_errors=True)  # no file of an older build
    only_sources = ["--skip-get-modules", "--skip-compilation"]
    _go([str(BIN / "builder"), f"--config={MANIFEST}", f"--output-path={sources}", *only_sources])
    return sources


def required_modules() -> dict[str, str]:
    """Module to version: the components that builder.yaml names, and the Collector's own core."""
    components = re.findall(r"^  - gomod: (\S+) (\S+)$", MANIFEST.read_text(), re.MULTILINE)
    return {**dict(components), "go.opentelemetry.io/collector/otelcol": f"v{collector_version()}"}


def lock_collector() -> None:
    """Write collector/go.mod and go.sum from builder.yaml: what the Collector imports on each platform."""
    BIN.mkdir(parents=True, exist_ok=True)
    sources = _collector_sources()
    requirements = "".join(f"\t{module} {version}\n" for module, version in sorted(required_modules().items()))
    (sources / "go.mod").write_text(f"{MODULE_HEADER}require (\n{requirements})\n")
    for system, processor in PLATFORMS:
        _go(["env", f"GOOS={system}", f"GOARCH={processor}", "go", "list", "-mod=mod", "-deps", "."], sources)
    for name in MODULE_FILES:
        shutil.copyfile(sources / name, COLLECTOR / name)


def _jaeger() -> None:
    _inside_its_module(JAEGER, "./cmd/jaeger", BIN / "jaeger")


def _tempo() -> None:
    _inside_its_module(TEMPO, "./cmd/tempo", BIN / "tempo")


def _phoenix() -> None:
    python = PHOENIX / "bin" / "python"
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(PHOENIX)])
    _run([str(python), "-m", "pip", "install", "--quiet", f"arize-phoenix=={PHOENIX_VERSION}"])


def _parser(name: str) -> Callable[[], None]:
    def build() -> None:
        _go(["go", "build", "-mod=readonly", "-p", JOBS, "-o", str(BIN / name), f"./{name}"], PARSERS)

    return build


BACKENDS: dict[str, Callable[[], None]] = {
    "collector": _collector,
    "jaeger": _jaeger,
    "tempo": _tempo,
    "phoenix": _phoenix,
    "prometheus": lambda: prometheus.build_prometheus(_go, PLACE, JOBS),
    "compose-go": _parser("compose-go"),
    "buildkit": _parser("buildkit"),
    "kubernetes": _parser("kubernetes"),
}


def _inside_its_module(module: str, package: str, target: Path) -> None:
    """Compile a package as its authors do, with the replacements and checksums of its own go.mod and go.sum.
    `go install module@version` refuses modules that replace others."""
    wanted = f"{module}@{pinned(module)}"
    answer = _go(["go", "mod", "download", "-json", wanted], HERE)
    folder = Path(json.loads(answer)["Dir"])
    _go(["go", "build", "-mod=readonly", "-p", JOBS, "-o", str(target), package], folder)


def _go(command: list[str], folder: Path = PLACE) -> str:
    if shutil.which("go") is None:
        raise Unavailable("there is no Go toolchain on this machine")
    return _run(command, folder, {"GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local", "GOWORK": "off"})


def _run(command: list[str], folder: Path = PLACE, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        ["nice", "-n", "19", *command],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        output = f"{done.stdout}\n{done.stderr}".strip().splitlines()[-8:]
        raise Unavailable(f"{' '.join(command[:4])} … failed: " + " | ".join(line.strip() for line in output))
    return done.stdout


def reasons() -> dict[str, str]:
    """What could not be built, and why, as the last build found."""
    file = PLACE / "unavailable.json"
    found: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    return found


def built(name: str) -> bool:
    """Whether a backend is there, in the version that is wanted."""
    stamp = PLACE / f"{name}.version"
    return stamp.exists() and stamp.read_text() == VERSIONS[name]


def main(names: list[str]) -> None:
    """Build what is missing of these, or of all."""
    BIN.mkdir(parents=True, exist_ok=True)
    why = reasons()
    for name in names or BACKENDS:
        if built(name):
            continue
        print(f"building {name} {VERSIONS[name]} …", flush=True)
        why.pop(name, None)
        try:
            BACKENDS[name]()
        except Unavailable as error:
            why[name] = str(error)
            print(f"  cannot be built: {error}", flush=True)
        else:
            (PLACE / f"{name}.version").write_text(VERSIONS[name])
        (PLACE / "unavailable.json").write_text(json.dumps(why, indent=1))


if __name__ == "__main__":
    if sys.argv[1:] == ["--lock"]:
        lock_collector()
    else:
        main(sys.argv[1:])
