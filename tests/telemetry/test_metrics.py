"""The program's own metrics: the table, the text that Prometheus reads, the hooks, and the sums that must be equal."""

import asyncio
import json
import re
from collections import Counter
from typing import get_args

import aiohttp
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.parser import text_string_to_metric_families

from receiver import semconv
from receiver.events import AnyEvent
from receiver.outcome import Outcome
from receiver.pipeline.record_reader import ReadResult, RecordReader
from receiver.storage.interface import Outgoing
from receiver.telemetry.exposition import exposition
from receiver.telemetry.instruments import INSTRUMENTS, NAMES, OWN
from receiver.telemetry.metrics import Metrics, event_kind, span_kind
from tests.support.core_runs import trees
from tests.support.factories import NOON, a_session, at, logs_request, relay_record, spans_request
from tests.support.operator_endpoints import export, free_ports, relay, service, tree
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
DASHBOARD = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text(encoding="utf-8"))
NAME = re.compile(r"\b(?:otelcol|opencode_trace_receiver)_[a-z_]+[a-z]")


def samples(text):
    """Every sample of a page of metrics, by name (the parser puts `_total` behind a counter's) and labels."""
    families = text_string_to_metric_families(text)
    return {(s.name.removesuffix("_total"), frozenset(s.labels.items())): s.value for f in families for s in f.samples}


def total(found, name, **labels):
    """The sum of a metric's samples with these labels."""
    return sum(v for (n, given), v in found.items() if n == name and labels.items() <= dict(given).items())


@pytest.fixture
def metrics():
    made = Metrics(clock=lambda: NOON)
    yield made
    made.stop()


# the table


def test_every_instrument_is_documented():
    rows = {
        f"| `{one.name}` | {one.kind} | `{one.unit}` | {', '.join(f'`{label}`' for label in one.labels)} | {one.help} |"
        for one in INSTRUMENTS
    }
    assert rows - set(PAGE.splitlines()) == set()


def test_the_page_names_only_existing_metrics():
    named = {
        name
        for name in NAME.findall(PAGE)
        if not name.endswith(("_sent", "_refused", "trace_receiver", "_enqueue_failed", "_runtime"))
    }
    assert named <= set(NAMES)


def test_every_discard_reason_is_documented():
    assert [reason for reason in semconv.DISCARDS if f"\n| `{reason}` | " not in PAGE] == []


