"""OpenInference: the facts of the semantic conventions under other names, and nothing else."""

from __future__ import annotations

import pytest

from receiver import semconv as sc
from receiver.core.emission.openinference import openinference
from receiver.core.state.settings import BuilderSettings
from tests.support.core_runs import batch, trees
from tests.support.factories import RELAY, a_session
from tests.support.span_laws import canonical

BESIDE = BuilderSettings(
    openinference=True, capture_content=frozenset({"errors", "arguments", "results"}), max_attribute_bytes=40
)


def spans(settings=BESIDE):
    told = (
        a_session()
        .created(0, agent="build")
        .request(1, 2, provider="google-vertex", model="m1", response_model="m1-002", finish="stop", cost=0.25)
        .request(2, 3, provider="fake", model="m1", input_tokens=10, output_tokens=4, cache_read_tokens=3)
        .call("read", 3, 4, call="c1", arguments='{"a": 1}', result="done")
        .call("bash", 4, 5, call="c2", arguments='{"command": "' + "x" * 50 + '"}')
        .call("my_db_run", 5, 6, call="c3", mcp_server="my_db", mcp_tool="run")
        .permission(7, 8, name="edit")
        .idle(9)
    )
    return trees(told, settings=settings)


def held(name, settings=BESIDE):
    return dict(next(s for s in spans(settings) if s.name.startswith(name)).attributes)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("invoke_agent", "AGENT"),
        ("chat", "LLM"),
        ("execute_tool", "TOOL"),
        ("tools/call", "TOOL"),
        ("permission", "CHAIN"),
    ],
)
def test_every_span_has_a_kind(name, kind):
    assert held(name)["openinference.span.kind"] == kind


def test_the_conventions_attributes_stay():
    def without(span):
        named = ("openinference.", "llm.", "tool.", "agent.", "input.", "output.")
        return {k: v for k, v in span.attributes if not k.startswith(named)}

    plain = BuilderSettings(capture_content=BESIDE.capture_content, max_attribute_bytes=40)
    assert [without(s) for s in spans()] == [dict(s.attributes) for s in spans(plain)]


def test_a_session_is_an_agent_without_totals():
    found = held("invoke_agent")
    assert (found["agent.name"], found["session.id"]) == ("build", "ses_a")
    assert found[sc.INPUT_TOKENS] == 10
    assert not any(k.startswith("llm.") for k in found)


def test_a_request_names_model_provider_tokens_and_cost():
    first, second = (dict(s.attributes) for s in spans() if s.name == "chat m1")
    assert {k: v for k, v in first.items() if k.startswith("llm.")} == {
        "llm.model_name": "m1-002",
        "llm.request.model_name": "m1",
        "llm.response.model_name": "m1-002",
        "llm.provider": "google",
        "llm.system": "vertexai",
        "llm.finish_reason": "stop",
        "llm.cost.total": 0.25,
    }
    assert {k: v for k, v in second.items() if k.startswith("llm.")} == {
        "llm.model_name": "m1",
        "llm.provider": "fake",
        "llm.token_count.prompt": 10,
        "llm.token_count.completion": 4,
        "llm.token_count.prompt_details.cache_read": 3,
        "llm.token_count.total": 14,
    }


def test_a_call_names_its_tool_and_what_may_be_captured():
    found = held("execute_tool read")
    assert {k: found[k] for k in ("tool.name", "tool.id", "input.value", "output.value")} == {
        "tool.name": "read",
        "tool.id": "c1",
        "input.value": '{"a": 1}',
        "output.value": "done",
    }
    assert (found["input.mime_type"], found["output.mime_type"]) == ("application/json", "text/plain")
    assert held("tools/call")["tool.name"] == "run"


def test_cut_content_is_not_called_json():
    assert held("execute_tool bash")["input.mime_type"] == "text/plain"


def test_content_that_is_not_captured_has_no_openinference_attribute():
    found = held("execute_tool read", BuilderSettings(openinference=True))
    assert not [k for k in found if k.startswith(("input.", "output."))]


def test_a_span_without_a_known_operation_is_a_chain():
    assert openinference({}) == {"openinference.span.kind": "CHAIN"}


def test_ids_and_times_stay_the_same():
    session = a_session().created(0).call("read", 1, 2).request(2, 3).idle(4)
    told = [(RELAY, event) for event in session.told]
    keys = [(s.span_id, s.trace_id, s.start, s.end) for s in batch(told, BESIDE).spans]
    assert keys == [(s.span_id, s.trace_id, s.start, s.end) for s in batch(told).spans]
    assert canonical(batch(told, BESIDE).spans) == canonical(batch(told[::-1], BESIDE).spans)
