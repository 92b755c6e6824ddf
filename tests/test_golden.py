"""Recordings of the real agent: the traces built from them are the ones that were reviewed, and what they claim is what
the agent's own store says (the rules of tests/support/trace_scoring.py).
"""

from __future__ import annotations

import json
from functools import cache

import pytest

from receiver import semconv as sc
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
of_opencode = pytest.mark.parametrize("name", OPENCODE)
SHARED_SESSION = ("claude-code/", "qwen/")  # agents whose subagents share the session id
own_sessions = pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith((*SHARED_SESSION, "copilot/"))])
of_subagents = pytest.mark.parametrize("name", [name for name in NAMES if name.startswith(SHARED_SESSION)])


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
    assert {name.partition("/")[0] for name in NAMES} == {"A", "B", "C", "D", "claude-code", "codex", "copilot", "qwen"}


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


@own_sessions
def test_every_session_is_found_and_hangs_below_the_call_that_made_it(name):
    found = scored(name)
    assert found.wrong == 0, found.notes
    assert (found.sessions_ok, found.edges_ok) == (found.sessions, found.edges - UNTOLD.get(name, 0)), found.notes


@of_opencode
def test_every_call_is_found_once_and_failed_where_it_failed(name):
    found = scored(name)
    assert (found.calls_missing, found.calls_extra) == (SILENT.get(name, 0), 0), found.notes
    # of the notes, those on durations are for the relay alone; "ms, failed; … completed" and its contrary are not
    assert [n for n in found.notes if _status_differs(n)] == []


@pytest.mark.parametrize("name", EXACT)
def test_the_relay_tells_how_long_every_call_took(name):
    found = scored(name)
    assert found.perfect, found.notes


@of_subagents
def test_every_subagent_is_below_the_call_that_its_own_file_names(name):
    """A workflow's agents name no call in their files; the spans do."""
    expected = json.loads((HERE / name / "expected.json").read_text())
    spans = built_from(HERE / name).spans
    by_id = {s.span_id: dict(s.attributes) for s in spans}
    above = {
        dict(s.attributes)[sc.AGENT_ID]: by_id[s.parent_span_id].get(sc.TOOL_CALL_ID)
        for s in spans
        if s.name.startswith(sc.INVOKE_AGENT) and sc.AGENT_ID in dict(s.attributes)
    }
    calls = {c["child_session"]: c["callID"] for s in expected for c in s["tool_calls"] if c.get("child_session")}
    agents = {s["id"] for s in expected if s["parent_id"]}
    assert above.keys() == agents
    assert {agent: above[agent] for agent in calls} == calls


@of_subagents
def test_every_call_is_in_the_session_of_the_agent_that_made_it(name):
    expected = json.loads((HERE / name / "expected.json").read_text())
    found = {
        attributes[sc.TOOL_CALL_ID]: attributes.get(sc.AGENT_ID) or attributes[sc.SESSION_ID]
        for s in built_from(HERE / name).spans
        if sc.TOOL_CALL_ID in (attributes := dict(s.attributes))
    }
    made_by = {c["callID"]: s["id"] for s in expected for c in s["tool_calls"]}
    assert {call: made_by[call] for call in found} == found
    told = b"".join(request.body for request in requests_of(HERE / name))
    assert {call for call in made_by if call.encode() in told} == found.keys()


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
