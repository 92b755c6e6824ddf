"""What Qwen Code's spans add to its log events. The attributes are those of recordings (docs/producers.md 25)."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver.events import RequestEvent, SessionEvent, StateEvent
from receiver.pipeline.record_reader import ReadResult, RecordReader
from tests.support.factories import at, key_values, spans_request

S = "971f77d3-e2c9-4d21-a913-4c1c0d66482a"
SERVICE = {"service.name": "qwen-code"}


def span(name: str, **attributes: Any) -> Span:
    made = Span(trace_id=b"t" * 16, span_id=b"s" * 8, name=name, start_time_unix_nano=at(1), end_time_unix_nano=at(3))
    made.attributes.extend(key_values(attributes))
    return made


def read(made: Span, scope: str = "qwen-code", resource: dict[str, Any] | None = None) -> ReadResult:
    return RecordReader(frozenset()).read(spans_request(made, scope=scope, resource=resource or SERVICE), 0)


def events(made: Span, kind: type) -> list[Any]:
    return [event for _, event in read(made).events if isinstance(event, kind)]


def test_an_interaction_is_a_turn():
    made = span("qwen-code.interaction", **{"gen_ai.conversation.id": S})
    assert [(e.session, e.time, e.state) for e in events(made, StateEvent)] == [(S, at(1), "busy"), (S, at(3), "idle")]


def test_a_subagent_names_the_agent_that_started_it():
    known = {"gen_ai.conversation.id": S, "qwen-code.subagent.id": "kid-a-c2", "qwen-code.subagent.name": "kid-a"}
    made = span("qwen-code.subagent", **known)
    assert [e.parent for e in events(made, SessionEvent) if e.parent] == [S]
    nested = span("qwen-code.subagent", **known, **{"qwen-code.subagent.parent_agent_id": "kid-b-c1"})
    assert [(e.session, e.parent) for e in events(nested, SessionEvent) if e.parent] == [
        (f"{S}#kid-a-c2", f"{S}#kid-b-c1")
    ]


def test_a_request_adds_its_provider_under_the_id_that_its_log_event_has():
    known = {"gen_ai.conversation.id": S, "qwen-code.prompt_id": f"{S}########0", "gen_ai.provider.name": "openai"}
    (event,) = events(span("qwen-code.llm_request", **known), RequestEvent)
    assert (event.request, event.provider) == ((b"t" * 16 + b"s" * 8).hex(), "openai")


def test_all_other_spans_of_qwen_code_are_adopted_with_its_http_client():
    for made, scope in (
        (span("qwen-code.tool"), "qwen-code"),
        (span("qwen-code.hook"), "qwen-code"),
        (span("POST"), "@opentelemetry/instrumentation-undici"),
    ):
        result = read(made, scope)
        assert result.discarded == {"adopted": 1}
        assert result.foreign_spans == []


def test_the_http_client_of_another_program_passes_through():
    result = read(span("POST"), "@opentelemetry/instrumentation-undici", {"service.name": "shop"})
    assert len(result.foreign_spans) == 1
