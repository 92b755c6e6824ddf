"""Rendering: facts become spans (docs/contract.md 5.3). Pure functions of what is known and where it belongs. When a
span is emitted and what its parent is was decided before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from receiver import semconv as sc
from receiver.core.emission.mcp_names import McpName
from receiver.core.emission.openinference import openinference
from receiver.core.linking.report_matching import has_no_stated_id
from receiver.core.linking.task_links import TASK
from receiver.core.state.ids import item_span_id
from receiver.core.state.items import Item
from receiver.core.state.settings import BuilderSettings
from receiver.model import (
    KIND_CLIENT,
    KIND_INTERNAL,
    STATUS_ERROR,
    STATUS_UNSET,
    AttributeValue,
    BuiltEvent,
    Link,
    Span,
)

SKILL = "skill"


@dataclass(slots=True)
class Place:
    """Where a span belongs, and what follows from that for its attributes."""

    trace: bytes
    parent: bytes
    session: str
    root: str
    agent: str | None
    resource: bytes
    late: bool = False
    remote_parent: bool = False
    inferred: list[str] = field(default_factory=list)


class Attributes:
    """Collects a span's attributes in the order of writing, cut and counted at the limits. None is unknown."""

    def __init__(self, settings: BuilderSettings) -> None:
        self._settings = settings
        self._held: dict[str, AttributeValue] = {}

    def put(self, name: str, value: AttributeValue | None) -> None:
        """Add one attribute, if there is a value."""
        if value is None or value == "" or value == ():
            return
        self._held[name] = _cut(value, self._settings.max_attribute_bytes)

    def done(self) -> tuple[tuple[tuple[str, AttributeValue], ...], int]:
        """The attributes, and how many were dropped."""
        beside = openinference(self._held) if self._settings.openinference else {}
        pairs = (*self._held.items(), *beside.items())
        return pairs[: self._settings.max_attributes], max(0, len(pairs) - self._settings.max_attributes)


def _cut(value: AttributeValue, limit: int) -> AttributeValue:
    if isinstance(value, str):
        if len(value) * 4 <= limit:
            return value
        raw = value.encode("utf-8", "replace")
        return value if len(raw) <= limit else raw[:limit].decode("utf-8", "ignore")
    if isinstance(value, tuple):
        return tuple(str(_cut(v, limit)) for v in value)
    if isinstance(value, int) and not isinstance(value, bool) and not -(1 << 63) <= value < 1 << 63:
        return str(value)
    return value


def text(value: object) -> str:
    """A name that may stand in a span's name: one line, not longer than a backend shows."""
    return " ".join(str(value).split())[:200]


def _common(attributes: Attributes, place: Place) -> None:
    attributes.put(sc.SESSION_ID, place.session)
    attributes.put(sc.CONVERSATION_ID, place.session)
    attributes.put(sc.AGENT_NAME, place.agent)
    if place.root != place.session:
        attributes.put(sc.ROOT_SESSION_ID, place.root)


def _marks(attributes: Attributes, place: Place) -> None:
    attributes.put(sc.INFERRED, tuple(dict.fromkeys(place.inferred)))
    if place.late:
        attributes.put(sc.LATE, True)


def call_kind(item: Item, mcp: McpName | None) -> str:
    """Which row of docs/contract.md 5.3 a call is: task, skill, mcp or tool."""
    tool = item.get("tool")
    if tool in (TASK, SKILL):
        return str(tool)
    return "mcp" if mcp is not None else "tool"


