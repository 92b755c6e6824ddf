"""What the benchmarks feed: the log records of an event relay, of many sessions that overlap, made in advance."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from receiver.model import Request

START = 1_760_000_000_000_000_000  # ns
_MS = 1_000_000
OVERLAP = 50  # sessions that are open at once


def _value(value: Any) -> AnyValue:
    if isinstance(value, dict):
        held = AnyValue()
        held.kvlist_value.values.extend(KeyValue(key=k, value=_value(v)) for k, v in value.items())
        return held
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(string_value=value)


def _record(time: int, name: str, session: str, body: dict[str, Any], **attributes: str) -> LogRecord:
    record = LogRecord(time_unix_nano=time, observed_time_unix_nano=time, event_name=name, body=_value(body))
    attributes = {"session.id": session, **{k.replace("_", "."): v for k, v in attributes.items()}}
    record.attributes.extend(KeyValue(key=k, value=_value(v)) for k, v in attributes.items())
    return record


def session(number: int, begin: int, calls: int) -> Iterator[tuple[int, LogRecord]]:
    """A session's records with their times (ns): four for each call, one for each fifth call's answer. Each fourth
    session is the child of the one before it."""
    name, parent = f"ses_{number:026d}", f"ses_{number - 1:026d}"
    at = begin

    def tell(event: str, body: dict[str, Any], **attributes: str) -> tuple[int, LogRecord]:
        return at, _record(at, event, name, body, **attributes)

    info = {"id": name, "time": {"created": at // _MS}, "directory": "/home/dev"}
    yield tell("session.created", {"info": info if number % 4 != 3 else {**info, "parentID": parent}})
    for i in range(calls):
        call, tool = f"call_{number}_{i:020d}", ("bash", "read", "grep", "db_query")[i % 4]
        if i % 5 == 0:
            message = {
                "id": f"msg_{number}_{i:020d}",
                "role": "assistant",
                "time": {"created": at // _MS, "completed": at // _MS + 900},
                "modelID": "m-1",
                "providerID": "p",
                "finish": "tool-calls",
                "tokens": {"input": 1200, "output": 80, "reasoning": 0, "cache": {"read": 900, "write": 0}},
            }
            at += 900 * _MS
            yield tell("message.updated", {"info": message})
        running = {"status": "running", "time": {"start": at // _MS}, "input": {"filePath": "src/main.py"}}
        ended = {"status": "completed", "time": {"start": at // _MS, "end": at // _MS + 400}, "output": "x" * 200}
        part = {"type": "tool", "tool": tool, "callID": call, "id": f"prt_{i:020d}"}
        yield tell("tool.execute.before", {"args": {"filePath": "src/main.py"}}, call_id=call, tool_name=tool)
        yield tell("message.part.updated", {"part": {**part, "state": running}}, call_id=call)
        at += 400 * _MS
        yield tell("message.part.updated", {"part": {**part, "state": ended}}, call_id=call)
        yield tell("tool.execute.after", {"output": {"title": "ok"}}, call_id=call, tool_name=tool)
        at += 100 * _MS
    yield tell("session.idle", {})


def requests(sessions: int, calls: int, size: int) -> Iterator[tuple[int, Request]]:
    """Requests of `size` records in order of time, each with the time (ns) of its last record. Sessions begin as others
    end, OVERLAP at a time, and ten of them are one producer."""
    length = calls * 680 * _MS
    begins = (START + number * length // OVERLAP for number in range(sessions))
    streams = (((t, number, r) for t, r in session(number, b, calls)) for number, b in enumerate(begins))
    merged = heapq.merge(*streams, key=lambda one: one[0])
    message, count, last = ExportLogsServiceRequest(), 0, START
    scopes: dict[int, Any] = {}
    for time, number, record in merged:
        scope = scopes.get(number // 10)
        if scope is None:
            resource = message.resource_logs.add()
            for key, value in (("service.name", "opencode"), ("process.pid", str(number // 10))):
                resource.resource.attributes.add(key=key, value=_value(value))
            scope = scopes[number // 10] = resource.scope_logs.add()
            scope.scope.name = "opencode.event-relay"
        scope.log_records.append(record)
        count, last = count + 1, time
        if count == size:
            yield last, Request("logs", message.SerializeToString(), count)
            message, count, scopes = ExportLogsServiceRequest(), 0, {}
    if count:
        yield last, Request("logs", message.SerializeToString(), count)
