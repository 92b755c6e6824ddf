"""The metrics of opencode-plugin-otel and the plugins with the same names (docs/producers.md 17).

Producers: as for plugin_otel.py.
Recognized by: a scope that begins with one of its SCOPES, and the end of the metric's name, since the prefix
`opencode.` can be changed (`OPENCODE_METRIC_PREFIX`).
Times: points are cumulative by default; each series is sent again every minute as long as the process lives. A point's
start is when the first thing in it was counted (JavaScript SDK).
They cannot tell call ids or single times. Beside the log events, `tool.duration` only finds calls that no event
reported, and the totals are compared with the sums of the events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from receiver.dialects.opencode.plugin_otel import SCOPES, agent_name
from receiver.dialects.shared.fields import Captured, as_bool, as_text
from receiver.dialects.shared.metric_points import SHARED, amount, calls, problem, session_of, usage
from receiver.events import COUNTED, AnyEvent, Discarded, SessionEvent
from receiver.model import MetricPoint


def metrics(point: MetricPoint, captured: Captured) -> Sequence[AnyEvent] | None:
    """The events of a data point; None if it is not one of these plugins'."""
    if not point.scope.name.startswith(SCOPES):
        return None
    name = next((n for n in _NAMES if point.name.endswith(n)), "")
    shared = usage(point, name)
    if shared is not None:
        return (*shared, *_agent(point, name))
    read = _METRICS.get(name)
    if read is None:
        return (Discarded(reason="not_of_the_tree"),)
    if (reason := problem(point)) is not None:
        return (Discarded(reason=reason),)
    session = session_of(point)
    if session is None:
        return (Discarded(reason="no_session"),)
    return tuple(read(point, session))


def _agent(point: MetricPoint, name: str) -> Iterator[AnyEvent]:
    """The session's agent, from the attribute of its token counts. Subagents have their own sessions."""
    session, agent = session_of(point), agent_name(point.attributes.get("agent"))
    if name == "token.usage" and session and agent and problem(point) is None:
        yield SessionEvent(session=session, rank=COUNTED, agent=agent)


def _tool(point: MetricPoint, session: str) -> Iterator[AnyEvent]:
    tool = as_text(point.attributes.get("tool_name"))
    if tool is None or point.kind != "histogram":
        yield Discarded(reason="malformed")
        return
    succeeded = as_bool(point.attributes.get("success"))
    yield calls(point, session, tool, "tool.duration", _STATUS[succeeded])


_STATUS: dict[bool | None, Literal["completed", "error"] | None] = {True: "completed", False: "error", None: None}


def _idle(point: MetricPoint, session: str) -> Iterator[AnyEvent]:
    """A point for each idle of the session; the series' start is the first idle."""
    yield amount(point, session, "life", "session.duration") if point.count else Discarded(reason="empty")


def _subtask(point: MetricPoint, session: str) -> Iterator[AnyEvent]:
    """Counted when a subtask of a command or an @agent begins, which is when its task call begins; has its agent."""
    agent = agent_name(point.attributes.get("agent"))
    if point.kind != "sum" or not point.value:
        yield Discarded(reason="malformed" if point.kind != "sum" else "empty")
        return
    yield amount(point, session, "begun", "subtask.count", agent=agent)


def _model(point: MetricPoint, session: str) -> Iterator[AnyEvent]:
    model, provider = as_text(point.attributes.get("model")), as_text(point.attributes.get("provider"))
    if model is None:
        yield Discarded(reason="malformed")
        return
    yield amount(point, session, "life", "model.usage")
    yield SessionEvent(session=session, rank=COUNTED, model=model, provider=provider)


_METRICS: dict[str, Callable[[MetricPoint, str], Iterator[AnyEvent]]] = {
    "tool.duration": _tool,
    "session.duration": _idle,
    "subtask.count": _subtask,
    "model.usage": _model,
}
_NAMES = (*SHARED, *_METRICS)