def call_span(
    settings: BuilderSettings,
    place: Place,
    item: Item,
    end: int,
    mcp: McpName | None,
    links: Iterable[Link],
    child: str = "",
) -> Span:
    """The span of a tool call. `end` (ns) is given where the call's own is not known, `child` is the session that it
    started, or ''."""
    kind, tool = call_kind(item, mcp), str(item.get("tool") or "unknown")
    put = Attributes(settings)
    put.put(sc.OPERATION_NAME, sc.EXECUTE_TOOL)
    if kind == "mcp" and mcp is not None:
        name = f"{sc.TOOLS_CALL} {text(mcp.tool)}"
        put.put(sc.MCP_METHOD, sc.TOOLS_CALL)
        put.put(sc.TOOL_NAME, mcp.tool)
        put.put(sc.MCP_SERVER, mcp.server)
        put.put(sc.PEER_SERVICE, mcp.server)
        put.put(sc.OPENCODE_TOOL_NAME, tool)
        if mcp.inferred:
            place.inferred.append("mcp.server")
    else:
        detail = item.get("agent") if kind == TASK else item.get("skill") if kind == SKILL else None
        name = f"{sc.EXECUTE_TOOL} {text(tool)}" + (f" {text(detail)}" if detail else "")
        put.put(sc.TOOL_NAME, tool)
    if not has_no_stated_id(item.id):
        put.put(sc.TOOL_CALL_ID, item.id)
    if kind == "tool":
        put.put(sc.TOOL_TYPE, "function")
    if kind == TASK:
        put.put(sc.TRANSFER_TARGET, item.get("agent"))
        put.put(sc.TRANSFER_MODE, "return_to_caller")
        put.put(sc.CHILD_SESSION_ID, child)
        put.put(sc.TASK_TOOL_COUNT, item.get("tool_count"))
        put.put(sc.TASK_BACKGROUND, item.get("background"))
    if kind == SKILL:
        put.put(sc.SKILL_NAME, item.get("skill"))
        put.put(sc.SKILL_SOURCE, item.get("skill_source"))
    _common(put, place)
    put.put(sc.TOOL_DESCRIPTION, item.get("description"))
    put.put(sc.TOOL_CALL_ARGUMENTS, item.get("arguments"))
    put.put(sc.TOOL_CALL_RESULT, item.get("result"))
    put.put(sc.FILE_PATH, item.get("file_path"))
    put.put(sc.PERMISSION_NAME, item.get("permission_name"))
    put.put(sc.PERMISSION_REPLY, item.get("permission_reply"))
    if item.lines:
        put.put(sc.LINES_ADDED, sum(added for added, _ in item.lines.values()))
        put.put(sc.LINES_REMOVED, sum(removed for _, removed in item.lines.values()))
    failed = item.get("status") == "error"
    if failed:
        put.put(sc.ERROR_TYPE, "tool_error" if kind == "mcp" else item.get("error_type") or "tool_error")
    place.inferred.extend(item.inferred)
    _marks(put, place)
    span_id = item_span_id("call", place.session, item.id)
    return _span(place, span_id, name, KIND_CLIENT if kind == "mcp" else KIND_INTERNAL, item, end, put, failed, links)


def request_span(settings: BuilderSettings, place: Place, item: Item, end: int) -> Span:
    """The span of a request to a model."""
    put = Attributes(settings)
    model = item.get("model")
    put.put(sc.OPERATION_NAME, sc.CHAT)
    put.put(sc.PROVIDER_NAME, sc.provider_name(p) if (p := item.get("provider")) else None)
    put.put(sc.REQUEST_MODEL, model)
    put.put(sc.RESPONSE_MODEL, item.get("response_model"))
    put.put(sc.RESPONSE_ID, item.get("response_id"))
    put.put(sc.FINISH_REASONS, (f,) if (f := item.get("finish")) else None)
    for name, fact in USAGE:
        put.put(name, item.get(fact))
    put.put(sc.COST, item.get("cost"))
    place.agent = item.get("agent") or place.agent
    _common(put, place)
    failed = bool(item.get("error_type"))
    put.put(sc.ERROR_TYPE, item.get("error_type"))
    place.inferred.extend(item.inferred)
    _marks(put, place)
    name = f"{sc.CHAT} {text(model)}" if model else sc.CHAT
    span_id = item_span_id("request", place.session, item.id)
    return _span(place, span_id, name, KIND_CLIENT, item, end, put, failed, ())


def permission_span(settings: BuilderSettings, place: Place, item: Item, end: int) -> Span:
    """The span of the wait for a permission: from asked to replied."""
    put = Attributes(settings)
    name = item.get("name")
    put.put(sc.PERMISSION_NAME, name)
    put.put(sc.PERMISSION_REPLY, item.get("reply"))
    _common(put, place)
    place.inferred.extend(item.inferred)
    _marks(put, place)
    span_id = item_span_id("permission", place.session, item.id)
    title = f"permission {text(name)}" if name else "permission"
    return _span(place, span_id, title, KIND_INTERNAL, item, end, put, False, ())


