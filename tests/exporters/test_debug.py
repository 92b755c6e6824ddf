"""The debug exporter: a trace is printed when its root arrives, and every span at some time."""

import io

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rich.console import Console

from receiver.errors import PermanentExportError
from receiver.exporters.debug import DebugExporter


class Screen(io.StringIO):
    """The text printed since the last read."""

    def read_new(self):
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


@pytest.fixture
def screen():
    """A terminal of 80 columns without colour."""
    return Screen()


@pytest.fixture
def debug(screen):
    """Make a debug exporter that prints to the screen."""

    def make(**settings):
        return DebugExporter("debug", Console(file=screen, width=80), **settings)

    return make


def traces(*spans):
    """A request of (trace, span, parent, name), each id a small number."""
    request = ExportTraceServiceRequest()
    exported = request.resource_spans.add().scope_spans.add().spans
    for trace, span, parent, name in spans:
        exported.add(
            trace_id=trace.to_bytes(16, "big"),
            span_id=span.to_bytes(8, "big"),
            parent_span_id=parent.to_bytes(8, "big") if parent else b"",
            name=name,
            start_time_unix_nano=span,
            end_time_unix_nano=span,
        )
    return request.SerializeToString()


async def test_a_trace_is_printed_when_its_root_arrives(debug, screen):
    exporter = debug()

    await exporter.export("traces", traces((1, 2, 1, "execute_tool read")), 1)
    assert screen.read_new() == ""

    await exporter.export("traces", traces((1, 1, 0, "invoke_agent build")), 1)
    printed = screen.read_new()
    assert printed.splitlines()[0].startswith("invoke_agent build")
    assert "└── execute_tool read" in printed


async def test_spans_in_the_roots_batch_are_in_its_tree(debug, screen):
    await debug().export("traces", traces((1, 1, 0, "root"), (1, 2, 1, "child"), (2, 1, 0, "other")), 3)

    printed = screen.read_new()
    assert "└── child" in printed
    assert printed.index("root") < printed.index("child") < printed.index("other")


async def test_a_span_after_its_trace_was_printed_is_shown_as_late(debug, screen):
    exporter = debug()
    await exporter.export("traces", traces((1, 1, 0, "root")), 1)
    screen.read_new()

    await exporter.export("traces", traces((1, 9, 1, "straggler")), 1)

    first, second, *_ = screen.read_new().splitlines()
    assert first.startswith("late for trace  0000")
    assert second.startswith("└── straggler")
    assert "parent 0000000000000001 not here" in second


async def test_a_batch_sent_twice_shows_each_span_once(debug, screen):
    exporter = debug()
    for _ in range(2):
        await exporter.export("traces", traces((1, 2, 1, "child")), 1)
    await exporter.export("traces", traces((1, 1, 0, "root")), 1)

    assert screen.read_new().count("child") == 1


async def test_the_oldest_trace_is_printed_unfinished_above_max_traces(debug, screen):
    exporter = debug(max_traces=2)
    for trace in (1, 2, 3):
        await exporter.export("traces", traces((trace, 2, 1, f"call {trace}")), 1)

    printed = screen.read_new()
    assert printed.startswith("trace without a root so far")
    assert "call 1" in printed
    assert "call 2" not in printed


async def test_the_oldest_trace_is_printed_unfinished_above_max_spans(debug, screen):
    exporter = debug(max_spans=3)

    await exporter.export("traces", traces((1, 2, 1, "a"), (1, 3, 1, "b"), (2, 2, 1, "c"), (2, 3, 1, "d")), 4)

    printed = screen.read_new()
    assert "a" in printed
    assert "d" not in printed


async def test_buffered_traces_are_printed_when_the_exporter_stops(debug, screen):
    exporter = debug()
    await exporter.export("traces", traces((1, 2, 1, "call")), 1)

    await exporter.stop()

    assert screen.read_new().startswith("unfinished trace")


async def test_a_session_with_a_remote_parent_finishes_its_trace(debug, screen):
    request = ExportTraceServiceRequest.FromString(traces((1, 1, 7, "invoke_agent build")))
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.add(key="gen_ai.operation.name").value.string_value = "invoke_agent"

    await debug().export("traces", request.SerializeToString(), 1)

    assert "parent 0000000000000007 not here" in screen.read_new()


async def test_logs_and_metrics_are_printed_as_one_line(debug, screen):
    exporter = debug()

    await exporter.export("logs", b"", 12)
    await exporter.export("metrics", b"", 3)

    assert screen.read_new().split("\n\n") == ["logs: 12 records", "metrics: 3 records", ""]


async def test_verbosity_basic_prints_one_line_per_batch(debug, screen):
    await debug(verbosity="basic").export("traces", traces((1, 1, 0, "root")), 1)

    assert screen.read_new().strip() == "traces: 1 records"


async def test_verbosity_detailed_prints_the_attributes(debug, screen):
    request = ExportTraceServiceRequest.FromString(traces((1, 1, 0, "root")))
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.add(key="session.id").value.string_value = "ses_A"

    await debug(verbosity="detailed").export("traces", request.SerializeToString(), 1)

    assert "  session.id: ses_A" in screen.read_new()


async def test_a_closed_terminal_ends_nothing_but_the_export():
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(32, "Broken pipe")

    exporter = DebugExporter("debug", Console(file=Gone()))

    with pytest.raises(PermanentExportError, match=r"cannot print: .*Broken pipe"):
        await exporter.export("traces", traces((1, 1, 0, "root")), 1)

    await exporter.export("traces", traces((2, 2, 1, "buffered")), 1)
    await exporter.stop()


async def test_a_malformed_request_is_a_permanent_error_of_debug(debug):
    with pytest.raises(PermanentExportError):
        await debug().export("traces", b"\xff", 1)


async def test_trees_use_the_terminals_colours_and_encoding():
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = Console(file=out, width=80, force_terminal=True, color_system="standard")

    await DebugExporter("debug", console).export("traces", traces((1, 1, 0, "root"), (1, 2, 1, "child")), 2)

    printed = out.buffer.getvalue().decode("ascii")
    assert "`-- " in printed
    assert "\x1b[1mroot" in printed
