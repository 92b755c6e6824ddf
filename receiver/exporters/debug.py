"""The `debug` exporter: prints each finished trace as a tree, when its root comes.

Children leave before their root, so the spans of a trace are held until then. What is held is bounded: the
oldest trace is printed unfinished when there are too many. Nothing here is a way to keep spans; a terminal is
for looking at.
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
_REMEMBERED = 10_000  # traces that were printed, so that their late spans are told from a new trace's

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
        self._held: OrderedDict[bytes, Trace] = OrderedDict()
        self._printed: OrderedDict[bytes, None] = OrderedDict()

    async def start(self) -> None:
        """Nothing to open: the console is given."""

    async def export(self, signal: Signal, body: bytes, items: int) -> None:
        """Print what is finished. Raises PermanentExportError when it is no request, or cannot be printed."""
        if signal != "traces" or self._verbosity == "basic":
            await self._print([f"{signal}: {items} records"])
            return
        try:
            request = ExportTraceServiceRequest.FromString(body)
        except DecodeError:
            raise PermanentExportError("not a protobuf Export request for traces") from None
        await self._print(self._take(request))

    async def stop(self) -> None:
        """Print what is still held: no root will come before this process ends."""
        rest = [self._tree(spans, "unfinished trace") for spans in self._held.values()]
        self._held.clear()
        with suppress(PermanentExportError):  # with the terminal gone there is nobody to tell
            await self._print(rest)

    def _take(self, request: ExportTraceServiceRequest) -> list[RenderableType]:
        trees: list[RenderableType] = []
        for trace_id, spans in by_trace(spans_of([request])).items():
            if trace_id in self._printed:
                trees.append(self._tree({span.span_id: span for span in spans}, "late for trace"))
                continue
            held = self._held.setdefault(trace_id, {})
            held.update((span.span_id, span) for span in spans)
            if any(is_root(span) for span in spans):
                trees.append(self._finish(trace_id))
        while self._held and (len(self._held) > self._max_traces or self._count() > self._max_spans):
            # Not remembered as printed: what is still to come is held again, and shown below its root.
            _, oldest = self._held.popitem(last=False)
            trees.append(self._tree(oldest, "trace without a root so far"))
        return trees

    def _finish(self, trace_id: bytes) -> RenderableType:
        self._printed[trace_id] = None
        if len(self._printed) > _REMEMBERED:
            self._printed.popitem(last=False)
        return self._tree(self._held.pop(trace_id))

    def _count(self) -> int:
        return sum(map(len, self._held.values()))

    def _tree(self, spans: Trace, title: str = "") -> RenderableType:
        return trace_tree(list(spans.values()), title=title, details=self._verbosity == "detailed")

    async def _print(self, trees: Iterable[RenderableType]) -> None:
        """In a thread: a terminal that was paused must not hold up the receiver."""
        listed = list(trees)
        if not listed:
            return
        try:
            await asyncio.to_thread(self._write, listed)
        except (OSError, ValueError) as error:  # ValueError: the file is closed
            raise PermanentExportError(f"cannot print: {error}") from None

    def _write(self, trees: list[RenderableType]) -> None:
        # Rich answers a broken pipe (`| head`) with SystemExit, so the writing is done here.
        page = _Page(self._console.encoding)
        drawing = _like(self._console, page)
        for tree in trees:
            drawing.print(tree, highlight=False, markup=False)
            drawing.print()
        self._console.file.write(page.getvalue())
        self._console.file.flush()


class _Page(io.StringIO):
    """Text for a terminal of another encoding, which decides what lines can be drawn with."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding


def _like(console: Console, page: _Page) -> Console:
    return Console(
        file=page,
        width=console.width,
        color_system=cast(Any, console.color_system),
        force_terminal=console.is_terminal,
        no_color=console.no_color,
        legacy_windows=False,
    )
