"""When a request began whose answer shares no id with the attempts to send it: by order, within its session.

The requests of a session are strictly one after another, so the last attempt before an answer is the one that it
answers, if no other answer lies between them. Attempts merge as a set, and answers are joined in order of their ends,
so neither order nor repetition of records matters. The start is inferred, and marked.
"""

from __future__ import annotations

from receiver.core.state.items import Inferred, Item, learn
from receiver.core.state.session import Session
from receiver.events import INFERRED


def add_attempt(session: Session, start: int, end: int) -> None:
    """Note an attempt (ns) that may still be answered."""
    if end > session.answered:
        session.attempts[end] = min(start, session.attempts.get(end, start))


def join_attempt(session: Session, request: Item) -> None:
    """Give an answer that is about to leave the start of its attempt."""
    if not session.attempts or request.get("start") or not request.end:
        return
    others = (r.end for r in session.requests.values() if not r.get("start") and r.end < request.end)
    after = max([session.answered, *others])
    last = max((end for end in session.attempts if after < end <= request.end), default=None)
    if last is not None:
        learn(request.facts, "start", INFERRED, session.attempts[last])
        request.infer(Inferred.START)
    session.answered = max(session.answered, request.end)
    session.attempts = {end: start for end, start in session.attempts.items() if end > session.answered}
