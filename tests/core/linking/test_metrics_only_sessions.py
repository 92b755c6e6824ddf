"""Recordings of the real agent, told by its plugin's metrics: alone, beside its events, and instead of them. The trees
of metrics alone are kept as text to read (`python -m tests.core.linking.test_metrics_only_sessions` writes them again).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from receiver import semconv as sc
from receiver.core.state.settings import BuilderSettings
from receiver.model import Request
from receiver.pipeline.offline import Built, build
from receiver.recordings.files import read_recordings
from tests.golden.rewrite import HERE as GOLDEN
from tests.golden.rewrite import tree_text
from tests.support.span_laws import attribute, inferred, is_session, violations
from tests.support.trace_scoring import laws, score, spans_of

REWRITE = "run `python -m tests.core.linking.test_metrics_only_sessions`, and review what changed"
HERE = Path(__file__).parent / "recordings"
PLUGIN_OTEL = sorted(path.parent for path in HERE.glob("*/otlp"))
TELEMETRY_PLUGIN = sorted(path.parent for path in GOLDEN.glob("[AB]/*/otlp"))
TOTALS = (sc.INPUT_TOKENS, sc.OUTPUT_TOKENS, sc.CACHE_READ_TOKENS, sc.REASONING_TOKENS, sc.COST)
BOTH = [HERE / name for name in ("03-task-child", "30-dev120")]  # with their events; the other one is large


def requests(folder: Path, *signals: str) -> list[Request]:
    """The recorded requests of some signals."""
    return [Request(r.signal, r.body, 0) for r in read_recordings([folder / "otlp"]) if r.signal in signals]


def built(folder: Path, *signals: str) -> Built:
    """What they become."""
    return build(requests(folder, *signals), BuilderSettings())


def names(folders: list[Path]) -> list[str]:
    """For people who read the tests' names."""
    return ["/".join(f.parts[-2:]) for f in folders]


@pytest.mark.parametrize("folder", PLUGIN_OTEL, ids=names(PLUGIN_OTEL))
class TestMetricsAlone:
    def test_the_tree_is_the_one_that_was_reviewed(self, folder):
        kept = (folder / "tree.txt").read_text(encoding="utf-8")
        assert tree_text(built(folder, "metrics").spans) == kept, REWRITE

    def test_every_call_and_every_edge_is_found_and_nothing_more(self, folder):
        asked, found = requests(folder, "metrics"), built(folder, "metrics")
        truth = json.loads((folder / "expected.json").read_text())
        seen = spans_of(found.requests())
        assert laws(seen) == []
        told = score(seen, truth, b"".join(r.body for r in asked))
        assert told.wrong == 0, told.notes
        assert (told.calls_missing, told.calls_extra) == (0, 0), told.notes
        assert (told.sessions_ok, told.edges_ok) == (told.sessions, told.edges), told.notes

    def test_every_call_is_marked(self, folder):
        calls = [s for s in built(folder, "metrics").spans if not is_session(s)]
        assert calls
        assert all("identity" in inferred(s) for s in calls)


@pytest.mark.parametrize("folder", TELEMETRY_PLUGIN, ids=names(TELEMETRY_PLUGIN))
def test_the_delta_metrics_of_the_other_plugin_alone(folder):
    """They say neither who is a child nor what failed: every session is a root, and no call is invented."""
    asked, found = requests(folder, "metrics"), built(folder, "metrics")
    assert violations(found.spans) == []
    told = score(
        spans_of(found.requests()),
        json.loads((folder / "expected.json").read_text()),
        b"".join(r.body for r in asked),
    )
    assert (told.wrong, told.calls_extra) == (0, 0), told.notes
    assert told.sessions_ok == told.sessions


@pytest.mark.parametrize("folder", BOTH, ids=names(BOTH))
class TestBoth:
    def test_the_metrics_add_nothing_to_events_that_are_complete(self, folder):
        assert tree_text(built(folder, "logs", "metrics").spans) == tree_text(built(folder, "logs").spans)

    def test_the_same_sessions_and_calls_either_way(self, folder):
        def told(*signals: str) -> list[tuple[object, ...]]:
            names = (sc.SESSION_ID, sc.ROOT_SESSION_ID, sc.TOOL_NAME)
            spans = [s for s in built(folder, *signals).spans if not s.name.startswith(sc.CHAT)]
            return sorted((*(str(attribute(s, n)) for n in names), s.status_code) for s in spans)

        assert told("metrics") == told("logs")

    def test_totals_are_never_less_than_either_says(self, folder):
        def told(*signals: str) -> dict[object, object]:
            spans = [s for s in built(folder, *signals).spans if is_session(s)]
            return {(attribute(s, sc.SESSION_ID), n): attribute(s, n) or 0 for s in spans for n in TOTALS}

        both, logs, metrics = told("logs", "metrics"), told("logs"), told("metrics")
        assert both == {key: max(logs[key], metrics[key]) for key in both}  # type: ignore[type-var]

    def test_what_the_events_lack_is_added_once(self, folder):
        """Every second request with events is lost."""
        kept = [r for i, r in enumerate(requests(folder, "logs")) if i % 2] + requests(folder, "metrics")
        found = build(kept, BuilderSettings())
        truth = json.loads((folder / "expected.json").read_text())
        told = score(spans_of(found.requests()), truth, b"".join(r.body for r in kept))
        assert violations(found.spans) == []
        assert (told.wrong, told.calls_missing, told.calls_extra) == (0, 0, 0), told.notes


if __name__ == "__main__":
    for recording in PLUGIN_OTEL:
        (recording / "tree.txt").write_text(tree_text(built(recording, "metrics").spans), encoding="utf-8")
        print(recording.name)
