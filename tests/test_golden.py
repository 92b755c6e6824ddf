"""Recordings of the real agent: the traces built from them are the ones that were reviewed, and what they claim is what
the agent's own store says (the rules of tests/support/trace_scoring.py).
"""

from __future__ import annotations

import json
from functools import cache

import pytest

from receiver.recordings.files import read_recordings
from tests.golden.rewrite import HERE, MODES, RECORDINGS, built_from, requests_of, tree_text
from tests.support.span_laws import dangling_links, violations
from tests.support.trace_scoring import Score, Seen, laws, score, spans_of

NAMES = [str(folder.relative_to(HERE)) for folder in RECORDINGS]
OPENCODE = [name for name in NAMES if name[0] in "ABCD"]  # whose store names tools as the trace does
EXACT = [name for name in NAMES if name.startswith("C/")]  # only the relay tells the agent's own times

UNTOLD = {"D/12-old-1-2-27": 1}  # children whose task call is in no record
SILENT = {"D/12-old-1-2-27": 2, "D/30-gcornut": 1}  # calls that the plugin told nothing of (failed, or cut off)

recordings = pytest.mark.parametrize("name", NAMES)


@cache
def seen(name: str) -> list[Seen]:
    return spans_of(built_from(HERE / name).requests())


@cache
def scored(name: str) -> Score:
    folder = HERE / name
    expected = json.loads((folder / "expected.json").read_text())
    told = b"".join(request.body for request in requests_of(folder))
    return score(seen(name), expected, told)


def test_every_producer_has_recordings():
    assert {name.partition("/")[0] for name in NAMES} == {"A", "B", "C", "D", "codex", "copilot"}


@recordings
def test_the_tree_is_the_one_that_was_reviewed(name):
    kept = (HERE / name / "tree.txt").read_text(encoding="utf-8")
    assert tree_text(built_from(HERE / name).spans) == kept, "run `make golden` and review the difference"


@pytest.mark.parametrize("mode", sorted(MODES))
def test_the_tree_that_is_asked_for_is_the_one_that_was_reviewed(mode):
    name, settings = MODES[mode]
    kept = (HERE / name / f"tree.{mode}.txt").read_text(encoding="utf-8")
    spans = built_from(HERE / name, settings).spans
    assert tree_text(spans) == kept, "run `make golden` and review the difference"
    assert violations(spans) == dangling_links(spans) == []


@recordings
def test_the_shape_is_well_formed(name):
    assert laws(seen(name)) == []


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("copilot/")])  # has no child's id
def test_every_session_is_found_and_hangs_below_the_call_that_made_it(name):
    found = scored(name)
    assert found.wrong == 0, found.notes
    assert (found.sessions_ok, found.edges_ok) == (found.sessions, found.edges - UNTOLD.get(name, 0)), found.notes


@pytest.mark.parametrize("name", OPENCODE)
def test_every_call_is_found_once_and_failed_where_it_failed(name):
    found = scored(name)
    assert (found.calls_missing, found.calls_extra) == (SILENT.get(name, 0), 0), found.notes
    # of the notes, those on durations are for the relay alone; "ms, failed; … completed" and its contrary are not
    assert [n for n in found.notes if _status_differs(n)] == []


@pytest.mark.parametrize("name", EXACT)
def test_the_relay_tells_how_long_every_call_took(name):
    found = scored(name)
    assert found.perfect, found.notes


@recordings
def test_every_record_is_used_or_discarded_for_a_reason(name):
    built = built_from(HERE / name)
    assert "internal_error" not in built.discarded
    assert built.untouched == []
    assert sum(built.used.values()) > 0


@recordings
def test_a_recording_is_read_as_a_folder_with_all_that_lies_beside_it(name):
    assert len(list(read_recordings([HERE / name]))) == len(requests_of(HERE / name))


def _status_differs(note: str) -> bool:
    said = "failed" if " ms, failed; " in note else "well" if " ms, well; " in note else None
    return (said == "failed" and note.endswith("completed")) or (said == "well" and note.endswith("error"))
