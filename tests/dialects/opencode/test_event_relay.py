"""Events from each relayed hook call and bus event, with fields that are missing or wrong in reality."""

from __future__ import annotations

from typing import Any

import pytest

from receiver.codec.decode import log_records
from receiver.dialects.opencode.event_relay import EVENTS, logs
from receiver.events import (
    EXACT,
    GUESSED,
    HOOK,
    PARTIAL,
    REPORTED,
    CallEvent,
    Discarded,
    EndEvent,
    NoteEvent,
    PermissionEvent,
    RequestEvent,
    ServerEvent,
    SessionEvent,
    StateEvent,
)
from tests.support.factories import NOON, any_value, at, key_values, logs_request, relay_record

NOTHING: frozenset[str] = frozenset()
MS = 1_000_000
NOON_MS = NOON // MS


def events_of(name: str, body: Any = None, *, scope: str = "opencode.event-relay", wanted=NOTHING, **attributes: Any):
    """The events of one record, encoded and decoded."""
    return read(relay_record(name, 1, body, **attributes), scope=scope, wanted=wanted)


def read(record, *, scope: str = "opencode.event-relay", wanted=NOTHING):
    return logs(next(log_records(logs_request(record, scope=scope).body)), wanted)


def one(name: str, body: Any = None, **attributes: Any):
    (event,) = events_of(name, body, **attributes)
    return event


def part(tool: str, status: str, *, call: str = "call_1", **state: Any) -> dict[str, Any]:
    return {
        "part": {
            "id": "prt_1",
            "sessionID": "ses_a",
            "type": "tool",
            "callID": call,
            "tool": tool,
            "state": {"status": status, **state},
        }
    }


def span_of(start: int, end: int) -> dict[str, int]:
    return {"start": NOON_MS + start, "end": NOON_MS + end}


class TestWhoseRecordItIs:
    def test_other_events_of_other_scopes_are_left_to_other_dialects(self):
        assert events_of("api_request", {"sessionID": "ses_a"}, scope="com.opencode") is None

    def test_an_unknown_event_of_the_relay_is_discarded(self):
        assert one("file.edited", {"file": "a"}, session_id="ses_a") == Discarded(reason="not_of_the_tree")

    def test_a_relay_event_with_a_map_body_is_read_for_any_scope(self):
        assert events_of("session.idle", {"sessionID": "ses_a"}, scope="mine") == (
            StateEvent(session="ses_a", time=at(1), state="idle"),
        )
        assert events_of("session.idle", "a text", scope="mine", session_id="ses_a") is None

    def test_the_event_name_may_be_an_attribute(self):
        event = one("", {"sessionID": "ses_a"}, event_name="session.idle")
        assert event == StateEvent(session="ses_a", time=at(1), state="idle")

    def test_attributes_may_replace_the_body(self):
        assert one("session.idle", session_id="ses_a") == StateEvent(session="ses_a", time=at(1), state="idle")

    def test_a_record_with_no_session_is_discarded(self, subtests):
        for name in sorted(EVENTS - {"mcp.tools.changed"}):
            with subtests.test(name=name):
                assert one(name, {}) == Discarded(reason="no_session")

    def test_no_body_makes_the_reader_raise(self, subtests):
        for name in sorted(EVENTS):
            for body in [None, {}, {"part": None, "info": None}, {"part": "x", "info": 3, "error": []}]:
                with subtests.test(name=name, body=body):
                    assert events_of(name, body, session_id="ses_a")

    def test_the_session_id_is_found_under_the_names_of_all_versions(self, subtests):
        for body in [{"sessionID": "ses_a"}, {"part": {"sessionID": "ses_a"}}, {"info": {"sessionID": "ses_a"}}]:
            with subtests.test(body=body):
                assert one("session.compacted", body) == NoteEvent(
                    session="ses_a", time=at(1), name="session.compacted"
                )


class TestTime:
    def test_an_event_with_no_time_is_discarded(self):
        record = relay_record("session.idle", 1, session_id="ses_a")
        record.time_unix_nano = record.observed_time_unix_nano = 0
        assert read(record) == (Discarded(reason="no_time"),)

    def test_the_observed_time_replaces_a_missing_time(self):
        record = relay_record("session.idle", 1, session_id="ses_a")
        record.time_unix_nano = 0
        assert read(record)[0].time == at(1)

    def test_a_time_in_the_future_is_ignored(self):
        record = relay_record("session.idle", 1, session_id="ses_a")
        record.time_unix_nano = 3_568_000_000 * 1_000_000_000
        assert read(record)[0].time == at(1)