def test_the_dashboard_uses_only_existing_metrics():
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    asked = {name for panel in panels for t in panel["targets"] for name in NAME.findall(t["expr"])}
    histograms = {f"{one.name}_bucket": one.name for one in INSTRUMENTS if one.kind == "histogram"}
    assert {histograms.get(name, name) for name in asked} == set(NAMES), "shows what is not there, or not all"
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_dashboard_selects_this_program_and_no_collector():
    asked = [one["query"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    assert len(asked) == 2
    assert all(query.startswith(f"label_values({OWN}store_size") for query in asked)
    assert not any("allValue" in one for one in DASHBOARD["templating"]["list"])  # it would match any job's


def test_counter_names_of_the_collector_have_no_suffix():
    assert not [name for name in NAMES if name.endswith(("_total", "_bytes"))]


EVENT_KINDS = {event_kind(event) for event in get_args(AnyEvent)} - {"discarded"}


def test_every_kind_of_event_is_documented():
    listed = re.search(r"^The kinds of events: (.*?)\.$", PAGE, re.MULTILINE | re.DOTALL)
    assert listed
    assert set(re.findall(r"`([a-z_]+)`", listed[1])) == EVENT_KINDS


# the text


def test_prometheus_parser_reads_the_page(metrics):
    metrics.add("otelcol_exporter_sent_spans", 3, exporter="otlp_grpc")
    metrics.set(f"{OWN}queue_age", 1.5, exporter="otlp_grpc")
    text = exposition(metrics.collect())
    found = samples(text)
    assert found["otelcol_exporter_sent_spans", frozenset({("exporter", "otlp_grpc")})] == 3
    assert found[f"{OWN}queue_age", frozenset({("exporter", "otlp_grpc")})] == 1.5
    assert "# TYPE otelcol_exporter_sent_spans counter\n" in text
    assert "# HELP otelcol_exporter_sent_spans spans that the backend took\n" in text


def test_label_values_are_escaped(metrics):
    awkward = 'a "quoted" \\ line\nand another'
    metrics.add(f"{OWN}items_skipped", 1, reason=awkward)
    assert total(samples(exposition(metrics.collect())), f"{OWN}items_skipped", reason=awkward) == 1


def test_counters_without_labels_start_at_0(metrics):
    assert set(samples(exposition(metrics.collect())).values()) <= {0, 1}


def test_otel_variables_do_not_change_the_metrics(monkeypatch):
    for name, value in {"OTEL_SDK_DISABLED": "true", "OTEL_RESOURCE_ATTRIBUTES": "a=b"}.items():
        monkeypatch.setenv(name, value)
    made = Metrics()
    text = exposition(made.collect())
    made.stop()
    assert f"{OWN}sessions_closed 0\n" in text
    assert 'a="b"' not in text


def test_target_info_has_one_instance_id_for_a_process(metrics):
    text = exposition(metrics.collect())
    name, version = 'service_name="opencode-trace-receiver"', r'service_version="\S+"'
    assert re.search(rf'^target_info\{{service_instance_id="[0-9a-f-]{{36}}",{name},{version}}} 1$', text, re.MULTILINE)
    another = Metrics()
    assert exposition(another.collect()).splitlines()[2] != text.splitlines()[2]
    another.stop()


def test_counters_of_receivers_and_exporters_start_at_0(metrics):
    """Or Prometheus would not see the first failure: a series that appears with 1 has not increased."""
    metrics.receiver_observer("otlp", ("grpc",))
    metrics.start_exporter_counters("otlp_http", {"traces", "logs"})
    found = samples(exposition(metrics.collect()))
    assert found["otelcol_receiver_refused_spans", frozenset({("receiver", "otlp"), ("transport", "grpc")})] == 0
    assert found["otelcol_exporter_send_failed_log_records", frozenset({("exporter", "otlp_http")})] == 0
    assert not [name for name, _ in found if name.endswith("_sent_metric_points")]


# hooks


def test_the_receiver_observer_counts_under_the_collectors_names(metrics):
    observe = metrics.receiver_observer("otlp/agents")
    for event in ("accepted", "refused", "failed"):
        for signal in ("logs", "metrics", "traces"):
            observe(event, signal, "http", 2)
    found = samples(exposition(metrics.collect()))
    names = [n for n in NAMES if n.startswith("otelcol_receiver_")]
    assert len(names) == 9
    assert [total(found, name, receiver="otlp/agents", transport="http") for name in names] == [2] * 9


def test_the_senders_observer_counts_sent_retried_and_failed_items(metrics):
    for event in ("sent", "send_failed", "retried"):
        for signal in ("logs", "metrics", "traces"):
            metrics.sending(event, signal, "otlp_http", 5)
    metrics.rejected("otlp_http", "traces", 1)
    found = samples(exposition(metrics.collect()))
    assert total(found, "otelcol_exporter_sent_metric_points", exporter="otlp_http") == 5
    assert total(found, "otelcol_exporter_send_failed_log_records", exporter="otlp_http") == 5
    assert total(found, f"{OWN}items_retried", exporter="otlp_http", signal="traces") == 5
    assert total(found, f"{OWN}items_rejected", exporter="otlp_http", signal="traces") == 1


def test_the_pipelines_observer_counts_records_items_and_queued_requests(metrics):
    metrics.request_read(ReadResult("logs", used=Counter(event_relay=4), discarded=Counter(unknown_record=2)))
    metrics.items_skipped(Counter(already_left=3))
    metrics.requests_queued([Outgoing("debug", "traces", 7, b"")])
    found = samples(exposition(metrics.collect()))
    assert total(found, f"{OWN}records_used", signal="logs", dialect="event_relay") == 4
    assert total(found, f"{OWN}records_discarded", signal="logs", reason="unknown_record") == 2
    assert total(found, f"{OWN}items_skipped", reason="already_left") == 3
    assert total(found, f"{OWN}items_queued", exporter="debug", signal="traces") == 7


def test_events_are_counted_by_dialect_and_kind(metrics):
    request = logs_request(*relay("read", "bash"))
    result = RecordReader(frozenset()).read(request, arrival=0)
    metrics.request_read(result)
    found = samples(exposition(metrics.collect()))
    assert total(found, f"{OWN}events", dialect="event_relay", kind="session") == 1
    assert total(found, f"{OWN}events", dialect="event_relay", kind="call") == 2
    assert total(found, f"{OWN}events") == len(result.events)


def test_edges_are_counted_by_kind_and_confidence(metrics):
    metrics.spans_built(Outcome(edges=Counter({("parent_session", "decided"): 2, ("task_call", "ambiguous"): 1})))
    found = samples(exposition(metrics.collect()))
    assert total(found, f"{OWN}edges_inferred", kind="parent_session", confidence="decided") == 2
    assert total(found, f"{OWN}edges_inferred", kind="task_call", confidence="ambiguous") == 1


def test_spans_are_counted_by_kind_and_timed_from_their_end(metrics):
    session = a_session().created(-60).request(-50, -40, model="m").call("db_query", -30, -20)
    session.call("bash", -19, -10).permission(-18, -17, call="bash@-19").deleted(-5)
    spans = trees(session)
    metrics.spans_built(Outcome(spans=spans, closed=["ses_a"]))
    found = samples(exposition(metrics.collect()))
    kinds = {kind: total(found, f"{OWN}spans_built", kind=kind) for kind in map(span_kind, spans)}
    assert kinds == {"session": 1, "request": 1, "call": 2, "permission": 1}
    assert total(found, f"{OWN}span_latency_sum", kind="request") == 40
    assert total(found, f"{OWN}span_latency_bucket", kind="request", le="30") == 0
    assert total(found, f"{OWN}span_latency_bucket", kind="request", le="60") == 1
    assert total(found, f"{OWN}facts_inferred", fact="mcp.server") == 1
    assert total(found, f"{OWN}sessions_closed") == 1


def test_a_span_that_ends_in_the_future_has_latency_0(metrics):
    metrics.spans_built(Outcome(spans=trees(a_session().created(10).call("read", 11, 12).deleted(13))))
    assert total(samples(exposition(metrics.collect())), f"{OWN}span_latency_sum") == 0


# a receiver


async def scrape(port):
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics") as response,
    ):
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return samples(await response.text())


async def scrape_until(port, done):
    """Scrape until `done` holds for the metrics."""
    for _ in range(200):
        if done(found := await scrape(port)):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(found)


def a_foreign_span(name):
    return Span(name=name, trace_id=b"t" * 16, span_id=name.encode().rjust(8, b"s"), start_time_unix_nano=at(1))


async def test_records_and_spans_are_conserved(tmp_path):
    """docs/contract.md 7.5: accepted records are used or discarded; built spans are sent, queued or set aside."""
    ports = free_ports()
    async with service(tree(tmp_path, ports)) as running:
        await export(ports["grpc"], logs_request(*relay("read", "bash", "grep")))
        await export(
            ports["grpc"], logs_request(relay_record("server.connected", 3), relay_record("x.y", 3), scope="?")
        )
        await export(ports["grpc"], spans_request(a_foreign_span("one"), a_foreign_span("two"), scope="theirs"))
        await scrape_until(ports["metrics"], lambda found: total(found, f"{OWN}spans_built", kind="call") == 3)
        await running.pipeline.flush()
        done = await scrape_until(ports["metrics"], lambda found: total(found, "otelcol_exporter_sent_spans") >= 6)

    assert total(done, "otelcol_receiver_accepted_log_records", receiver="otlp", transport="grpc") == 6
    assert total(done, "otelcol_receiver_accepted_spans", receiver="otlp", transport="grpc") == 2
    assert total(done, f"{OWN}backlog_items") == 0
    for signal, items in (("logs", "log_records"), ("traces", "spans")):
        became = [total(done, f"{OWN}records_{fate}", signal=signal) for fate in ("used", "discarded")]
        assert sum(became) == total(done, f"otelcol_receiver_accepted_{items}")
    built = total(done, f"{OWN}spans_built") + total(done, f"{OWN}spans_handed_on")
    assert built == 4 + 2
    assert total(done, f"{OWN}items_queued", exporter="file") == built
    waiting = total(done, "otelcol_exporter_queue_size") + total(done, f"{OWN}items_set_aside")
    assert total(done, "otelcol_exporter_sent_spans", exporter="file") + waiting == built


async def test_gauges_show_the_sizes_in_the_store(tmp_path):
    ports = free_ports()
    async with service(tree(tmp_path, ports)):
        await export(ports["grpc"], logs_request(*relay("read")))
        found = await scrape_until(ports["metrics"], lambda found: total(found, f"{OWN}sessions_open") == 1)
    assert total(found, "otelcol_exporter_queue_capacity", exporter="file") > 0
    assert total(found, f"{OWN}store_size") > 0
    assert total(found, "otelcol_process_memory_rss") > 1 << 20
    assert total(found, "otelcol_process_uptime") > 0
    assert total(found, "otelcol_process_cpu_seconds") > 0


async def test_a_refused_request_is_counted(tmp_path):
    ports = free_ports()
    async with service(tree(tmp_path, ports)), aiohttp.ClientSession() as session:
        for place in ("grpc", "http"):  # either port takes HTTP
            answer = await session.post(f"http://127.0.0.1:{ports[place]}/v1/logz")
            assert answer.status == 404
        found = await scrape(ports["metrics"])
    assert total(found, f"{OWN}requests_refused", transport="http", reason="404") == 2


async def test_at_level_none_metrics_are_not_served(tmp_path):
    ports = free_ports()
    written = tree(tmp_path, ports)
    written["service"]["telemetry"]["metrics"]["level"] = "none"
    async with service(written), aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"http://127.0.0.1:{ports['metrics']}/metrics")
