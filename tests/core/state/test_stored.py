"""State comes back from the store as it went there, and what earlier versions stored is read too."""

from __future__ import annotations

import msgspec

from receiver.core.state.items import EmittedRecord, Inferred, Item, ItemKind
from receiver.core.state.session import Session
from receiver.core.state.stored import decode_record, decode_session, encode_record, encode_session
from receiver.events import COUNTED, EXACT, REPORTED


def old(**state: object) -> Session:
    """A session that an earlier version stored."""
    return decode_session(msgspec.msgpack.encode({"id": "ses_a", **state}))


def test_a_session_comes_back_as_it_was():
    session = Session("ses_a")
    for kind in (ItemKind.CALL, ItemKind.REQUEST, ItemKind.PERMISSION, ItemKind.REPORT):
        session.pending(kind, f"{kind.value}_1").facts["start"] = (EXACT, 5)
    session.calls["call_1"].infer(Inferred.END, Inferred.IDENTITY)
    assert decode_session(encode_session(session)) == session


def test_a_record_comes_back_as_it_was():
    record = EmittedRecord(1, 2, "task", "ses_b", task=("build", "", ""), segment=3)
    assert decode_record(encode_record(record)) == record


def test_an_item_of_an_earlier_version_gets_its_kind():
    item = {"key": "x", "facts": {"end": [EXACT, 7]}, "arrival": 3, "wait": 1}
    session = old(calls={"x": item}, requests={"x": item}, permissions={"x": item})
    assert session.calls["x"] == Item("x", {"end": (EXACT, 7)}, 3, 1)
    assert [session.requests["x"].kind, session.permissions["x"].kind] == [ItemKind.REQUEST, ItemKind.PERMISSION]


def test_a_report_of_an_earlier_version_is_an_item():
    facts = {"tool": (REPORTED, "bash"), "start": (REPORTED, 2), "end": (REPORTED, 4)}
    report = {"facts": facts, "start": 2, "end": 4, "tool": "bash", "arrival": 9, "wait": 5}
    (item,) = old(unnamed={"bash@2+2:": report}).reports.values()
    assert item == Item("bash@2+2:", facts, 9, 5, kind=ItemKind.REPORT)
    assert (item.start, item.end, item.tool) == (2, 4, "bash")


def test_what_an_earlier_version_inferred_is_no_fact_any_more():
    facts = {"tool": [COUNTED, "bash"], "inferred": [COUNTED, "identity,start,end,duration"]}
    (item,) = old(calls={"#b": {"key": "#b", "facts": facts}}).calls.values()
    assert item.facts == {"tool": (COUNTED, "bash")}
    assert item.inferred == (Inferred.IDENTITY, Inferred.START, Inferred.END, Inferred.DURATION)
