"""An `opencode export` of a session gives the trace that the session gave live."""

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
    exported = [
        {
            "info": {"id": f"msg_{n}", "sessionID": "ses_a", "role": role, "time": {"created": begun} | end, **fields},
            "parts": parts,
        }
        for n, (role, begun, completed, fields, parts) in enumerate(messages)
        for end in ({"completed": completed} if completed else {},)
    ]
    return {"info": {"id": "ses_a", "time": {"created": 1_760_000_000_000}, **info}, "messages": exported}


def exported_spans(export):
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
    def test_gives_the_spans_that_it_gave_live(self, version):
        live, exported = built(EXPORTS / version / "otlp").spans, built(EXPORTS / version / "export").spans
        assert _shape(exported) == _shape(live)

    @versions
    def test_gives_the_same_attributes_and_end_as_live(self, version):
        live = {s.span_id: s for s in built(EXPORTS / version / "otlp").spans}
        for span in built(EXPORTS / version / "export").spans:
            same = live[span.span_id]
            assert span.start == same.start
            assert (span.end == same.end) if not is_session(span) else (same.end - IDLE <= span.end <= same.end)
            assert span.attributes == same.attributes
            assert [e.name for e in span.events] == [e.name for e in same.events]

    @versions
    def test_gives_what_the_agents_database_has(self, version):
        requests = [r.body for r in read_recordings([EXPORTS / version / "export"])]
        seen = spans_of(built(EXPORTS / version / "export").requests())
        found = score(seen, json.loads((EXPORTS / version / "expected.json").read_text()), b"".join(requests))
        assert laws(seen) == []
        assert found.perfect, found.notes

    @versions
    def test_together_with_the_live_records_gives_one_trace(self, version):
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
        (session,) = filter(is_session, exported_spans(an_export(prompt(1), answer(1.1, 2))))
        assert attribute(session, sc.END_REASON) == "idle"

    @pytest.mark.parametrize("last", [answer(1.1, 2, "tool-calls"), answer(1.1, None, None)])
    def test_an_interrupted_turn_leaves_the_session_busy(self, last):
        (session,) = filter(is_session, exported_spans(an_export(prompt(1), last)))
        assert attribute(session, sc.END_REASON) == "inactive"

    def test_a_failed_answer_gives_a_session_error(self):
        error = {"name": "APIError", "data": {"message": "no credit"}}
        (session,) = filter(is_session, exported_spans(an_export(prompt(1), answer(1.1, 2, None, error=error))))
        (event,) = (e for e in session.events if e.name == "session.error")
        assert dict(event.attributes) == {"error.type": "APIError", "error.message": "no credit"}
        assert attribute(session, sc.END_REASON) == "error"

    def test_a_summary_gives_a_compaction_event(self):
        (session,) = filter(is_session, exported_spans(an_export(prompt(1), answer(1.1, 2, summary=True))))
        assert [e.name for e in session.events] == ["user_prompt", "session.compacted"]

    def test_turns_far_apart_become_segments_as_live(self):
        spans = exported_spans(an_export(prompt(1), answer(1.1, 2), prompt(200), answer(200.1, 201)))
        assert sorted(attribute(s, sc.SESSION_SEGMENT) for s in spans if is_session(s)) == [1, 2]

    def test_a_call_without_an_end_is_marked_as_cut(self):
        running = tool("c1", status="running", input={}, time={"start": at(1.2)})
        (call,) = (
            s for s in exported_spans(an_export(prompt(1), answer(1.1, None, None, running))) if "read" in s.name
        )
        assert call.start == at(1.2) * MS
        assert attribute(call, sc.INFERRED) == ("end",)

    def test_messages_that_a_fork_copied_give_no_spans(self):
        done = tool("c1", status="completed", input={}, output="", time={"start": at(-8), "end": at(-7)})
        spans = exported_spans(an_export(prompt(-10), answer(-9, -7, "stop", done), prompt(1), answer(1.1, 2)))
        assert [s.name for s in spans if not is_session(s)] == ["chat"]

    def test_an_archived_session_ends_when_it_was_archived(self):
        times = {"created": at(0), "archived": at(3)}
        (session,) = filter(is_session, exported_spans(an_export(prompt(1), answer(1.1, 2), time=times)))
        assert attribute(session, sc.END_REASON) == "archived"

    def test_content_of_messages_needs_capture_content(self):
        secret = [{"type": "text", "text": "hush", "id": "prt_x"}]
        spans = exported_spans(
            an_export(("user", at(1), None, {}, secret), answer(1.1, 2), title="hush", directory="/hush")
        )
        assert "hush" not in repr(spans)


class TestAFile:
    @pytest.fixture
    def export(self):
        return next((EXPORTS / "1.2.27" / "export").iterdir())

    @pytest.mark.parametrize("name", ["mine.json", "session.json.gz"])
    def test_is_found_in_a_folder_under_any_name(self, tmp_path, export, name):
        content = export.read_bytes()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        (tmp_path / "openapi.json").write_text('{"info": {"title": "an API"}}')
        assert [(r.signal, r.source) for r in read_recordings([tmp_path])] == [("logs", str(tmp_path / name))]

    def test_may_be_on_one_line(self, tmp_path, export):
        line = json.dumps(json.loads(export.read_bytes()))
        (tmp_path / "one.json").write_text(line)
        assert [r.body for r in read_recordings([tmp_path])] == [r.body for r in read_recordings([export])]

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            (lambda text: text[:3000], "(byte 3000)"),
            (lambda text: text.replace('"messages": [', '"messages": [,', 1), "(byte "),
        ],
    )
    def test_that_is_invalid_is_an_error_with_the_place(self, tmp_path, export, change, error):
        (tmp_path / "cut.json").write_text(change(export.read_text()))
        with pytest.raises(InputError) as caught:
            list(read_recordings([tmp_path / "cut.json"]))
        assert str(caught.value).startswith(f"{tmp_path / 'cut.json'}: not JSON: ")
        assert error in str(caught.value)

    @pytest.mark.parametrize("text", ['{"info": {}, "messages": []}', '{"info": {"id": "ses_a"}, "messages": {}}'])
    def test_of_other_json_is_an_error(self, tmp_path, text):
        (tmp_path / "odd.json").write_text(text)
        with pytest.raises(InputError, match=r"odd\.json:1: not a session as `opencode export` prints it"):
            list(read_recordings([tmp_path / "odd.json"]))

    @pytest.mark.parametrize(
        "odd", [None, 1, "x", [], {"info": 3, "parts": 4}, {"info": {"role": "assistant", "time": [1]}, "parts": [5]}]
    )
    def test_with_malformed_messages_gives_the_others(self, odd):
        export = an_export(prompt(1), answer(1.1, 2))
        export["messages"].insert(1, odd)
        assert len(exported_spans(export)) == 2

    def test_with_a_lone_surrogate_is_read(self):
        export = an_export(prompt(1), answer(1.1, 2, "stop", tool("c1", status="error", error="a\ud83d", time={})))
        assert any(s.status_message == "a\ufffd" for s in exported_spans(export))

    def test_that_is_nested_too_deeply_is_refused_or_cut(self):
        deep = '{"info": {"id": "ses_a"}, "messages": ' + "[" * 100_000 + "]" * 100_000 + "}"
        with pytest.raises(MalformedError):
            logs_request(deep.encode())
        given = {}
        for _ in range(200):
            given = {"a": given}
        assert exported_spans(an_export(prompt(1), answer(1, 2, "stop", tool("c1", status="running", input=given))))
