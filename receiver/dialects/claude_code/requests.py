"""Claude Code's requests to the model. Events and spans describe them with the same attributes."""

from __future__ import annotations

from receiver.dialects.claude_code.tools import PLACEHOLDERS
from receiver.dialects.shared.fields import as_cost, as_count, as_id, as_number, as_text, first_set, total_input_tokens
from receiver.events import RequestEvent
from receiver.model import Attributes

_PROVIDERS = {"firstParty": "anthropic"}  # `anthropic.provider` -> gen_ai.provider.name, as recorded


def request_id(attributes: Attributes) -> str | None:
    """The request's id; there is none where the API is not Anthropic's own."""
    return as_id(attributes.get("request_id")) or as_id(attributes.get("client_request_id"))


def request(
    attributes: Attributes, session: str, key: str, rank: int, start: int | None, end: int, error_type: str | None
) -> RequestEvent:
    """A finished request."""
    fresh = as_count(attributes.get("input_tokens"))
    read, written = (as_count(attributes.get(f"cache_{x}_tokens")) for x in ("read", "creation"))
    return RequestEvent(
        session=session,
        request=key,
        rank=rank,
        start=start,
        end=end,
        agent=_agent(attributes),
        provider=_provider(attributes),
        model=as_text(first_set(attributes, "model", "gen_ai.request.model")),
        response_id=as_id(attributes.get("request_id")),
        finish=as_id(attributes.get("stop_reason")),
        input_tokens=total_input_tokens(fresh, read, written),
        output_tokens=as_count(attributes.get("output_tokens")),
        cache_read_tokens=read,
        cache_creation_tokens=written,
        cost=_cost(attributes),
        error_type=error_type,
        error=as_text(attributes.get("error")) if error_type else None,
    )


def _agent(attributes: Attributes) -> str | None:
    """The type of the subagent that made a request: `agent.name`, or `query_source` (`agent:<source>:<name>`).

    Claude Code replaces names that it must not log by PLACEHOLDERS.
    """
    source = _source(attributes)
    of_source = source.removeprefix("agent:").partition(":")[2] if source.startswith("agent:") else None
    names = (as_id(attributes.get("agent.name")), as_id(of_source))
    return next((name for name in names if name and name not in PLACEHOLDERS), None)


def _source(attributes: Attributes) -> str:
    """What made a request. Spans have `query_source_safe`, with dots for colons: `sdk`, `agent.custom`."""
    source = as_text(attributes.get("query_source"))
    return source or (as_text(attributes.get("query_source_safe")) or "").replace(".", ":", 2)


def _provider(attributes: Attributes) -> str | None:
    """Whose API answered: spans name it as the conventions do, events by Claude Code's own words."""
    name = as_id(attributes.get("gen_ai.provider.name"))
    return _PROVIDERS.get(as_id(attributes.get("anthropic.provider")) or "", name)


def is_main(attributes: Attributes) -> bool:
    """Whether the main agent made the request: `repl_main_thread`, or `sdk` without a terminal."""
    source = _source(attributes)
    return source == "sdk" or source.startswith("repl_main_thread")


def http_error(attributes: Attributes) -> str:
    """The error class of a failed request: its HTTP status, if there was an answer."""
    code = as_count(attributes.get("status_code"))
    return str(code) if code is not None and 100 <= code <= 599 else "api_error"


def _cost(attributes: Attributes) -> float | None:
    cost = as_number(attributes.get("cost_usd"))
    if cost is None and (micros := as_number(attributes.get("cost_usd_micros"))) is not None:
        cost = micros / 1e6
    return as_cost(cost)
