"""What is said is tested: names in the code are in the documentation, and the commands that it lists exist."""

import re
from pathlib import Path

import pytest

from receiver import semconv
from receiver.cli.main import run_command
from receiver.config import Retry
from receiver.core.emission import rendering
from receiver.core.state.settings import SECOND
from tests.support.paths import ROOT

TRACE = (ROOT / "docs" / "trace.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def written_names() -> list[str]:
    names = [v for k, v in vars(semconv).items() if k.isupper() and isinstance(v, str)]
    return sorted(set(names) - {semconv.SCOPE_NAME, semconv.SCHEMA_URL})


def test_every_attribute_name_is_documented() -> None:
    assert [name for name in written_names() if f"`{name}" not in TRACE and f" {name}" not in TRACE] == []


def test_every_end_reason_that_is_given_is_documented() -> None:
    documented = re.search(r"`opencode\.end_reason` says which:(.*?)\n\n", TRACE, re.DOTALL)
    assert documented is not None
    said = set(re.findall(r"`(\w+)`", documented[1]))
    assert said | {"shutdown"} == set(semconv.END_REASONS)  # no session ends by shutdown: it stays open in the store


def test_the_limits_of_a_span_are_documented() -> None:
    settings = rendering.BuilderSettings()
    assert f"cut at {settings.max_attribute_bytes:,} bytes" in TRACE
    assert f"attributes at {settings.max_attributes} a span" in TRACE


@pytest.mark.parametrize("command", ["run", "validate", "print-config", "build", "replay"])
def test_each_documented_command_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"| `{command}" in COMMANDS
    with pytest.raises(SystemExit) as ended:
        run_command([command, "--help"])
    assert ended.value.code == 0
    assert command in capsys.readouterr().out


def test_the_documents_that_the_readme_links_to_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"\bmake ([a-z0-9]+)\b", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_a_page_has_each_heading_once() -> None:
    for page in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        headings = re.findall(r"^#+ .*$", text, re.MULTILINE)
        assert len(set(headings)) == len(headings), page.name


def test_how_often_a_failing_export_is_told_is_as_documented() -> None:
    retry = Retry()
    low = retry.initial_interval * (1 - retry.randomization_factor) / SECOND
    high = retry.max_interval * (1 + retry.randomization_factor) / SECOND
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert f"every {low:g} to {high:g} s" in page


PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


def test_every_link_of_a_document_leads_to_a_file_and_a_heading() -> None:
    for page in PAGES:
        for target, _, anchor in re.findall(r"\]\(([^)#:]*)(#([\w-]+))?\)", page.read_text(encoding="utf-8")):
            other = page.parent / target if target else page
            assert other.exists(), (page.name, target)
            assert not anchor or anchor in anchors(other), (page.name, target, anchor)


def test_every_path_that_a_document_names_exists() -> None:
    named = re.compile(r"`((?:receiver|tests|docs|deploy|plugin|proto|benchmarks)/[\w./-]*\w/?)`")
    for page in PAGES:
        for path in named.findall(page.read_text(encoding="utf-8")):
            assert (ROOT / path).exists(), (page.name, path)


def test_every_class_that_the_glossary_names_exists() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "receiver").rglob("*.py"))
    classes = re.findall(r"`([A-Z][a-z]+[A-Z]\w+)`", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"))
    assert classes
    assert [name for name in classes if f"class {name}" not in source] == []
