"""Decoding caches small resources and scopes only, so its memory is bounded."""

from __future__ import annotations

import gc
import tracemalloc

from receiver.pipeline.record_reader import RecordReader
from tests.support.factories import logs_request, relay_record

NOTHING: frozenset[str] = frozenset()
SIZE = 1_000_000


def test_large_resources_and_scopes_are_not_cached():
    record = relay_record("session.idle", 1, session_id="ses_a")
    reading = RecordReader(NOTHING)

    def read(number: int) -> None:
        large = f"{number}{'x' * SIZE}"
        request = logs_request(record, scope=f"opencode.event-relay.{large}", resource={"service.name": large})
        reading.read(request, 0)
        reading.read(logs_request(record, resource={"service.name": large}), 0)

    read(0)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(1, 11):
            read(number)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 5 * SIZE  # of thirty that were read: those of the last request at most


def test_a_producer_with_a_name_that_is_not_text_has_the_same_key_in_every_process():
    record = relay_record("session.idle", 1, session_id="ses_a")
    names = [{"b": 1, "a": [True]}, '{"a":[true],"b":1}']
    told = [RecordReader(NOTHING).read(logs_request(record, resource={"service.name": n}), 0).events for n in names]
    assert told[0][0][0].producer == told[1][0][0].producer


def test_a_small_resource_is_decoded_once():
    record = relay_record("session.idle", 1, session_id="ses_a")
    reading = RecordReader(NOTHING)
    one, other = (reading.read(logs_request(record, resource={"service.name": "once"}), 0) for _ in range(2))
    assert one.events[0][0].resource is other.events[0][0].resource
