"""What no recording tells and a backend has to stand: a session that goes on after a pause, records that come when
their session has left, and texts longer than a backend keeps. In the words of the event relay, from a named host.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from receiver.model import Request
from tests.support.factories import key_values, logs_request, relay_record
from tests.support.operator_endpoints import ms, relay, relay_call, relay_idle

RELAY = {"service.name": "opencode", "service.instance.id": "one", "host.name": "workstation"}
PAUSE = 600  # s: more than any time-out of these tests
LONG = "Zeile für Zeile ¶ " * 3000  # 60 KB in UTF-8, with characters of two bytes where a limit may fall
SESSIONS = [f"ses_0000000000{n:02d}AAAAAAAAAAAA{n:02d}" for n in range(4)]


def hosted(requests: Iterable[Request], **resource: str) -> list[Request]:
    """The same records from a host that has a name, as the event relay says it now (the recordings are older), and with
    more attributes of the resource."""
    named = {"host.name": "workstation", **resource}
    return [Request(r.signal, _named(r.body, named) if r.signal == "logs" else r.body, r.items) for r in requests]


def _named(body: bytes, resource: dict[str, str]) -> bytes:
    message = ExportLogsServiceRequest.FromString(body)
    for one in message.resource_logs:
        known = {attribute.key for attribute in one.resource.attributes}
        one.resource.attributes.extend(key_values({k: v for k, v in resource.items() if k not in known}))
    return message.SerializeToString()


def told(*records: LogRecord) -> list[Request]:
    """One request with these records."""
    return [logs_request(*records, resource=RELAY)]


def resumed() -> list[Request]:
    """A session with a child; after a long pause it goes on, calls a child again that it had, and ends."""
    root, child = SESSIONS[0], SESSIONS[1]
    task = {"sessionId": child}
    first = [
        *relay("read", session=root),
        *relay("grep", session=child, start=2.01, parent=root),
        relay_idle(child, 4),
        relay_call(root, "task", 2, 4.01, **task),
        relay_idle(root, 5),
    ]
    second = [
        relay_call(child, "glob", PAUSE + 1.1, PAUSE + 1.5),
        relay_idle(child, PAUSE + 2),
        relay_call(root, "task", PAUSE + 1, PAUSE + 2.01, **task),
        relay_call(root, "bash", PAUSE + 3, PAUSE + 4),
        relay_idle(root, PAUSE + 5),
    ]
    return told(*first) + told(*second)


def in_time() -> list[Request]:
    """A session of two calls, and its end."""
    return told(*relay("read", "bash", session=SESSIONS[2]), relay_idle(SESSIONS[2], 4))


def too_late() -> list[Request]:
    """Two more calls of it, one of them as long as nothing that was known before."""
    return told(relay_call(SESSIONS[2], "grep", 2.6, 2.8), relay_call(SESSIONS[2], "glob", 3.5, 6))


def wordy() -> list[Request]:
    """A session in which everything that can be long is."""
    session = SESSIONS[3]
    info = {"id": session, "title": LONG, "directory": "/" + LONG, "agent": "build", "time": {"created": ms(0)}}
    records = [relay_record("session.created", 0, {"info": info})]
    for number, tool in enumerate(("bash", "notes_search", "skill", "task"), start=1):
        records.append(_wordy_call(session, tool, number, "completed"))
        records.append(_wordy_call(session, tool, number + 0.5, "error"))
    error = {"name": "APIError", "data": {"message": LONG, "statusCode": 500}}
    records.append(relay_record("session.error", 6, {"sessionID": session, "error": error}))
    records.append(relay_record("command.executed", 6.5, {"sessionID": session, "name": "audit", "arguments": LONG}))
    return told(*records, relay_idle(session, 7))


def _wordy_call(session: str, tool: str, start: float, status: str) -> LogRecord:
    given = {
        "filePath": LONG,
        "command": LONG,
        "description": LONG,
        "name": "release-notes",
        "subagent_type": "general",
    }
    state: dict[str, Any] = {"status": status, "input": given, "time": {"start": ms(start), "end": ms(start + 0.2)}}
    state |= {"error": LONG} if status == "error" else {"output": LONG, "title": LONG, "metadata": {"dir": LONG}}
    part = {"id": f"prt_{start}", "sessionID": session, "type": "tool", "callID": f"call_{start}", "tool": tool}
    return relay_record("message.part.updated", start + 0.2, {"part": {**part, "state": state}})
