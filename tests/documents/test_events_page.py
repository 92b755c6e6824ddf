"""docs/events.md against the code: the events that it defines are those that are read, its examples become the trees
that it shows, and the plugin's settings are those that it names.
"""

from __future__ import annotations

import re

import pytest

from receiver.codec.otlp_json import to_protobuf
from receiver.core.state.settings import BuilderSettings
from receiver.dialects.opencode import event_relay
from receiver.model import Request
from receiver.pipeline import offline
from tests.support.paths import ROOT
from tests.support.trace_scoring import Seen, laws, spans_of

PAGE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
PLUGIN = (ROOT / "plugin" / "event-relay.js").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)


def section(title: str) -> str:
    """The text below a heading of the page."""
    return re.split(r"^## ", PAGE, flags=re.MULTILINE)[[h.split("\n")[0] for h in PAGE.split("\n## ")].index(title)]


def test_the_page_defines_exactly_the_events_that_are_read() -> None:
    rows = re.findall(r"^\| `([a-z_.]+\.[a-z_.]+)` \|", section("The events"), re.MULTILINE)
    assert sorted(rows) == sorted(event_relay.EVENTS)


def test_the_page_names_the_scope_that_is_read() -> None:
    assert f"`{event_relay.RELAY_SCOPE}`" in section("The record")


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize(("records", "tree"), EXAMPLES)
def test_an_example_becomes_the_tree_that_is_shown_below_it(records: str, tree: str) -> None:
    request = Request("logs", to_protobuf("logs", records.encode()), 1)
    built = offline.build([request], BuilderSettings())
    spans = spans_of(built.requests())
    assert not built.discarded
    assert not laws(spans)
    assert outline(spans) == tree.splitlines()


def outline(spans: list[Seen], parent: bytes = b"", depth: int = 0) -> list[str]:
    """Names, indented by depth."""
    lines = []
    for span in sorted((s for s in spans if s.parent == parent), key=lambda s: s.start):
        lines += ["  " * depth + span.name, *outline(spans, span.id, depth + 1)]
    return lines


def test_the_page_names_exactly_the_settings_that_the_plugin_reads() -> None:
    read = set(
        re.findall(r"RELAY_[A-Z_]+", "\n".join(line for line in PLUGIN.splitlines() if not line.startswith("//")))
    )
    told = set(re.findall(r"^\| `(RELAY_[A-Z_]+)` \|", section("Install the plugin"), re.MULTILINE))
    assert read == told


def test_the_plugin_sends_exactly_the_events_that_are_read() -> None:
    pattern = re.search(r"const EVENTS =\s+/(\^.*\$)/", PLUGIN)
    assert pattern
    events = {name for name in event_relay.EVENTS if re.search(pattern[1], name)}
    hooks = set(re.findall(r'"(tool\.execute\.[a-z]+)": async', PLUGIN))
    assert events | hooks == event_relay.EVENTS
    assert not events & hooks


def test_the_plugin_sends_the_resource_that_the_page_names() -> None:
    resource = PLUGIN.partition("resourceFromAttributes({")[2].partition("})")[0]
    row = next(line for line in section("The record").splitlines() if line.startswith("| resource |"))
    sent = re.findall(r'^ +"([a-z.]+)":', resource, re.MULTILINE)
    assert set(re.findall(r"`([a-z.]+)`", row)) == set(sent) - {"opencode.plugin"}


def test_the_plugin_says_the_version_of_its_package() -> None:
    package = (ROOT / "plugin" / "package.json").read_text(encoding="utf-8")
    version = re.search(r'const VERSION = "([^"]+)"', PLUGIN)
    assert version
    assert f'"version": "{version[1]}"' in package
