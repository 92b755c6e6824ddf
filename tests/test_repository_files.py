"""The files that editors, git hooks and the forge read agree with the Makefile and with pyproject.toml.

The workflows themselves are not run here: that takes the forge.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from receiver import __version__

pytestmark = pytest.mark.process

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
HOOKS = ROOT / ".pre-commit-config.yaml"
TARGETS = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.MULTILINE))


def jobs(workflow: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return found


def check(schema: str, *files: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"])
def test_workflows_fit_their_schema(schema: str) -> None:
    assert {path.name for path in WORKFLOWS} == {"ci.yml", "release.yml"}
    check(schema, *WORKFLOWS)


def test_dependabot_configuration_fits_its_schema() -> None:
    check("vendor.dependabot", ROOT / ".github" / "dependabot.yml")


def test_pre_commit_accepts_its_configuration() -> None:
    command = [sys.executable, "-m", "pre_commit", "validate-config", str(HOOKS)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows_and_hooks_call_targets_of_the_makefile() -> None:
    for file in (*WORKFLOWS, HOOKS):
        called = set(re.findall(r"(?:run|entry): make ([a-z0-9-]+)", file.read_text(encoding="utf-8")))
        assert called, file.name
        assert called <= TARGETS, file.name


def test_ci_runs_the_checks_and_the_tests_of_the_local_ci_script() -> None:
    local = set(re.findall(r"^make (\S+)$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE))
    ci = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert local
    assert local <= set(re.findall(r"run: make (\S+)", ci))


def test_ci_tests_every_python_version_that_the_package_names() -> None:
    (ci,) = (path for path in WORKFLOWS if path.name == "ci.yml")
    tested = jobs(ci)["test"]["strategy"]["matrix"]["python"]
    named = [found[1] for line in PYPROJECT["project"]["classifiers"] if (found := re.search(r":: (3\.\d+)$", line))]
    assert set(named) <= set(tested)
    assert PYPROJECT["project"]["requires-python"] == f">={tested[0]}"


def test_jobs_get_no_more_permissions_than_they_need() -> None:
    allowed = {"pypi": {"id-token": "write"}, "image": {"contents": "read", "packages": "write"}}
    for workflow in WORKFLOWS:
        assert yaml.safe_load(workflow.read_text(encoding="utf-8"))["permissions"] == {"contents": "read"}
        for name, job in jobs(workflow).items():
            if "permissions" in job:
                assert (workflow.name, job["permissions"]) == ("release.yml", allowed[name])


def test_every_make_target_is_phony_and_listed_by_make_help() -> None:
    phony = set(re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)[1].replace("\\\n", " ").split())
    assert phony == TARGETS
    shown = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True)
    assert {line.split()[0] for line in shown.stdout.splitlines()} == TARGETS


def test_editor_settings_are_those_of_the_formatter() -> None:
    settings = (ROOT / ".editorconfig").read_text(encoding="utf-8")
    assert f"max_line_length = {PYPROJECT['tool']['ruff']['line-length']}\n" in settings


def test_releasing_page_names_the_version_files() -> None:
    """Every file that a release must change."""
    page = (ROOT / "docs" / "releasing.md").read_text(encoding="utf-8")
    listed = subprocess.run(["git", "ls-files", "deploy"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in listed.stdout.splitlines()]
    holding = {path for path in files if f"opencode-trace-receiver:{__version__}" in path.read_text(encoding="utf-8")}
    assert holding
    for path in holding:
        assert f"`{path.relative_to(ROOT)}`" in page
