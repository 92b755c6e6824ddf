"""What was emitted of a session: the store's keys, and the indexes that looks ask."""

from __future__ import annotations

import pytest

from receiver.core.state.emitted import EMITTED_KINDS, CallIndex, CallTimes, EmittedItems
from receiver.core.state.items import (
    CallSource,
    EmittedRecord,
    ItemKey,
    ItemKind,
    call_source,
    counted_call,
    reported_call,
)


def record(start: int, tool: str = "bash", child: str = "") -> EmittedRecord:
    return EmittedRecord(start, start + 5, tool, child)


class TestKeys:
    def test_the_stores_keys_are_those_of_earlier_versions(self):
        texts = [ItemKey(kind, "x:1").text for kind in EMITTED_KINDS]
        assert texts == ["call:x:1", "request:x:1", "permission:x:1", "marker:x:1", "counted:x:1"]
        assert [ItemKey.parse(text) for text in texts] == [(kind, "x:1") for kind in EMITTED_KINDS]

    def test_a_calls_id_shows_whether_a_record_gave_it(self):
        assert (reported_call("bash@1+5:"), counted_call("bash@1")) == ("~bash@1+5:", "#bash@1")
        sources = [call_source(call) for call in ("call_1", reported_call("r"), counted_call("c"), "")]
        assert sources == [CallSource.NAMED, CallSource.REPORTED, CallSource.COUNTED, CallSource.NAMED]


class TestEmittedItems:
    def test_an_item_is_known_by_kind_and_id(self):
        items = EmittedItems.of([("call:1", record(10)), ("request:1", record(20))])
        assert [items.has(kind, "1") for kind in EMITTED_KINDS] == [True, True, False, False, False]
        assert (items.calls["1"].start, items.requests["1"].start, len(items)) == (10, 20, 2)

    def test_series_are_no_spans(self):
        items = EmittedItems.of([("call:1", record(10)), ("counted:s", record(0)), ("marker:session:1", record(1))])
        assert {key.text for key, _ in items.spans()} == {"call:1", "marker:session:1"}

    def test_task_calls_are_those_of_the_tool_and_those_that_name_a_child(self):
        items = EmittedItems.of(
            [("call:1", record(1)), ("call:2", record(2, "task")), ("call:3", record(3, "redacted", "ses_b"))]
        )
        assert list(items.task_calls) == ["2", "3"]

    @pytest.mark.parametrize("asked_before", [False, True])
    def test_an_index_knows_what_was_added_before_and_after_it_was_first_asked_for(self, asked_before):
        items = EmittedItems.of([("call:b", record(20))])
        if asked_before:
            items.index(CallSource.NAMED)
        items.add(ItemKind.CALL, "a", record(10, child="ses_b"))
        items.add(ItemKind.CALL, "~r", record(15))
        index = items.index(CallSource.NAMED)
        assert [call.id for call in index.of_tool("bash")] == ["a", "b"]
        assert [call.id for call in index.naming("bash", "ses_b")] == ["a"]
        assert [call.id for call in items.calls_of("bash")] == ["a", "b", "~r"]

    def test_what_is_removed_is_in_no_index(self):
        items = EmittedItems.of([("call:a", record(10, "task"))])
        items.index(CallSource.NAMED)
        items.remove(ItemKey(ItemKind.CALL, "a"))
        assert (len(items), items.task_calls, list(items.calls_of("task"))) == (0, {}, [])

    def test_a_copy_does_not_change_with_the_original(self):
        items = EmittedItems.of([("call:a", record(10, "task"))])
        copy = items.copy()
        items.remove(ItemKey(ItemKind.CALL, "a"))
        assert (len(copy), list(copy.task_calls)) == (1, ["a"])


class TestCallIndex:
    def test_around_finds_the_nearest_calls_on_either_side_within_the_skew(self):
        index = CallIndex(("bash", CallTimes(t, t + 1, str(t), "", False)) for t in (10, 20, 30, 40, 50))
        before, after = index.around("bash", 30, skew=15, most=9)
        assert ([c.start for c in before], [c.start for c in after]) == ([20], [30, 40])
        before, after = index.around("bash", 30, skew=99, most=1)
        assert ([c.start for c in before], [c.start for c in after]) == ([20], [30])
        assert index.around("read", 30, 99, 9) == ([], [])
