"""The shortest way to write a session: as events, or as the log records of an event relay.

Times are seconds after NOON, by the producer's clock; what comes out is in nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from receiver import model
from receiver.core.apply_events import Source
from receiver.core.state.settings import SECOND, BuilderSettings
from receiver.events import (
    EXACT,
    AnyEvent,
    CallEvent,
    CallReportEvent,
    EndEvent,
    NoteEvent,
    PermissionEvent,
    RemoteParentEvent,
    RequestEvent,
    SessionEvent,
    StateEvent,
)
from receiver.pipeline.offline import Built, build

NOON = 1_760_000_000 * SECOND
SETTINGS = BuilderSettings()
RELAY = Source(producer="relay", key="k1", resource=b"", wait=0, arrival=0)


def at(seconds: float) -> int:
    """Nanoseconds since the epoch of a moment in seconds after NOON."""
    return NOON + round(seconds * SECOND)


def session_id(created: float, number: int = 0) -> str:
    """An id as OpenCode makes it, which carries the millisecond of creation (descending)."""
    packed = ((at(created) // 1_000_000) * 4096 + number) & ((1 << 48) - 1)
    return f"ses_{~packed & ((1 << 48) - 1):012x}{number:014d}"


def remote(trace: int, span: int) -> str:
    """Another program's span, as a RemoteParentEvent names it."""
    return f"{trace:032x}-{span:016x}"


@dataclass
class ASession:
    """A session with its events. Every method adds one and returns the session."""

    id: str
    told: list[AnyEvent] = field(default_factory=list)

    def tell(self, event: AnyEvent) -> ASession:
        """Any event."""
        self.told.append(event)
        return self

    def created(self, time: float, **fields: Any) -> ASession:
        """session.created: a root, unless `parent` is given."""
        known = {"root": "parent" not in fields, "time": at(time), "created": at(time)}
        return self.tell(SessionEvent(session=self.id, **{**known, **fields}))

    def call(self, tool: str, start: float | None, end: float | None = None, **fields: Any) -> ASession:
        """A call in one record, named after its tool and start unless `call` is given."""
        known: dict[str, Any] = {"call": f"{tool}@{start}", "rank": EXACT, "tool": tool}
        known["start"] = None if start is None else at(start)
        known["end"] = None if end is None else at(end)
        known["status"] = None if end is None else "completed"
        return self.tell(CallEvent(session=self.id, **{**known, **fields}))

    def report(self, tool: str, start: float, end: float, **fields: Any) -> ASession:
        """A call reported without its id."""
        known = {"rank": 1, "tool": tool, "start": at(start), "end": at(end), "status": "completed"}
        return self.tell(CallReportEvent(session=self.id, **{**known, **fields}))

    def request(self, start: float, end: float | None = None, **fields: Any) -> ASession:
        """A request to a model."""
        known: dict[str, Any] = {"request": f"msg@{start}", "rank": EXACT, "start": at(start)}
        known["end"] = None if end is None else at(end)
        return self.tell(RequestEvent(session=self.id, **{**known, **fields}))

    def permission(self, asked: float, replied: float | None = None, **fields: Any) -> ASession:
        """A permission that was asked for, and answered."""
        known: dict[str, Any] = {"permission": f"per@{asked}", "asked": at(asked)}
        known["replied"] = None if replied is None else at(replied)
        return self.tell(PermissionEvent(session=self.id, **{**known, **fields}))

    def busy(self, time: float) -> ASession:
        """It began to work."""
        return self.tell(StateEvent(session=self.id, time=at(time), state="busy"))

    def idle(self, time: float) -> ASession:
        """It reported that its turn is over."""
        return self.tell(StateEvent(session=self.id, time=at(time), state="idle"))

    def answered(self, time: float) -> ASession:
        """An answer of the model ended, of an agent that never says idle."""
        return self.tell(StateEvent(session=self.id, time=at(time), state="answered"))

    def deleted(self, time: float) -> ASession:
        """It was deleted."""
        return self.tell(EndEvent(session=self.id, time=at(time), reason="deleted"))

    def below(self, time: float, span: str, **fields: Any) -> ASession:
        """A traceparent stated its remote parent."""
        return self.tell(RemoteParentEvent(session=self.id, time=at(time), remote=span, **{"rank": EXACT, **fields}))

    def note(self, name: str, time: float, **fields: Any) -> ASession:
        """A span event."""
        return self.tell(NoteEvent(session=self.id, time=at(time), name=name, **fields))


def a_session(id: str = "ses_a") -> ASession:
    """A session without events."""
    return ASession(id)


def arriving(source: Source, time: int) -> Source:
    """The same source, arriving at a moment (ns) of the receiver's clock."""
    return replace(source, arrival=time)


# OTLP


def any_value(value: Any) -> AnyValue:
    """An AnyValue; None is one without a value."""
    if value is None:
        return AnyValue()
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    held = AnyValue()
    if isinstance(value, dict):
        held.kvlist_value.SetInParent()
        held.kvlist_value.values.extend(key_values(value))
    else:
        held.array_value.SetInParent()
        held.array_value.values.extend(any_value(v) for v in value)
    return held


def key_values(attributes: dict[str, Any]) -> list[KeyValue]:
    """Attributes as OTLP has them."""
    return [KeyValue(key=k, value=any_value(v)) for k, v in attributes.items()]


def relay_record(name: str, time: float, body: Any = None, **attributes: Any) -> LogRecord:
    """One log record of an event relay. `session_id=…` becomes the attribute `session.id`."""
    named = {k.replace("_", "."): v for k, v in attributes.items()}
    record = LogRecord(time_unix_nano=at(time), observed_time_unix_nano=at(time), event_name=name)
    record.attributes.extend(key_values(named))
    if body is not None:
        record.body.CopyFrom(any_value(body))
    return record


def logs_request(
    *records: LogRecord, scope: str = "opencode.event-relay", resource: dict[str, Any] | None = None
) -> model.Request:
    """An Export request with these log records."""
    message = ExportLogsServiceRequest()
    held = message.resource_logs.add()
    held.resource.attributes.extend(key_values(resource or {"service.name": "opencode"}))
    scoped = held.scope_logs.add()
    scoped.scope.name = scope
    scoped.log_records.extend(records)
    return model.Request("logs", message.SerializeToString(), len(records))


def metrics_request(*metrics: Any, scope: str = "opencode", resource: dict[str, Any] | None = None) -> model.Request:
    """An Export request with these metrics."""
    message = ExportMetricsServiceRequest()
    held = message.resource_metrics.add()
    held.resource.attributes.extend(key_values(resource or {"opencode.plugin": "telemetry"}))
    scoped = held.scope_metrics.add()
    scoped.scope.name = scope
    scoped.metrics.extend(metrics)
    return model.Request("metrics", message.SerializeToString(), len(metrics))


def spans_request(*spans: Any, scope: str = "ai", resource: dict[str, Any] | None = None) -> model.Request:
    """An Export request with these spans."""
    message = ExportTraceServiceRequest()
    held = message.resource_spans.add()
    held.resource.attributes.extend(key_values(resource or {"service.name": "opencode"}))
    scoped = held.scope_spans.add()
    scoped.scope.name = scope
    scoped.spans.extend(spans)
    return model.Request("traces", message.SerializeToString(), len(spans))


def built(*requests: model.Request, settings: BuilderSettings = SETTINGS) -> Built:
    """What `build` makes of requests."""
    return build(requests, settings)
