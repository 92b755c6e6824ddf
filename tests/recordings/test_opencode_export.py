"""OpenCode's own history: what `opencode export` prints gives the trace that the same session gave live."""

from __future__ import annotations

import gzip
import json

import pytest

from receiver import semconv as sc
from receiver.core.state.settings import BuilderSettings
from receiver.errors import InputError, MalformedError
from receiver.model import Request
from receiver.pipeline.offline import build
from receiver.recordings.files import read_recordings
from receiver.recordings.opencode_export import logs_request
from tests.support.otlp_requests import DATA
from tests.support.span_laws import attribute, canonical, is_session, violations
from tests.support.trace_scoring import laws, score, spans_of

EXPORTS = DATA / "session-export"  # each: a run of the real agent, recorded by the relay, and exported after it
VERSIONS = sorted(folder.name for folder in EXPORTS.iterdir())
MS = 1_000_000
IDLE = 500 * MS  # session.idle came up to 345 ms after the last answer's end
versions = pytest.mark.parametrize("version", VERSIONS)


def built(*paths):
    return build([Request(r.signal, r.body, 0) for r in read_recordings(paths)], BuilderSettings())


def an_export(*messages, **info):
    """An exported session. A message is (role, created, completed, fields, parts)."""
    told = [
        {
            "info": {"id": f"msg_{n}", "sessionID": "ses_a", "role": role, "time": {"created": begun} | end, **fields},
            "parts": parts,
        }
        for n, (role, begun, completed, fields, parts) in enumerate(messages)
        for end in ({"completed": completed} if completed else {},)
    ]
    return {"info": {"id": "ses_a", "time": {"created": 1_760_000_000_000}, **info}, "messages": told}


def told_by(export):
    """The spans of one export."""
    return build([Request("logs", logs_request(json.dumps(export).encode()), 0)], BuilderSettings()).spans


def at(seconds):
    return 1_760_000_000_000 + round(seconds * 1000)


def prompt(time):
    return ("user", at(time), None, {}, [])


def answer(begun, completed, finish="stop", *parts, **fields):
    return ("assistant", at(begun), at(completed) if completed else None, {"finish": finish, **fields}, list(parts))


def tool(call, **state):
    return {"type": "tool", "id": f"prt_{call}", "sessionID": "ses_a", "tool": "read", "callID": call, "state": state}


class TestARunOfTheRealAgent:
    @versions
    def test_has_the_spans_that_it_had_live(self, version):
        live, exported = built(EXPORTS / version / "otlp").spans, built(EXPORTS / version / "export").spans
        assert _shape(exported) == _shape(live)

    @versions
    def test_says_the_same_of_each_and_ends_when_it_did(self, version):
        live = {s.span_id: s for s in built(EXPORTS / version / "otlp").spans}
        for span in built(EXPORTS / version / "export").spans:
            same = live[span.span_id]
            assert span.start == same.start
            assert (span.end == same.end) if not is_session(span) else (same.end - IDLE <= span.end <= same.end)
            assert span.attributes == same.attributes
            assert [e.name for e in span.events] == [e.name for e in same.events]

    @versions
    def test_is_what_the_agents_store_says(self, version):
        requests = [r.body for r in read_recordings([EXPORTS / version / "export"])]
        seen = spans_of(built(EXPORTS / version / "export").requests())
        found = score(seen, json.loads((EXPORTS / version / "expected.json").read_text()), b"".join(requests))
        assert laws(seen) == []
        assert found.perfect, found.notes

    @versions
    def test_told_live_and_exported_together_is_one_trace(self, version):
        spans = built(EXPORTS / version / "otlp", EXPORTS / version / "export").spans
        assert violations(spans) == []
        assert _shape(spans) == _shape(built(EXPORTS / version / "otlp").spans)

    @versions
    def test_does_not_depend_on_the_order_of_its_files(self, version):
        files = sorted((EXPORTS / version / "export").iterdir())
        assert canonical(built(*reversed(files)).spans) == canonical(built(*files, *files).spans)


def _shape(spans):
    return {(s.span_id, s.trace_id, s.parent_span_id, s.name, s.status_code, s.links) for s in spans}