class TestSessions:
    INFO = {
        "id": "ses_a",
        "projectID": "global",
        "directory": "/home/dev",
        "title": "New session",
        "version": "1.18.33",
        "agent": "build",
        "model": {"id": "fake-1", "providerID": "lab"},
        "time": {"created": NOON_MS - 5, "updated": NOON_MS},
    }

    def test_a_created_root_session(self):
        assert one("session.created", {"info": self.INFO}) == SessionEvent(
            session="ses_a",
            time=at(1),
            root=True,
            created=NOON - 5 * MS,
            title="New session",
            agent="build",
            model="fake-1",
            provider="lab",
            version="1.18.33",
            project="global",
            directory="/home/dev",
        )

    def test_a_created_child_session(self):
        event = one("session.created", {"info": {**self.INFO, "parentID": "ses_0"}})
        assert (event.parent, event.root) == ("ses_0", False)

    def test_the_parent_session_may_be_an_attribute(self):
        record = relay_record("session.created", 1, {"info": self.INFO})
        record.attributes.extend(key_values({"session.parent_id": "ses_0"}))
        (event,) = read(record)
        assert (event.parent, event.root) == ("ses_0", False)

    def test_a_session_without_info_is_not_called_a_root(self):
        assert one("session.updated", {}, session_id="ses_a").root is False

    def test_an_update_has_no_agent(self):
        assert one("session.updated", {"info": self.INFO}).agent is None

    def test_the_time_of_creation_may_be_text(self):
        info = {**self.INFO, "time": {"created": str(NOON_MS)}}
        assert one("session.updated", {"info": info}).created == NOON

    def test_an_archived_session_ends(self):
        info = {**self.INFO, "time": {"created": NOON_MS, "archived": NOON_MS + 7}}
        _, end = events_of("session.updated", {"info": info})
        assert end == EndEvent(session="ses_a", time=NOON + 7 * MS, reason="archived")

    def test_a_deleted_session_ends(self):
        assert one("session.deleted", {"info": self.INFO}) == EndEvent(session="ses_a", time=at(1), reason="deleted")

    def test_a_sessions_status(self, subtests):
        for kind, state in [("busy", "busy"), ("idle", "idle")]:
            with subtests.test(kind=kind, state=state):
                body = {"sessionID": "ses_a", "status": {"type": kind}}
                assert one("session.status", body) == StateEvent(session="ses_a", time=at(1), state=state)

    def test_a_sessions_status_as_an_attribute(self):
        assert one("session.status", session_id="ses_a", session_status="idle").state == "idle"

    def test_a_retry_makes_the_session_busy_and_is_a_note(self):
        status = {"type": "retry", "attempt": 2, "message": "slow down", "next": 5}
        busy, note = events_of("session.status", {"sessionID": "ses_a", "status": status})
        assert busy.state == "busy"
        assert note == NoteEvent(
            session="ses_a",
            time=at(1),
            name="session.retry",
            attributes=(("opencode.retry.attempt", 2),),
            content=(("error.message", "slow down", "error"),),
        )

    def test_a_retrys_attempt_may_be_text(self):
        _, note = events_of("session.status", {"sessionID": "ses_a", "status": {"type": "retry", "attempt": "3"}})
        assert note.attributes == (("opencode.retry.attempt", 3),)

    def test_a_session_error_has_a_class_and_its_message_is_content(self):
        body = {"sessionID": "ses_a", "error": {"name": "APIError", "data": {"message": "bad key"}}}
        assert one("session.error", body) == NoteEvent(
            session="ses_a",
            time=at(1),
            name="session.error",
            attributes=(("error.type", "APIError"),),
            content=(("error.message", "bad key", "error"),),
        )

    def test_a_session_error_without_details(self):
        assert one("session.error", {"sessionID": "ses_a"}).attributes == (("error.type", "session_error"),)


