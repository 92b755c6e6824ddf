"""Pipelines resolved into a graph."""

from collections.abc import Callable

import pytest

from receiver.config import Input, Settings

Read = Callable[..., Settings]
Refused = Callable[..., list[str]]

BACKENDS = "exporters: {otlp/tempo: {endpoint: 't:4317'}, otlp_http/loki: {endpoint: 'http://l'}, debug: }\n"


def pipelines(text: str, more: str = "") -> str:
    return f"{BACKENDS}{more}service: {{pipelines: {{{text}}}}}"


BUILT = "traces: {receivers: [agenttrace], exporters: [otlp/tempo]}"


def test_a_pipeline_can_feed_the_connector_and_an_exporter(read: Read) -> None:
    text = f"""
logs: {{receivers: [otlp], exporters: [agenttrace, otlp_http/loki]}},
logs/2: {{receivers: [otlp], exporters: [debug, otlp_http/loki]}},
metrics: {{receivers: [otlp], exporters: [debug]}},
traces/in: {{receivers: [otlp], exporters: [agenttrace]}},
{BUILT}"""
    graph = read(pipelines(text)).graph
    assert graph.inputs["logs"] == Input(True, ("otlp_http/loki", "debug"))
    assert graph.inputs["metrics"] == Input(False, ("debug",))
    assert graph.inputs["traces"] == Input(True, ())
    assert graph.built == ("otlp/tempo",)
    assert graph.exporters == ("otlp/tempo", "otlp_http/loki", "debug")
    assert graph.receivers == {"otlp": frozenset({"logs", "metrics", "traces"})}
    assert graph.connector == "agenttrace"


def test_one_traces_pipeline_can_carry_built_and_received_spans(read: Read) -> None:
    text = """logs: {receivers: [otlp], exporters: [agenttrace]},
traces: {receivers: [otlp, agenttrace], exporters: [otlp/tempo]}"""
    graph = read(pipelines(text)).graph
    assert graph.inputs["traces"] == Input(False, ("otlp/tempo",))
    assert graph.inputs["metrics"] == Input()
    assert graph.built == ("otlp/tempo",)
    assert graph.receivers == {"otlp": frozenset({"logs", "traces"})}


def test_receivers_may_be_in_pipelines_of_different_signals(read: Read) -> None:
    more = "receivers: {otlp/a: {protocols: {grpc: }}, otlp/b: {protocols: {http: }}}\n"
    text = f"""logs: {{receivers: [otlp/a], exporters: [agenttrace]}},
metrics: {{receivers: [otlp/a, otlp/b], exporters: [agenttrace]}}, {BUILT}"""
    graph = read(pipelines(text, more)).graph
    assert graph.receivers == {"otlp/a": frozenset({"logs", "metrics"}), "otlp/b": frozenset({"metrics"})}


def test_a_connector_may_have_a_name(read: Read) -> None:
    settings = read("connectors: {agenttrace/x: {settle: 4s}}")
    assert settings.graph.connector == "agenttrace/x"
    assert settings.connector.settle == 4 * 10**9


def test_a_configuration_may_forward_without_the_connector(read: Read) -> None:
    graph = read(pipelines("logs: {receivers: [otlp], exporters: [debug]}")).graph
    assert (graph.connector, graph.built) == (None, ())


def test_pipelines_that_cannot_run_are_refused(refused: Refused, subtests: pytest.Subtests) -> None:
    for text, message in [
        ("", "service::pipelines: there must be at least one pipeline"),
        (f"logs: {{exporters: [agenttrace]}}, {BUILT}", "service::pipelines::logs: must have at least one receiver"),
        ("logs: {receivers: [otlp]}", "service::pipelines::logs: must have at least one exporter"),
        (
            "logs: {receivers: [otlp], exporters: [dbug]}",
            'service::pipelines::logs::exporters: references exporter "dbug" which is not configured; '
            "did you mean debug?",
        ),
        (
            "logs: {receivers: [kafka], exporters: [debug]}",
            'service::pipelines::logs::receivers: references receiver "kafka" which is not configured; '
            "known here: otlp, agenttrace",
        ),
        (
            "trace: {receivers: [otlp], exporters: [debug]}",
            "service::pipelines::trace: unknown signal 'trace'; did you mean traces?",
        ),
        (
            "logs: {receivers: [otlp], exporters: [agenttrace]}",
            'service::pipelines: connector "agenttrace" used as exporter in [logs] pipeline but not used in any '
            "traces pipeline as receiver; add one with receivers: [agenttrace]",
        ),
        (
            BUILT,
            'service::pipelines: connector "agenttrace" used as receiver in [traces] pipeline but not used in any '
            "pipeline as exporter; add a logs pipeline with exporters: [agenttrace]",
        ),
        (
            f"metrics: {{receivers: [agenttrace], exporters: [debug]}}, logs: {{receivers: [otlp], "
            f"exporters: [agenttrace]}}, {BUILT}",
            'service::pipelines::metrics::receivers: connector "agenttrace" emits traces, not metrics; '
            "use it as receiver of a traces pipeline",
        ),
        (
            "traces: {receivers: [otlp, agenttrace], exporters: [agenttrace, debug]}",
            'service::pipelines::traces: cycle: connector "agenttrace" feeds itself; use two pipelines, '
            "such as traces/in and traces",
        ),
    ]:
        with subtests.test(text=text, message=message):
            assert refused(pipelines(text)) == [message]


def test_receivers_in_different_pipelines_of_a_signal_are_refused(refused: Refused) -> None:
    more = "receivers: {otlp/a: {protocols: {grpc: }}, otlp/b: {protocols: {http: }}}\n"
    text = "logs: {receivers: [otlp/a], exporters: [debug]}, logs/b: {receivers: [otlp/b], exporters: [otlp/tempo]}"
    assert refused(pipelines(text, more)) == [
        "service::pipelines: otlp/a and otlp/b are in different logs pipelines; put them into the same ones"
    ]


def test_two_connectors_in_use_are_refused(refused: Refused) -> None:
    (line,) = refused("connectors: {agenttrace: , agenttrace/2: }")
    assert line.startswith("service::pipelines: only one connector can be in use")


def test_a_configuration_without_the_connector_gets_a_warning(read: Read) -> None:
    (notice,) = read(
        "exporters: {debug: }\nservice: {pipelines: {logs: {receivers: [otlp], exporters: [debug]}}}"
    ).notices
    assert notice.startswith("service::pipelines: no pipeline has the connector, so no trace is built")
