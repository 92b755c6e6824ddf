"""The table of bounds in docs/architecture.md against the code: each row's numbers are the constants' values."""

from __future__ import annotations

import re

from receiver import config
from receiver.codec import otlp_json
from receiver.config.load import yaml_text
from receiver.core.counting import missing_calls, series
from receiver.core.linking import report_matching
from receiver.core.state import span_lineage
from receiver.core.state.settings import BuilderSettings
from receiver.otlp import grpc_server, http_server, protocol_mux
from receiver.pipeline import session_cache
from receiver.pipeline.pipeline import Limits
from tests.support.paths import DOCS

MIB = 1 << 20
PAGE = (DOCS / "architecture.md").read_text(encoding="utf-8")

# the first column of each row that states numbers, and these in the order in which the row states them
BOUNDS = {
    "a request": [
        grpc_server.DEFAULT_MAX_RECV_MSG_SIZE // MIB,
        http_server.DEFAULT_MAX_REQUEST_BODY_SIZE // MIB,
    ],
    "JSON in a request": [otlp_json._MAX_OBJECTS],
    "a request's head, its body, the pause between two (HTTP); the first bytes of any connection": [
        int(http_server.DEFAULT_TIMEOUT)
    ],
    "accepted and not built": [Limits().backlog_items],
    "records that one step reads": [Limits().step_items],
    "built and not sent, for each exporter": [Limits().queue_items],
    "a configuration": [yaml_text.MAX_CHARACTERS, yaml_text.MAX_VALUES, yaml_text.MAX_DEPTH],
    "sessions in memory": [Limits().sessions_in_memory],
    "metric series of a session, values of a series, intervals with calls": [
        series.MAX_SERIES,
        series.MAX_READINGS,
        series.MAX_CALL_DELTAS,
    ],
    "calls that one without an id is compared with": [2 * report_matching.MAX_NEIGHBOURS],
    "calls that one look at a session makes up from counts": [missing_calls.MAX_MISSING_CALLS],
    "attributes of a span, bytes of a value, events of a span": [
        BuilderSettings().max_attributes,
        BuilderSettings().max_attribute_bytes,
        BuilderSettings().max_events,
    ],
    "spans looked through below one task call, for its child": [span_lineage.MAX_SPANS_BELOW_CALL],
    "spans in memory, for the same": [session_cache.MAX_SPANS],
}
# rows that name a key of the configuration and no number
KEYS = {
    "spans in a trace": "max_spans_per_trace",
    "a trace's age": "max_trace_age",
    "what is remembered of closed sessions": "file_storage::retention",
}


def table() -> dict[str, str]:
    """First column -> second column."""
    text = PAGE.partition("## Bounds")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    return {row[0]: row[1] for row in rows if row[0] != "what"}


def numbers(cell: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\d|\d", cell)]


def test_every_row_is_compared_and_every_bound_stands_in_a_row() -> None:
    assert set(table()) == BOUNDS.keys() | KEYS.keys()


def test_each_row_states_the_numbers_of_the_code() -> None:
    stated = table()
    assert {row: numbers(stated[row]) for row in BOUNDS} == BOUNDS


def test_the_defaults_of_the_configuration_are_the_bounds_of_the_table() -> None:
    text = "exporters: {otlp_grpc: {endpoint: 'b:1'}}\nreceivers: {otlp: {protocols: {grpc: {}, http: {}}}}"
    settings = config.load([("a.yaml", text)], [], {"HOME": "/h"})
    protocols = settings.receivers["otlp"].protocols
    grpc_mib = protocols.grpc.max_recv_msg_size_mib
    assert [grpc_mib, protocols.http.max_request_body_size // MIB] == BOUNDS["a request"]
    assert [settings.exporters["otlp_grpc"].sending_queue.queue_size] == BOUNDS["built and not sent, for each exporter"]


def test_the_rows_without_a_number_name_a_key_of_the_configuration() -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    for row, key in KEYS.items():
        assert key in table()[row], row
        assert f"`{key.rpartition('::')[2]}`" in page, key


def test_what_the_table_says_in_words_is_the_codes() -> None:
    assert "two large bodies are decoded at a time" in table()["JSON in a request"]
    assert http_server._DECODING_THREADS == 2
    assert protocol_mux.FIRST_BYTES_TIMEOUT == http_server.DEFAULT_TIMEOUT
