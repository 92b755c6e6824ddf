"""`build`: builds traces from recordings offline, and prints, writes or sends them."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable, Iterator, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, Literal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rich.console import Console
from rich.progress import Progress, TaskID

from receiver.app.builder_settings import builder_settings
from receiver.cli.config_sources import load_settings
from receiver.cli.console import StdoutConsole, counted, print_error, progress_bar
from receiver.cli.exit_codes import OK
from receiver.codec.encode import spans_request
from receiver.codec.otlp_json import from_protobuf
from receiver.errors import InputError, PermanentExportError
from receiver.model import Request, Span
from receiver.pipeline.offline import Built, build
from receiver.recordings.files import Recording, read_recordings, recorded_files
from receiver.terminal.tree import trace_trees

MAX_REQUEST_SPANS = 1_000  # of a few KB each at most: below gRPC's usual limit of 4 MB


def build_command(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Build the traces of recordings. Raises ReceiverError for bad input, or when the traces cannot be written or
    sent."""
    connector = load_settings(options, environment).connector
    settings = builder_settings(connector)
    files = recorded_files(options.paths)
    with progress_bar() as progress:
        task = progress.add_task("reading", total=len(files))
        built = build(_requests(files, progress, task), settings, adopt_spans=connector.adopt_spans)
        if options.endpoint:
            from receiver.diagnostics.setup import set_up_logs  # imports aiohttp

            progress.remove_task(task)
            set_up_logs("error", "console")  # a backend's remarks are part of the result
            sending = send(built, options.endpoint, options.protocol, options.header, progress)
            result = asyncio.run(sending)
    if options.endpoint:
        print(result)
    else:
        write(built, options.format, options.output)
    if options.format == "tree" and not built.spans:
        print_error("the recordings contain no session")
    return OK


def _requests(files: list[Path], progress: Progress, task: TaskID) -> Iterator[Request]:
    for done, path in enumerate(files):
        progress.update(task, completed=done, description=f"reading {path.name}")
        for recording in read_recordings([path]):
            yield Request(recording.signal, recording.body, 0)
    progress.update(task, completed=len(files), description="building")


def write(built: Built, form: str, output: str | None) -> None:
    """Write the traces, as `tree`, `otlp-json` or `otlp-proto`, to a file or to standard output. Raises InputError."""
    with _Output(output) as out:
        if form == "tree":
            _write_trees(built, out)
            return
        for body in built.requests():
            out.write(from_protobuf("traces", body).encode() + b"\n" if form == "otlp-json" else body)


def _write_trees(built: Built, out: BinaryIO) -> None:
    text = TextIOWrapper(out, encoding="utf-8", write_through=True)
    console = Console(file=text, soft_wrap=False) if out is not sys.stdout.buffer else StdoutConsole()
    shown = trace_trees(ExportTraceServiceRequest.FromString(body) for body in built.requests())
    for tree in shown:
        console.print(tree)
    text.detach()


class _Output:
    """Standard output, or a file. Errors while writing become InputError with the file's name."""

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
    built: Built,
    endpoint: str,
    protocol: Literal["grpc", "http/protobuf", "http/json"] | None,
    headers: Iterable[str],
    progress: Progress,
) -> str:
    """Send the traces; a line with the result. Raises ConfigError or InputError for an endpoint or a header
    (`NAME=VALUE`) that cannot be used, RetryableExportError if the backend cannot be reached, and PermanentExportError
    if it refused anything."""
    from receiver.cli.replay import parse_headers, replay  # imports gRPC and aiohttp

    requests = list(_recordings(built))
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
    return f"{len(built.spans)} spans in {counted(traces, 'trace')} sent to {endpoint}"


def _recordings(built: Built) -> Iterator[Recording]:
    traces: dict[bytes, list[Span]] = {}
    for span in built.spans:
        traces.setdefault(span.trace_id, []).append(span)
    for trace, spans in traces.items():
        for begin in range(0, len(spans), MAX_REQUEST_SPANS):
            yield Recording(f"trace {trace.hex()}", "traces", spans_request(spans[begin : begin + MAX_REQUEST_SPANS]))
    for body in built.untouched:
        yield Recording("spans handed on", "traces", body)