class TestMessages:
    def test_a_user_message_is_a_prompt_and_names_the_agent(self):
        info = {
            "id": "msg_1",
            "sessionID": "ses_a",
            "role": "user",
            "agent": "plan",
            "model": {"modelID": "fake-1", "providerID": "lab"},
            "time": {"created": NOON_MS},
        }
        note, session = events_of("message.updated", {"info": info})
        assert note == NoteEvent(session="ses_a", time=NOON, name="user_prompt", key="msg_1", needs_idle=True)
        assert session == SessionEvent(session="ses_a", time=NOON, agent="plan", model="fake-1", provider="lab")

    INFO = {
        "id": "msg_2",
        "sessionID": "ses_a",
        "role": "assistant",
        "agent": "build",
        "providerID": "lab",
        "modelID": "fake-1",
        "finish": "stop",
        "cost": 0.25,
        "tokens": {"input": 60, "output": 17, "reasoning": 3, "cache": {"read": 40, "write": 10}},
        "time": {"created": NOON_MS, "completed": NOON_MS + 900},
    }

    def test_an_assistant_message_is_a_request_with_cached_tokens_in_the_input(self):
        assert one("message.updated", {"info": self.INFO}) == RequestEvent(
            session="ses_a",
            request="msg_2",
            rank=EXACT,
            start=NOON,
            end=NOON + 900 * MS,
            agent="build",
            provider="lab",
            model="fake-1",
            finish="stop",
            input_tokens=110,
            output_tokens=17,
            cache_read_tokens=40,
            cache_creation_tokens=10,
            reasoning_tokens=3,
            cost=0.25,
        )

    def test_an_unfinished_assistant_message_has_no_tokens_and_no_cost(self):
        event = one("message.updated", {"info": {**self.INFO, "time": {"created": NOON_MS}}})
        assert (event.rank, event.end, event.input_tokens, event.cost) == (PARTIAL, None, None, None)

    def test_numbers_may_be_text_and_invalid_ones_are_ignored(self):
        tokens = {"input": "60", "output": -1, "reasoning": "many", "cache": None}
        event = one("message.updated", {"info": {**self.INFO, "tokens": tokens, "cost": "0.5"}})
        assert (event.input_tokens, event.output_tokens, event.reasoning_tokens, event.cost) == (60, None, None, 0.5)

    def test_a_failed_message_has_an_error_class_and_text(self):
        error = {"name": "MessageAbortedError", "data": {"message": "Aborted"}}
        event = one("message.updated", {"info": {**self.INFO, "error": error}})
        assert (event.error_type, event.error) == ("MessageAbortedError", "Aborted")

    def test_the_agent_is_called_mode_in_old_versions(self):
        info = {k: v for k, v in self.INFO.items() if k != "agent"}
        assert one("message.updated", {"info": {**info, "mode": "plan"}}).agent == "plan"

    def test_a_message_without_id_or_role_is_discarded(self):
        assert one("message.updated", {"info": {"role": "user"}}, session_id="ses_a").reason == "not_of_the_tree"
        assert one("message.updated", {"info": {"id": "msg_1"}}, session_id="ses_a").reason == "not_of_the_tree"


