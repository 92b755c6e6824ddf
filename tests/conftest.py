"""Root fixtures and hooks: Hypothesis profiles, logging, the rule for tests that start processes, and the CPU budget.

`--cpu-budget SECONDS` (see `make test`) fails a run that used more CPU time, child processes included. A new feature
may add 20 s to the budget. A test that needs more gets the marker `slow` and a make target.
"""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile(
    "ci",
    max_examples=45,  # what the CPU budget allows
    deadline=None,
    derandomize=True,
    suppress_health_check=_SLOW,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a failure names the law; `make deep` shrinks the example
)
settings.register_profile("deep", max_examples=2000, deadline=None, suppress_health_check=_SLOW)
settings.register_profile(
    "dev", max_examples=600, deadline=None, suppress_health_check=_SLOW, phases=[Phase.reuse, Phase.generate]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def unchanged_logging() -> Iterator[None]:
    """Undoes what `run` and `build --endpoint` do to the logging of their process, which here is the tests'."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


_MAY_START_PROCESSES = ("process", "slow", "interop", "e2e")  # the last three have make targets of their own


@pytest.fixture(autouse=True)
def processes_need_the_marker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test that starts a process without the marker `process`, so that `-m` can leave the slow tests out."""
    if not any(request.node.get_closest_marker(marker) for marker in _MAY_START_PROCESSES):

        def refuse(*_: Any, **__: Any) -> None:
            raise AssertionError("this test starts a process: give it the marker `process`")

        monkeypatch.setattr(subprocess.Popen, "__init__", refuse)


_CPU_OF_WORKERS: list[float] = []  # s, of the finished processes of pytest-xdist


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cpu-budget", type=float, metavar="SECONDS", help="fail if the run uses more CPU time than this")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _CPU_OF_WORKERS.append(getattr(node, "workeroutput", {}).get("cpu", 0.0))


def _cpu_seconds() -> float:
    """CPU time of this process and its children. The workers of pytest-xdist are children that may still run."""
    times = os.times()
    children = times.children_user + times.children_system
    return times.user + times.system + max(children, sum(_CPU_OF_WORKERS))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["cpu"] = _cpu_seconds()
        return
    budget = session.config.getoption("--cpu-budget")
    if budget is not None and _cpu_seconds() > budget and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    budget = config.getoption("--cpu-budget")
    if budget is not None:
        used = _cpu_seconds()
        verdict = "" if used <= budget else ": TOO MUCH; `pytest --durations=30` shows the slowest tests"
        terminalreporter.write_line(f"{used:.0f} CPU seconds used of {budget:.0f}{verdict}", red=bool(verdict))