class TestWhatIsReadOutOfIt:
    def test_an_answer_that_ends_the_turn_leaves_the_session_idle(self):
        (session,) = filter(is_session, told_by(an_export(prompt(1), answer(1.1, 2))))
        assert attribute(session, sc.END_REASON) == "idle"

    @pytest.mark.parametrize("last", [answer(1.1, 2, "tool-calls"), answer(1.1, None, None)])
    def test_a_turn_that_was_broken_off_does_not(self, last):
        (session,) = filter(is_session, told_by(an_export(prompt(1), last)))
        assert attribute(session, sc.END_REASON) == "inactive"

    def test_a_failed_answer_is_an_error_of_the_session(self):
        error = {"name": "APIError", "data": {"message": "no credit"}}
        (session,) = filter(is_session, told_by(an_export(prompt(1), answer(1.1, 2, None, error=error))))
        (told,) = (e for e in session.events if e.name == "session.error")
        assert dict(told.attributes) == {"error.type": "APIError", "error.message": "no credit"}
        assert attribute(session, sc.END_REASON) == "error"

    def test_a_summary_is_a_compaction(self):
        (session,) = filter(is_session, told_by(an_export(prompt(1), answer(1.1, 2, summary=True))))
        assert [e.name for e in session.events] == ["user_prompt", "session.compacted"]

    def test_turns_far_apart_are_segments_as_they_were_live(self):
        spans = told_by(an_export(prompt(1), answer(1.1, 2), prompt(200), answer(200.1, 201)))
        assert sorted(attribute(s, sc.SESSION_SEGMENT) for s in spans if is_session(s)) == [1, 2]

    def test_a_call_that_never_ended_is_cut_and_says_so(self):
        running = tool("c1", status="running", input={}, time={"start": at(1.2)})
        (call,) = (s for s in told_by(an_export(prompt(1), answer(1.1, None, None, running))) if "read" in s.name)
        assert call.start == at(1.2) * MS
        assert attribute(call, sc.INFERRED) == ("end",)

    def test_what_a_fork_copied_is_not_told_again(self):
        done = tool("c1", status="completed", input={}, output="", time={"start": at(-8), "end": at(-7)})
        spans = told_by(an_export(prompt(-10), answer(-9, -7, "stop", done), prompt(1), answer(1.1, 2)))
        assert [s.name for s in spans if not is_session(s)] == ["chat"]

    def test_an_archived_session_ended_then(self):
        times = {"created": at(0), "archived": at(3)}
        (session,) = filter(is_session, told_by(an_export(prompt(1), answer(1.1, 2), time=times)))
        assert attribute(session, sc.END_REASON) == "archived"

    def test_nothing_of_a_message_is_content_unless_asked_for(self):
        secret = [{"type": "text", "text": "hush", "id": "prt_x"}]
        spans = told_by(an_export(("user", at(1), None, {}, secret), answer(1.1, 2), title="hush", directory="/hush"))
        assert "hush" not in repr(spans)


class TestAFile:
    @pytest.fixture
    def export(self):
        return next((EXPORTS / "1.2.27" / "export").iterdir())

    @pytest.mark.parametrize("name", ["mine.json", "session.json.gz"])
    def test_is_found_in_a_folder_whatever_its_name(self, tmp_path, export, name):
        held = export.read_bytes()
        (tmp_path / name).write_bytes(gzip.compress(held) if name.endswith("gz") else held)
        (tmp_path / "openapi.json").write_text('{"info": {"title": "an API"}}')
        assert [(r.signal, r.source) for r in read_recordings([tmp_path])] == [("logs", str(tmp_path / name))]

    def test_may_be_on_one_line(self, tmp_path, export):
        line = json.dumps(json.loads(export.read_bytes()))
        (tmp_path / "one.json").write_text(line)
        assert [r.body for r in read_recordings([tmp_path])] == [r.body for r in read_recordings([export])]

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda text: text[:3000], "(byte 3000)"),
            (lambda text: text.replace('"messages": [', '"messages": [,', 1), "(byte "),
        ],
    )
    def test_that_is_broken_is_named_with_the_place(self, tmp_path, export, change, said):
        (tmp_path / "cut.json").write_text(change(export.read_text()))
        with pytest.raises(InputError) as caught:
            list(read_recordings([tmp_path / "cut.json"]))
        assert str(caught.value).startswith(f"{tmp_path / 'cut.json'}: not JSON: ")
        assert said in str(caught.value)

    @pytest.mark.parametrize("text", ['{"info": {}, "messages": []}', '{"info": {"id": "ses_a"}, "messages": {}}'])
    def test_that_is_no_export_is_named(self, tmp_path, text):
        (tmp_path / "odd.json").write_text(text)
        with pytest.raises(InputError, match=r"odd\.json:1: not a session as `opencode export` prints it"):
            list(read_recordings([tmp_path / "odd.json"]))

    @pytest.mark.parametrize(
        "odd", [None, 1, "x", [], {"info": 3, "parts": 4}, {"info": {"role": "assistant", "time": [1]}, "parts": [5]}]
    )
    def test_with_odd_messages_still_tells_the_others(self, odd):
        export = an_export(prompt(1), answer(1.1, 2))
        export["messages"].insert(1, odd)
        assert len(told_by(export)) == 2

    def test_with_half_a_character_is_read(self):
        export = an_export(prompt(1), answer(1.1, 2, "stop", tool("c1", status="error", error="a\ud83d", time={})))
        assert any(s.status_message == "a\ufffd" for s in told_by(export))

    def test_that_is_nested_too_deeply_is_refused_or_cut(self):
        deep = '{"info": {"id": "ses_a"}, "messages": ' + "[" * 100_000 + "]" * 100_000 + "}"
        with pytest.raises(MalformedError):
            logs_request(deep.encode())
        given = {}
        for _ in range(200):
            given = {"a": given}
        assert told_by(an_export(prompt(1), answer(1, 2, "stop", tool("c1", status="running", input=given))))