def marker_span(settings: BuilderSettings, place: Place, key: str, title: str, time: int, call: str | None) -> Span:
    """A live marker: a session or a task call has begun. It has no duration, and only attributes that do not change
    any more."""
    put = Attributes(settings)
    put.put(sc.MARKER, sc.STARTED)
    put.put(sc.TOOL_CALL_ID, call)
    place.agent = None
    _common(put, place)
    _marks(put, place)
    attributes, dropped = put.done()
    return Span(
        trace_id=place.trace,
        span_id=item_span_id("marker", place.session, key),
        parent_span_id=place.parent,
        name=title,
        kind=KIND_INTERNAL,
        start=time,
        end=time,
        attributes=attributes,
        dropped_attributes_count=dropped,
        resource=place.resource,
    )


USAGE = (
    (sc.INPUT_TOKENS, "input_tokens"),
    (sc.OUTPUT_TOKENS, "output_tokens"),
    (sc.CACHE_READ_TOKENS, "cache_read_tokens"),
    (sc.CACHE_CREATION_TOKENS, "cache_creation_tokens"),
    (sc.REASONING_TOKENS, "reasoning_tokens"),
)


def _span(
    place: Place,
    span_id: bytes,
    name: str,
    kind: int,
    item: Item,
    end: int,
    put: Attributes,
    failed: bool,
    links: Iterable[Link],
) -> Span:
    attributes, dropped = put.done()
    message = text(item.get("error") or "") if failed else ""
    return Span(
        trace_id=place.trace,
        span_id=span_id,
        parent_span_id=place.parent,
        name=name,
        kind=kind,
        start=item.start,
        end=max(end, item.start),
        attributes=attributes,
        status_code=STATUS_ERROR if failed else STATUS_UNSET,
        status_message=message,
        links=tuple(links),
        dropped_attributes_count=dropped,
        resource=place.resource,
    )


@dataclass(slots=True)
class SessionPart:
    """One segment of a session, ready to be rendered."""

    span_id: bytes
    number: int
    start: int
    end: int
    parent_session: str | None
    end_reason: str
    facts: dict[str, AttributeValue]
    usage: dict[str, AttributeValue]
    lines: tuple[int, int]
    error_type: str | None
    error: str | None
    events: list[BuiltEvent]
    links: list[Link]


def session_span(settings: BuilderSettings, place: Place, part: SessionPart) -> Span:
    """The span of a session's segment."""
    put, facts = Attributes(settings), part.facts
    put.put(sc.OPERATION_NAME, sc.INVOKE_AGENT)
    _common(put, place)
    put.put(sc.PROVIDER_NAME, sc.provider_name(str(p)) if (p := facts.get("provider")) else None)
    put.put(sc.REQUEST_MODEL, facts.get("model"))
    for name, value in part.usage.items():
        put.put(name, value)
    put.put(sc.SESSION_TITLE, facts.get("title"))
    put.put(sc.SESSION_PARENT_ID, part.parent_session)
    put.put(sc.SESSION_SEGMENT, part.number)
    put.put(sc.VERSION, facts.get("version"))
    put.put(sc.PROJECT_ID, facts.get("project"))
    put.put(sc.DIRECTORY, facts.get("directory"))
    if any(part.lines):
        put.put(sc.LINES_ADDED, part.lines[0])
        put.put(sc.LINES_REMOVED, part.lines[1])
    put.put(sc.END_REASON, part.end_reason)
    put.put(sc.ERROR_TYPE, part.error_type)
    _marks(put, place)
    attributes, dropped = put.done()
    events = sorted(part.events, key=lambda e: (e.time, e.name, repr(e.attributes)))
    return Span(
        trace_id=place.trace,
        span_id=part.span_id,
        parent_span_id=place.parent,
        name=f"{sc.INVOKE_AGENT} {text(place.agent)}" if place.agent else sc.INVOKE_AGENT,
        kind=KIND_INTERNAL,
        start=part.start,
        end=max(part.end, part.start),
        attributes=attributes,
        status_code=STATUS_ERROR if part.error_type else STATUS_UNSET,
        status_message=text(part.error or "") if part.error_type else "",
        events=tuple(events[: settings.max_events]),
        links=tuple(part.links),
        dropped_attributes_count=dropped,
        dropped_events_count=max(0, len(events) - settings.max_events),
        resource=place.resource,
        remote_parent=place.remote_parent,
    )
