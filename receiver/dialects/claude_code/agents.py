"""Which agent a record of Claude Code is about: the main one, or a subagent, which shares the main one's session id.

Recordings of 2.1.145 to 2.1.332 show: from IN_EVENTS on, records of calls and requests have `agent_id`, and where
another subagent started it `parent_agent_id`; without that, the main agent did. Before, only spans have these ids. The
events are then read as the main agent's, until a span says of the same call or request that it is a subagent's.
Two spans never have them: the execution of a call, and the wait for its permission. Their parent is the call's span.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from receiver.dialects.shared.fields import as_id
from receiver.events import EXACT, REPORTED, AnyEvent, LineageEvent, SessionEvent, agent_session
from receiver.model import Attributes, LogRecord, SpanRecord

IN_EVENTS = (2, 1, 310)  # the first recorded version whose events have agent ids; 2.1.300 has none
IN_SPANS = (2, 1, 200)  # the first one whose spans name both the agent and the call; those of 2.1.145 name no call
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent of a record. `session` is what the core calls it, `shared` the session id on the wire, `parent` the
    agent that started it."""

    session: str
    shared: str
    id: str = ""
    parent: str = ""

    def events(self) -> Iterator[AnyEvent]:
        """What a record states about the agents that it names. The shared session comes first: what is stated of the
        whole process is stated of it."""
        yield SessionEvent(session=self.shared, root=True)
        if not self.id:
            return
        if self.parent:
            yield SessionEvent(
                session=agent_session(self.shared, self.parent),
                subagent=True,
                shared_session=self.shared,
                agent_id=self.parent,
            )
        yield SessionEvent(
            session=self.session,
            rank=EXACT if self.parent else REPORTED,
            parent=agent_session(self.shared, self.parent) if self.parent else self.shared,
            shared_session=self.shared,
            agent_id=self.id,
        )


def agent_of(attributes: Attributes, session: str, has_ids: bool) -> Agent:
    """The agent that a record with this session id names."""
    agent = as_id(attributes.get("agent_id")) if has_ids else None
    if agent is None:
        return Agent(session, session)
    parent = as_id(attributes.get("parent_agent_id"))
    return Agent(agent_session(session, agent), session, agent, parent if parent and parent != agent else "")


def has_agent_ids(record: LogRecord | SpanRecord) -> bool:
    """Whether a record is of a version with agent ids. A version that is not told is a new one."""
    first = IN_SPANS if isinstance(record, SpanRecord) else IN_EVENTS
    version = as_id(record.resource.attributes.get("service.version")) or as_id(record.attributes.get("app.version"))
    match = _VERSION.match(version or "")
    return match is None or tuple(map(int, match.groups())) >= first


def lineage(record: LogRecord, agent: Agent) -> Iterator[AnyEvent]:
    """With spans on, a subagent's record has the id of the span in which the call that started it is executed."""
    if agent.id and len(record.trace_id) == 16 and len(record.span_id) == 8:
        above = record.trace_id + record.span_id
        yield LineageEvent(span=above + agent.id.encode(), parent=above, session=agent.session)
