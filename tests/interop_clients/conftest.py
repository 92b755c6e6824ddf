"""Where the JavaScript clients come from, and the marker of their tests: they run only where they are asked for by name
(`-m interop`), since npm installs the clients from its registry. Without node or npm they are skipped, aloud.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "interop-clients"
LINES = sorted(one.name for one in HERE.glob("js-*"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "interop: OpenTelemetry's exporters for JavaScript, from npm: -m interop")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "interop" in config.option.markexpr:
        return
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    config.hook.pytest_deselected(items=ours)
    items[:] = [item for item in items if item not in ours]


@pytest.fixture(scope="session", params=LINES)
def line(request: pytest.FixtureRequest) -> Path:
    """A folder in which one line of the SDK is installed."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not found: the JavaScript clients were NOT tested")
    folder = CACHE / request.param
    wanted, stamp = (HERE / request.param / "package.json").read_bytes(), folder / "installed.json"
    if not stamp.exists() or stamp.read_bytes() != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_bytes(wanted)
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
        subprocess.run(command, cwd=folder, check=True, timeout=600)
        stamp.write_bytes(wanted)
    return folder
