"""The `debug` exporter: prints a trace as a tree when its root span arrives.

Children are sent before their root, so the spans of a trace are buffered until then. The buffer is bounded: when it is
full, the oldest trace is printed unfinished. It is in memory only; a terminal is for looking at.
"""

from __future__ import annotations

import asyncio
import io
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Literal, cast

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from rich.console import Console, RenderableType

from receiver.errors import PermanentExportError
from receiver.model import Signal
from receiver.terminal.tree import by_trace, is_root, spans_of, trace_tree

MAX_TRACES = 1000
MAX_SPANS = 100_000
MAX_PRINTED_TRACES = 10_000  # ids that are remembered, to tell late spans from those of a new trace

Trace = dict[bytes, Span]


class DebugExporter:
    """`verbosity` as the Collector's: `basic` prints a line for each batch, `normal` trees, `detailed` trees with
    every attribute. Logs and metrics are a line in all of them.
    """

    def __init__(
        self,
        name: str,
        console: Console,
        *,
        verbosity: Literal["basic", "normal", "detailed"] = "normal",
        max_traces: int = MAX_TRACES,
        max_spans: int = MAX_SPANS,
    ) -> None:
        self.name = name
        self._console = console
        self._verbosity = verbosity
        self._max_traces = max_traces
        self._max_spans = max_spans
        self._buffered: OrderedDict[bytes, Trace] = OrderedDict()
        self._printed: OrderedDict[bytes, None] = OrderedDict()

    async def start(self) -> None:
        """Does nothing: the console is open."""

    async def export(self, signal: Signal, body: bytes, items: int) -> None:
        """Print the finished traces. Raises PermanentExportError for a malformed request or a closed terminal."""
        if signal != "traces" or self._verbosity == "basic":
            await self._print([f"{signal}: {items} records"])
            return
        try:
            request = ExportTraceServiceRequest.FromString(body)
        except DecodeError:
            raise PermanentExportError("not a protobuf Export request for traces") from None
        await self._print(self._add(request))

    async def stop(self) -> None:
        """Print the traces that are still buffered: their roots will not arrive in this process."""
        rest = [self._tree(spans, "unfinished trace") for spans in self._buffered.values()]
        self._buffered.clear()
        with suppress(PermanentExportError):  # the terminal is closed
            await self._print(rest)

    def _add(self, request: ExportTraceServiceRequest) -> list[RenderableType]:
        trees: list[RenderableType] = []
        for trace_id, spans in by_trace(spans_of([request])).items():
            if trace_id in self._printed:
                trees.append(self._tree({span.span_id: span for span in spans}, "late for trace"))
                continue
            buffered = self._buffered.setdefault(trace_id, {})
            buffered.update((span.span_id, span) for span in spans)
            if any(is_root(span) for span in spans):
                trees.append(self._finish(trace_id))
        while self._buffered and (len(self._buffered) > self._max_traces or self._count() > self._max_spans):
            # Not remembered as printed: its later spans are buffered again, and shown below their root.
            _, oldest = self._buffered.popitem(last=False)
            trees.append(self._tree(oldest, "trace without a root so far"))
        return trees

    def _finish(self, trace_id: bytes) -> RenderableType:
        self._printed[trace_id] = None
        if len(self._printed) > MAX_PRINTED_TRACES:
            self._printed.popitem(last=False)
        return self._tree(self._buffered.pop(trace_id))

    def _count(self) -> int:
        return sum(map(len, self._buffered.values()))

    def _tree(self, spans: Trace, title: str = "") -> RenderableType:
        return trace_tree(list(spans.values()), title=title, details=self._verbosity == "detailed")

    async def _print(self, trees: Iterable[RenderableType]) -> None:
        """In a thread: a paused terminal must not block the receiver."""
        pages = list(trees)
        if not pages:
            return
        try:
            await asyncio.to_thread(self._write, pages)
        except (OSError, ValueError) as error:  # ValueError: the file is closed
            raise PermanentExportError(f"cannot print: {error}") from None

    def _write(self, trees: list[RenderableType]) -> None:
        # Rich raises SystemExit on a broken pipe (`| head`), so this writes itself.
        page = _Page(self._console.encoding)
        console = _console_for(page, self._console)
        for tree in trees:
            console.print(tree, highlight=False, markup=False)
            console.print()
        self._console.file.write(page.getvalue())
        self._console.file.flush()


class _Page(io.StringIO):
    """A text buffer with the terminal's encoding, by which Rich chooses the characters of the lines."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding


def _console_for(page: _Page, terminal: Console) -> Console:
    """A console that writes to the page in the terminal's width and colours."""
    return Console(
        file=page,
        width=terminal.width,
        color_system=cast(Any, terminal.color_system),
        force_terminal=terminal.is_terminal,
        no_color=terminal.no_color,
        legacy_windows=False,
    )