class TestParts:
    def test_a_finished_call(self):
        body = part("read", "completed", time=span_of(10, 35), input={"filePath": "/a"}, output="text")
        assert one("message.part.updated", body) == CallEvent(
            session="ses_a",
            call="call_1",
            rank=EXACT,
            start=NOON + 10 * MS,
            end=NOON + 35 * MS,
            tool="read",
            status="completed",
            file_path="/a",
        )

    def test_arguments_and_results_are_read_only_if_captured(self):
        body = part("read", "completed", time=span_of(10, 35), input={"filePath": "/a"}, output="text")
        event = one("message.part.updated", body, wanted=frozenset({"arguments", "results"}))
        assert (event.arguments, event.result) == ('{"filePath":"/a"}', "text")

    def test_long_arguments_and_results_are_cut(self):
        body = part("write", "completed", time=span_of(10, 35), input={"text": "x" * 1_000_000}, output="y" * 1_000_000)
        event = one("message.part.updated", body, wanted=frozenset({"arguments", "results"}))
        assert (len(event.arguments), len(event.result)) == (65_536, 65_536)

    def test_a_running_call_has_a_start_that_may_be_reset(self):
        event = one("message.part.updated", part("read", "running", time={"start": NOON_MS}))
        assert (event.rank, event.start, event.end, event.status) == (PARTIAL, NOON, None, None)

    def test_a_pending_call_has_the_records_time_as_start(self):
        event = one("message.part.updated", part("read", "pending"))
        assert event == CallEvent(session="ses_a", call="call_1", rank=GUESSED, start=at(1), tool="read")

    def test_the_records_time_replaces_a_missing_end(self):
        event = one("message.part.updated", part("read", "completed", time={"start": NOON_MS}))
        assert event.end == at(1)

    def test_a_calls_end_is_not_before_its_start(self):
        assert one("message.part.updated", part("read", "completed", time=span_of(30, 10))).end == NOON + 30 * MS

    def test_times_of_a_call_may_be_text(self):
        times = {"start": str(NOON_MS), "end": str(NOON_MS + 5)}
        event = one("message.part.updated", part("read", "completed", time=times))
        assert event.start == pytest.approx(NOON, abs=1_000)
        assert event.end == pytest.approx(NOON + 5 * MS, abs=1_000)

    def test_a_text_part_is_discarded(self):
        body = {"part": {"type": "text", "sessionID": "ses_a", "text": "hello"}}
        assert one("message.part.updated", body).reason == "not_of_the_tree"

    def test_a_part_without_a_call_id_is_discarded(self):
        assert one("message.part.updated", part("read", "completed", call="")).reason == "no_call"

    def test_attributes_may_replace_a_part(self):
        event = one(
            "message.part.updated",
            session_id="ses_a",
            part_type="tool",
            call_id="call_1",
            tool_name="bash",
            tool_status="completed",
        )
        assert (event.call, event.tool, event.status, event.end) == ("call_1", "bash", "completed", at(1))

    def test_a_failed_call_has_an_error_class(self, subtests):
        for text, kind in [
            ("Tool execution aborted", "cancelled"),
            ("The user rejected permission to use this specific tool call.", "permission_rejected"),
            ("The read tool was called with invalid arguments: …", "invalid_arguments"),
            ("Subagent depth limit reached (2).", "depth_limit"),
            ("File not found: /a", "not_found"),
            ("something else", "tool_error"),
            ("", "tool_error"),
        ]:
            with subtests.test(text=text, kind=kind):
                event = one("message.part.updated", part("read", "error", time=span_of(0, 1), error=text))
                assert (event.status, event.error_type, event.error) == ("error", kind, text or None)

    def test_an_interrupted_call_is_cancelled(self):
        state = {"error": "whatever", "metadata": {"interrupted": True}}
        assert one("message.part.updated", part("bash", "error", **state)).error_type == "cancelled"

    def test_an_invalid_tool_is_a_call_of_the_tool_named_invalid(self):
        body = part("invalid", "completed", time=span_of(0, 1), input={"tool": "no_such", "error": "unknown"})
        event = one("message.part.updated", body)
        assert (event.tool, event.status) == ("invalid", "completed")

    def test_a_task_names_its_child_and_the_childs_agent(self):
        body = part(
            "task",
            "completed",
            time=span_of(0, 9),
            input={"subagent_type": "general", "description": "look"},
            metadata={"sessionId": "ses_b", "background": True},
        )
        call, child = events_of("message.part.updated", body)
        assert (call.child, call.agent, call.description, call.background) == ("ses_b", "general", "look", True)
        assert child == SessionEvent(session="ses_b", rank=REPORTED, agent="general")

    def test_a_failed_task_names_its_child_in_its_error(self):
        call = one(
            "message.part.updated",
            part("task", "error", time=span_of(0, 9), error="Subagent failed (task_id: ses_b): bad key"),
        )
        assert (call.child, call.error_type) == ("ses_b", "subagent_failed")

    def test_only_a_tasks_error_names_a_child(self):
        assert one("message.part.updated", part("bash", "error", error="task_id: ses_b")).child is None

    def test_a_skills_name_is_in_its_metadata_or_arguments(self):
        known = part("skill", "completed", input={"name": "asked"}, metadata={"name": "notes", "dir": "/skills/notes"})
        event = one("message.part.updated", known)
        assert (event.skill, event.skill_source) == ("notes", "/skills/notes")
        assert one("message.part.updated", part("skill", "error", input={"name": "asked"})).skill == "asked"

    def test_reading_a_resource_names_an_mcp_server(self):
        body = part("read_mcp_resource", "completed", input={"server": "team-notes", "uri": "x"})
        assert events_of("message.part.updated", body)[-1] == ServerEvent(server="team-notes", time=at(1))


