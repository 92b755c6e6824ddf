"""The same trees whether the sessions stay in memory or are loaded from the store: for each step, as after a restart,
or since there is room for few of them.
"""

import pytest

from receiver.core.apply_events import Source
from receiver.core.builder import Builder
from receiver.core.state.settings import SECOND
from receiver.pipeline.session_cache import SessionCache
from receiver.storage.sqlite_store import SQLiteStore
from tests.support.factories import NOON, SETTINGS, a_session, at, session_id

PARENT, CHILD = session_id(0, 1), session_id(10.01, 2)


def stepping(folder, told, limit=2_000, restarts=False):
    """The spans of what is told, as (seconds of arrival, session), step by step until nothing is open."""
    store, builder = SQLiteStore(folder, fsync=False), Builder(SETTINGS)
    woods, spans, now = SessionCache(store, builder, limit), [], NOON
    waiting = sorted(told, key=lambda one: one[0])
    while waiting or store.next_deadline() is not None:
        soonest = [at(waiting[0][0])] if waiting else []
        now = max(now, min([*soonest, *filter(None, [store.next_deadline()])]))
        arrived = [e for time, session in waiting if at(time) <= now for e in session.told]
        waiting = [one for one in waiting if at(one[0]) > now]
        woods.load({event.session for event in arrived})
        for event in arrived:
            builder.take(woods.forest, Source("plugin", "k1", b"", wait=5 * SECOND, arrival=now), event)
        due = store.due(now, 256)
        woods.load_trees(due)
        outcome = builder.advance(woods.forest, due, now)
        spans += outcome.spans
        step = woods.changes(now, outcome.deadlines)
        store.commit(step)
        woods.saved(step)
        woods = SessionCache(store, builder, limit) if restarts else woods
    store.close()
    return sorted(spans, key=repr)


@pytest.mark.parametrize("away", [{"restarts": True}, {"limit": 1}])
@pytest.mark.parametrize("first", ["parent", "child"])
@pytest.mark.parametrize("stated", [True, False])
def test_a_task_waits_for_a_child_that_is_only_in_the_store(tmp_path, stated, first, away):
    parent = a_session(PARENT).created(0, root=stated or None).report("task", 10, 14).idle(14.2)
    child = a_session(CHILD).created(10.01, root=None, subagent=True).report("bash", 11, 12).idle(13.99)
    told = [(15.1, parent), (15.2 if first == "parent" else 15, child)]
    at_hand = stepping(tmp_path / "at-hand", told)
    assert len({s.trace_id for s in at_hand}) == 1
    assert stepping(tmp_path / "away", told, **away) == at_hand
