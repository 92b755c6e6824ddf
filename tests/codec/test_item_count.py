"""Counting the items of a serialized request, and the bound on them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from receiver.codec.export_service import EXPORT_SERVICES
from receiver.codec.item_count import _REQUESTS, check_items, count_items
from receiver.codec.validate import validate
from receiver.errors import TooLargeError
from receiver.model import SIGNALS
from tests.support.hostile_requests import HOSTILE, field
from tests.support.paths import ROOT

MANY = 10**9


def test_records_attributes_and_list_elements_are_items():
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()  # 2
    for _ in range(3):
        record = scope.log_records.add()  # 3
        record.body.string_value = "text"
        record.attributes.add(key="a").value.int_value = 1  # 3
    elements = scope.log_records[0].attributes.add(key="list").value.array_value.values  # 1
    for number in range(5):
        elements.add(int_value=number)  # 5
    assert count_items("logs", request.SerializeToString(), MANY) == 2 + 3 + 3 + 1 + 5


def messages_in_lists(message):
    """The messages in repeated fields, below a parsed message."""
    total = 0
    for one, value in message.ListFields():
        if one.message_type is None:
            continue
        for child in value if one.is_repeated else (value,):
            total += one.is_repeated + messages_in_lists(child)
    return total


def test_recorded_requests_have_the_items_that_their_parsed_form_has():
    compared = 0
    for path in itertools.islice(sorted((ROOT / "tests").rglob("*.pb")), 400):
        for signal in SIGNALS:
            if f"-{signal}" not in path.name:
                continue
            body = path.read_bytes()
            parsed = EXPORT_SERVICES[signal].request.FromString(body)
            assert count_items(signal, body, MANY) == messages_in_lists(parsed), path
            compared += 1
    assert compared > 10


def test_hostile_requests_of_every_kind_are_above_the_bound_before_they_are_parsed(subtests):
    for name, (signal, body) in HOSTILE.items():
        with subtests.test(name), pytest.raises(TooLargeError, match=r"more than 1000 items \(max_items\)"):
            validate(signal, body(20_000), 1_000)


def test_a_body_too_small_for_so_many_items_is_not_scanned(monkeypatch):
    monkeypatch.setitem(_REQUESTS, "logs", None)
    check_items("logs", b"\x0a\x00" * 500, 500)


def test_the_bound_itself_passes_and_one_more_does_not():
    body = field(1, b"") * 500
    assert validate("logs", body, 500).request.items == 0
    with pytest.raises(TooLargeError):
        validate("logs", field(1, b"") * 501, 500)


@given(st.binary(max_size=200), st.sampled_from(SIGNALS))
def test_any_bytes_are_counted_without_an_error(body, signal):
    assert 0 <= count_items(signal, body, MANY) <= len(body)
