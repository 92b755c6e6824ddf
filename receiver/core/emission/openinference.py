"""OpenInference: the same facts by the names that Phoenix and others read, beside the semantic conventions' (setting
`conventions`). A pure mapping of the attributes that a span has already.

Names and values are those of Arize-ai/openinference, spec/semantic_conventions.md (September 2026). Model, tokens and
cost stand on model requests only: consumers add up a trace's spans, and a session's totals would count them twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec

from receiver import semconv as sc
from receiver.model import AttributeValue

_Attributes: TypeAlias = Mapping[str, AttributeValue]
_Pairs: TypeAlias = Iterator[tuple[str, AttributeValue | None]]

KIND = "openinference.span.kind"
_KINDS = {sc.INVOKE_AGENT: "AGENT", sc.EXECUTE_TOOL: "TOOL", sc.CHAT: "LLM"}

# gen_ai.provider.name -> llm.provider; the others have the same name in both
_PROVIDERS = {
    "aws.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "mistral_ai": "mistralai",
    "moonshot_ai": "moonshot",
    "x_ai": "xai",
}
# gen_ai.provider.name -> llm.system, only where the host of the model also determines its maker
_SYSTEMS = {
    "anthropic": "anthropic",
    "azure.ai.openai": "openai",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "gcp.vertex_ai": "vertexai",
    "mistral_ai": "mistralai",
    "openai": "openai",
    "x_ai": "xai",
}
_TOKENS = (
    ("llm.token_count.prompt", sc.INPUT_TOKENS),
    ("llm.token_count.completion", sc.OUTPUT_TOKENS),
    ("llm.token_count.prompt_details.cache_read", sc.CACHE_READ_TOKENS),
    ("llm.token_count.prompt_details.cache_write", sc.CACHE_CREATION_TOKENS),
    ("llm.token_count.completion_details.reasoning", sc.REASONING_TOKENS),
)


def openinference(attributes: _Attributes) -> dict[str, AttributeValue]:
    """What OpenInference calls the attributes of a span. `session.id` has the same name in both."""
    kind = _KINDS.get(str(attributes.get(sc.OPERATION_NAME)), "CHAIN")
    named: dict[str, AttributeValue] = {KIND: kind}
    of_kind = {"AGENT": _agent, "TOOL": _tool, "LLM": _request}.get(kind)
    if of_kind is not None:
        named.update((name, value) for name, value in of_kind(attributes) if value is not None)
    return named


def _agent(attributes: _Attributes) -> _Pairs:
    yield "agent.name", attributes.get(sc.AGENT_NAME)


def _tool(attributes: _Attributes) -> _Pairs:
    yield "tool.name", attributes.get(sc.TOOL_NAME)
    yield "tool.id", attributes.get(sc.TOOL_CALL_ID)
    yield "tool.description", attributes.get(sc.TOOL_DESCRIPTION)
    for name, content in (("input", sc.TOOL_CALL_ARGUMENTS), ("output", sc.TOOL_CALL_RESULT)):
        if (value := attributes.get(content)) is not None:
            yield f"{name}.value", value
            yield f"{name}.mime_type", _mime_type(str(value))


def _mime_type(text: str) -> str:
    """What was cut at a limit is no JSON any more."""
    if text[:1] not in "{[":
        return "text/plain"
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return "text/plain"
    return "application/json"


def _request(attributes: _Attributes) -> _Pairs:
    asked, answered = attributes.get(sc.REQUEST_MODEL), attributes.get(sc.RESPONSE_MODEL)
    provider = attributes.get(sc.PROVIDER_NAME)
    yield "llm.model_name", answered if answered is not None else asked
    if None not in (asked, answered) and asked != answered:
        yield "llm.request.model_name", asked
        yield "llm.response.model_name", answered
    if provider is not None:
        yield "llm.provider", _PROVIDERS.get(str(provider), provider)
        yield "llm.system", _SYSTEMS.get(str(provider))
    reasons = attributes.get(sc.FINISH_REASONS)
    yield "llm.finish_reason", reasons[0] if isinstance(reasons, tuple) and reasons else None
    for name, convention in _TOKENS:
        yield name, attributes.get(convention)
    prompt, completion = attributes.get(sc.INPUT_TOKENS), attributes.get(sc.OUTPUT_TOKENS)
    if isinstance(prompt, int) and isinstance(completion, int):
        yield "llm.token_count.total", prompt + completion
    yield "llm.cost.total", attributes.get(sc.COST)