class TestHooks:
    BEFORE = {"input": {"tool": "read", "sessionID": "ses_a", "callID": "call_1"}, "args": {"filePath": "/a"}}

    def test_a_before_hook_starts_a_call(self):
        assert one("tool.execute.before", self.BEFORE) == CallEvent(
            session="ses_a", call="call_1", rank=HOOK, start=at(1), tool="read", file_path="/a"
        )

    def test_an_after_hook_ends_a_call_and_names_the_child(self):
        body = {
            "input": {"tool": "task", "sessionID": "ses_a", "callID": "call_1", "args": {"subagent_type": "explore"}},
            "output": {"title": "t", "metadata": {"sessionId": "ses_b"}},
        }
        event = one("tool.execute.after", body)
        assert (event.rank, event.start, event.end, event.status) == (HOOK, None, at(1), "completed")
        assert (event.child, event.agent) == ("ses_b", "explore")

    def test_an_after_hooks_child_may_be_an_attribute(self):
        assert one("tool.execute.after", self.BEFORE, child_session_id="ses_b").child == "ses_b"

    def test_a_hook_with_a_parts_id_is_no_call(self, subtests):
        """A slash command's subtask has its part's id in hooks, and another call id in its part."""
        for name in ["tool.execute.before", "tool.execute.after"]:
            with subtests.test(name=name):
                body = {"input": {"tool": "task", "sessionID": "ses_a", "callID": "prt_1"}}
                assert one(name, body) == StateEvent(session="ses_a", time=at(1), state="busy")

    def test_a_hook_without_a_call_id_is_discarded(self, subtests):
        for name in ["tool.execute.before", "tool.execute.after"]:
            with subtests.test(name=name):
                assert one(name, {"input": {"tool": "read", "sessionID": "ses_a"}}).reason == "no_call"

    def test_an_attribute_without_a_value_is_ignored(self):
        record = relay_record("tool.execute.before", 1, self.BEFORE, session_id=None, call_id=None)
        (event,) = read(record)
        assert (event.session, event.call) == ("ses_a", "call_1")

    def test_a_body_without_a_value_is_ignored(self):
        record = relay_record("session.idle", 1, session_id="ses_a")
        record.body.CopyFrom(any_value(None))
        assert read(record)[0].state == "idle"


class TestPermissions:
    def test_a_permission_is_asked_and_replied(self):
        asked = {"id": "per_1", "sessionID": "ses_a", "permission": "bash", "tool": {"callID": "call_1"}}
        assert one("permission.asked", asked) == PermissionEvent(
            session="ses_a", permission="per_1", name="bash", call="call_1", asked=at(1)
        )
        replied = {"sessionID": "ses_a", "requestID": "per_1", "reply": "once"}
        assert one("permission.replied", replied) == PermissionEvent(
            session="ses_a", permission="per_1", replied=at(1), reply="once"
        )

    def test_permissions_of_old_versions(self):
        asked = {"id": "per_1", "sessionID": "ses_a", "type": "bash", "callID": "call_1"}
        assert one("permission.updated", asked) == PermissionEvent(
            session="ses_a", permission="per_1", name="bash", call="call_1", asked=at(1)
        )
        replied = {"sessionID": "ses_a", "permissionID": "per_1", "response": "reject"}
        assert one("permission.replied", replied) == PermissionEvent(
            session="ses_a", permission="per_1", replied=at(1), reply="reject"
        )

    def test_a_record_without_an_id_is_discarded(self, subtests):
        for name in ["permission.asked", "permission.replied"]:
            with subtests.test(name=name):
                assert one(name, {"sessionID": "ses_a"}) == Discarded(reason="malformed")


class TestTheRest:
    def test_a_command_counts_its_arguments_and_has_them_as_content(self):
        body = {"name": "greet", "sessionID": "ses_a", "arguments": "big  world", "messageID": "msg_1"}
        assert one("command.executed", body) == NoteEvent(
            session="ses_a",
            time=at(1),
            name="command.executed",
            key="msg_1",
            attributes=(("opencode.command.name", "greet"), ("opencode.command.argument_count", 2)),
            content=(("opencode.command.arguments", "big  world", "arguments"),),
        )

    def test_a_commands_arguments_are_all_counted_and_cut(self):
        note = one("command.executed", {"name": "greet", "sessionID": "ses_a", "arguments": "big " * 1_000_000})
        assert note.attributes[1] == ("opencode.command.argument_count", 1_000_000)
        assert len(note.content[0][1]) == 65_536

    def test_mcp_tools_changed_needs_no_session(self):
        assert one("mcp.tools.changed", {"server": "my_db"}) == ServerEvent(server="my_db", time=at(1))

    def test_mcp_tools_changed_is_a_note_of_its_session(self):
        server, note = events_of("mcp.tools.changed", {"server": "my_db"}, session_id="ses_a")
        assert server == ServerEvent(server="my_db", time=at(1))
        assert (note.name, note.attributes) == ("mcp.tools.changed", (("mcp.server.name", "my_db"),))

    def test_mcp_tools_changed_without_a_server_is_discarded(self):
        assert one("mcp.tools.changed", {}) == Discarded(reason="malformed")


def test_a_body_time_later_than_its_record_is_ignored():
    future = 3_568_000_000_000
    call = one("message.part.updated", part("bash", "completed", time={"start": future, "end": future + 5}))
    assert call.start is None
    assert call.end == at(1)
