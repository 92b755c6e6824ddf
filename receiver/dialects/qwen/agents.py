"""Which agent a record of Qwen Code is about: the main one, or a subagent, which shares the main one's session id.

`prompt_id` says it (recordings of 0.24.4):

    <session>########<n>                      the main agent's turn n; `/automatic/<k>` follows if a subagent's
                                              result began the turn
    <session>#<agent type>-<call id>#<turn>   a subagent, and the call that started it

All before the turn is the subagent's id here: it differs between sessions. Types and call ids may have dashes, so that
it is never split. A call that starts a subagent makes the same id of its own id and the type in its arguments. Which
agent made that call is stated by the call's record or the subagent's span, and by no record of the subagent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from receiver.dialects.shared.fields import as_id
from receiver.events import AnyEvent, SessionEvent
from receiver.model import Scope, Value

SCOPE = "qwen-code"
HTTP_SCOPE = "@opentelemetry/instrumentation-undici"  # its HTTP client, below the requests to the model
_MAIN = "########"


def is_ours(scope: Scope) -> bool:
    """Whether a record is Qwen Code's. Some of its event names have no prefix, so that the scope decides."""
    return scope.name == SCOPE


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent of a record. `session` is what the core calls it, `shared` the session id on the wire, `id` the
    subagent's own, which is the same as `session`."""

    session: str
    shared: str
    id: str = ""

    def events(self, name: str | None = None) -> Iterator[AnyEvent]:
        """What a record states about the agent that it names. The shared session comes first: what is stated of the
        whole process is stated of it."""
        yield SessionEvent(session=self.shared, root=True)
        if self.id:
            yield SessionEvent(
                session=self.session, subagent=True, shared_session=self.shared, agent_id=self.id, agent=name
            )


def subagent(session: str, id_: str) -> Agent:
    """A subagent by its type and call, as its span states them."""
    found = f"{session}#{id_}"
    return Agent(found, session, found)


def agent_of(prompt_id: Value, session: str) -> Agent:
    """The agent that a prompt id names; the main one where it names none."""
    prompt = prompt_id if isinstance(prompt_id, str) else ""
    if prompt.startswith(session + "#") and not prompt.startswith(session + _MAIN):
        found = as_id(prompt.removeprefix(session + "#").rpartition("#")[0])
        if found is not None:
            return subagent(session, found)
    return Agent(session, session)
