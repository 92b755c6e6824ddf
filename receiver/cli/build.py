"""Where finished traces go that `build` made: to standard output or a file, as trees or as OTLP, or to an endpoint."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from typing import BinaryIO

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rich.console import Console
from rich.progress import Progress

from receiver.cli.console import Shown
from receiver.cli.replay import Protocol, parse_headers, replay
from receiver.codec.encode import spans_request
from receiver.codec.otlp_json import from_protobuf
from receiver.errors import InputError, PermanentExportError
from receiver.model import Span
from receiver.pipeline.offline import Built
from receiver.recordings.files import Recording
from receiver.terminal.tree import trace_trees

BATCH = 1_000  # spans in a request: a few KB each at most, so that it stays below gRPC's usual limit of 4 MB


def write(built: Built, form: str, output: str | None) -> None:
    """Write what was built, as `tree`, `otlp-json` or `otlp-proto`. Raises InputError where that cannot be done."""
    with _Output(output) as out:
        if form == "tree":
            _write_trees(built, out)
            return
        for body in built.requests():
            out.write(from_protobuf("traces", body).encode() + b"\n" if form == "otlp-json" else body)


def _write_trees(built: Built, out: BinaryIO) -> None:
    text = TextIOWrapper(out, encoding="utf-8", write_through=True)
    console = Console(file=text, soft_wrap=False) if out is not sys.stdout.buffer else Shown()
    shown = trace_trees(ExportTraceServiceRequest.FromString(body) for body in built.requests())
    for tree in shown:
        console.print(tree)
    text.detach()


class _Output:
    """Standard output, or a file that is written whole or named in the error."""

    def __init__(self, name: str | None) -> None:
        self._name = name
        self._file: BinaryIO | None = None

    def __enter__(self) -> BinaryIO:
        if self._name is None:
            return sys.stdout.buffer
        try:
            self._file = open(self._name, "wb")
        except OSError as error:
            raise InputError(f"--output {self._name}: cannot be written ({error.strerror})") from error
        return self._file

    def __exit__(self, kind: object, raised: object, trace: object) -> None:
        if self._file is None:
            sys.stdout.buffer.flush()
            return
        try:
            self._file.close()
        except OSError as error:
            raised = error
        if isinstance(raised, OSError):
            raise InputError(f"--output {self._name}: cannot be written ({raised.strerror})") from raised


async def send(
    built: Built, endpoint: str, protocol: Protocol | None, headers: Iterable[str], progress: Progress
) -> str:
    """Send what was built; what to say of it. Raises ConfigError for an endpoint or a header (`NAME=VALUE`) that cannot
    be used, RetryableExportError where nobody takes it, and PermanentExportError where anything of it was refused."""
    requests = list(_requests(built))
    given = parse_headers(headers)
    task = progress.add_task("sending", total=len(requests))
    result = await replay(
        requests, endpoint, progress=lambda _: progress.update(task, advance=1), protocol=protocol, headers=given
    )
    if result.refused:
        first = result.refused[0]
        raise PermanentExportError(
            f"{endpoint}: refused {len(result.refused)} of {len(requests)} requests, the first: {first.reason}"
        )
    traces = len({span.trace_id for span in built.spans})
    return f"{len(built.spans)} spans in {traces} {'trace' if traces == 1 else 'traces'} sent to {endpoint}"


def _requests(built: Built) -> Iterator[Recording]:
    traces: dict[bytes, list[Span]] = {}
    for span in built.spans:
        traces.setdefault(span.trace_id, []).append(span)
    for trace, spans in traces.items():
        for begin in range(0, len(spans), BATCH):
            yield Recording(f"trace {trace.hex()}", "traces", spans_request(spans[begin : begin + BATCH]))
    for body in built.untouched:
        yield Recording("spans that passed through", "traces", body)
