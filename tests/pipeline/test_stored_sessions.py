"""What version 1 stored of delta points that count calls is read as series: the same calls come of it."""

from __future__ import annotations

import msgspec
import pytest

from receiver.core.counting.call_counts import call_counts
from receiver.core.counting.series import add, is_counted, key_of, records
from receiver.core.state.emitted import EmittedItems
from receiver.core.state.items import EmittedRecord, ItemKey
from receiver.core.state.session import Session
from receiver.core.state.settings import SECOND
from receiver.core.state.stored import encode_record, encode_session
from receiver.events import PointEvent
from receiver.pipeline.stored_sessions import decode_emitted, decode_session
from tests.support.factories import NOON

SERIES = "0123456789abcdef"


def stored(**point: object) -> bytes:
    """A session of version 1 with one delta point."""
    known = {"source": "opencode.tool.duration", "tool": "bash", "time": NOON + 9 * SECOND, "start": NOON}
    fields = {"id": "ses_a", "counted": {"any": {**known, "series": SERIES, "resource": "k", **point}}}
    return msgspec.msgpack.encode(fields)


@pytest.mark.parametrize(
    ("count", "durations", "rest"),
    [
        (1, (7,), None),
        (2, (7, 9), None),
        (3, (1, 3, 9), None),
        (4, (1, 9), 5),
        (20, (1, 9), 4),
        (5, (), 33),
        (5, (), None),
    ],
)
def test_a_counted_point_of_version_1_gives_the_same_durations(count, durations, rest):
    session = decode_session(stored(count=count, durations=durations, rest=rest, skill="notes", status="error"))
    (found,) = call_counts(session, EmittedItems(), "bash")
    assert (found.count, found.start, found.time) == (count, NOON, NOON + 9 * SECOND)
    assert (found.durations, found.rest) == (durations, rest)
    assert (found.name, found.resource, found.skill, found.status) == (SERIES, "k", "notes", "error")


def test_a_session_that_was_read_from_version_1_is_written_without_its_old_field():
    session = decode_session(stored(count=1, durations=(7,)))
    assert b"counted" not in encode_session(session)
    assert decode_session(encode_session(session)) == session


@pytest.mark.parametrize(
    ("key", "start"),
    [
        (f"counted:{SERIES}:{NOON}-{NOON + SECOND}", NOON),
        (f"counted:opencode.tool.duration:{NOON}-{NOON + SECOND}:{SERIES}", NOON),
        (f"counted:opencode.tool.duration:0-{NOON + SECOND}:{SERIES}", NOON + SECOND),
        (f"counted:opencode.tool.duration:{NOON + 9 * SECOND}-{NOON + SECOND}:{SERIES}", NOON + SECOND),
    ],
    ids=["opencode-plugin-otel", "opencode-telemetry-plugin", "no start", "a start after the end"],
)
def test_a_point_that_version_1_has_counted_is_known_as_counted(key, start):
    emitted = decode_emitted([(key, encode_record(EmittedRecord(start=0, end=0)))])
    copy = point(start)
    assert is_counted(copy, key_of(copy, "any resource"), emitted.series)
    assert not is_counted(point(start - 1), key_of(copy, "any resource"), emitted.series)


def point(start: int) -> PointEvent:
    known = {"session": "ses_a", "what": "calls", "form": "delta", "source": "s", "series": SERIES, "tool": "bash"}
    return PointEvent(start=start, time=NOON + SECOND, amount=1.0, **known)


def test_a_closed_interval_is_remembered_under_the_key_that_version_1_used():
    session = Session(id="ses_a")
    add(session.series, key := key_of(point(NOON), "k"), point(NOON), "k")
    assert [name for name, _ in records(key, session.series[key], {})] == [f"{SERIES}:{NOON}-{NOON + SECOND}"]


def test_other_keys_stay_what_they_are():
    keys = ["call:call_1", "call:~bash@1+2:", "request:msg_1", f"counted:{SERIES}@0/s/calls/cumulative/bash//k"]
    emitted = decode_emitted((key, encode_record(EmittedRecord(1, 2))) for key in keys)
    assert all(emitted.has(*ItemKey.parse(key)) for key in keys)
    assert len(emitted) == len(keys)
