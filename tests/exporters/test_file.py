"""The file exporter: what it appends can be read again."""

import contextlib
import json
import os
import resource
import signal
import stat

import pytest

from receiver.errors import ConfigError, PermanentExportError, RetryableExportError
from receiver.exporters.file import FileExporter
from receiver.recordings.files import read_recordings


async def test_file_has_one_line_of_json_per_batch(tmp_path, started, request_of):
    path = tmp_path / "traces.json"
    exporter = await started(FileExporter("file", path))

    await exporter.export("traces", request_of("a"), 1)
    await exporter.export("logs", b"", 0)

    first, second = map(json.loads, path.read_text().splitlines())
    assert first["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"] == "a"
    assert second == {}


async def test_a_written_file_can_be_replayed(tmp_path, started, request_of):
    path = tmp_path / "traces.jsonl"
    exporter = await started(FileExporter("file", path))
    bodies = [request_of("a", "b"), request_of("c")]
    for body in bodies:
        await exporter.export("traces", body, 1)

    assert [recording.body for recording in read_recordings([path])] == bodies


async def test_proto_format_prefixes_each_message_with_its_length(tmp_path, started, request_of):
    path = tmp_path / "traces.binpb"
    exporter = await started(FileExporter("file", path, format="proto"))
    body = request_of("a")

    await exporter.export("traces", body, 1)

    assert path.read_bytes() == len(body).to_bytes(4, "big") + body


async def test_file_is_appended_to_and_readable_by_its_owner_only(tmp_path, started, request_of):
    path = tmp_path / "traces.json"
    for name in ("first", "second"):
        exporter = await started(FileExporter("file", path))
        await exporter.export("traces", request_of(name), 1)
        await exporter.stop()

    assert len(path.read_text().splitlines()) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_missing_directory_fails_the_start_of_the_file_exporter(tmp_path):
    with pytest.raises(ConfigError, match=r"exporters::file::path: cannot open .*: No such file"):
        await FileExporter("file", tmp_path / "nowhere" / "traces.json").start()


async def test_a_malformed_request_is_a_permanent_error_of_file(tmp_path, started):
    exporter = await started(FileExporter("file", tmp_path / "traces.json"))

    with pytest.raises(PermanentExportError):
        await exporter.export("traces", b"\xff", 1)


async def test_a_write_that_fails_halfway_is_truncated(tmp_path, started, request_of, small_files):
    path = tmp_path / "traces.json"
    exporter = await started(FileExporter("file", path))
    await exporter.export("traces", request_of("a"), 1)
    complete = path.read_bytes()

    with small_files(), pytest.raises(RetryableExportError, match="File too large"):
        await exporter.export("traces", request_of("n" * 100_000), 1)

    assert path.read_bytes() == complete
    await exporter.export("traces", request_of("b"), 1)
    assert len(path.read_text().splitlines()) == 2


@pytest.fixture
def small_files():
    """While it lasts, this process cannot make a file longer than 16 KiB."""

    @contextlib.contextmanager
    def limited():
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16 * 1024, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)

    return limited


async def test_file_exporter_writes_to_a_pipe(tmp_path, started, request_of):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    exporter = await started(FileExporter("file", path))

    await exporter.export("traces", request_of("a"), 1)

    assert b'"name":"a"' in os.read(reading, 65536)
    os.close(reading)
