"""Finished calls as events: with an id, without one, and how they ended."""

from receiver.dialects.shared.finished_calls import finished_call, outcome
from receiver.dialects.shared.mcp_resources import resource_server
from receiver.events import REPORTED, CallEvent, CallReportEvent, ServerEvent


def test_a_call_with_an_id_is_a_call_event() -> None:
    event = finished_call("ses_a", "call_1", rank=REPORTED, tool="read", start=1, end=2, status="completed")
    assert event == CallEvent(
        session="ses_a", call="call_1", rank=REPORTED, tool="read", start=1, end=2, status="completed"
    )


def test_a_call_without_an_id_is_a_report_with_the_same_facts() -> None:
    event = finished_call("ses_a", None, rank=REPORTED, tool="task", start=1, end=2, agent="explore", label="x")
    assert event == CallReportEvent(
        session="ses_a", rank=REPORTED, tool="task", start=1, end=2, agent="explore", label="x"
    )


def test_the_outcome_of_a_successful_call_has_no_error_text() -> None:
    assert outcome(False, "left over") == {"status": "completed", "error": None, "error_type": None}


def test_the_outcome_of_a_failed_call_has_its_error_class() -> None:
    assert outcome(True, "it timed out") == {"status": "error", "error": "it timed out", "error_type": "timeout"}
    assert outcome(True, None) == {"status": "error", "error": None, "error_type": "tool_error"}
    assert outcome(True, "no", interrupted=True)["error_type"] == "cancelled"


def test_a_resource_tools_arguments_name_an_mcp_server() -> None:
    for tool in ("read_mcp_resource", "list_mcp_resources"):
        assert list(resource_server(tool, {"server": "db"}, 5)) == [ServerEvent(server="db", time=5)]
        assert list(resource_server(tool, {}, 5)) == []
    assert list(resource_server("read", {"server": "db"}, 5)) == []
