"""Recorded requests: which files are read, in what order, and the errors for those that cannot be read."""

import gzip
import json
import os

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver.errors import InputError
from receiver.recordings.files import read_recordings, recorded_files


def logs(text):
    """A serialized logs request with one record."""
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add(event_name=text)
    return request.SerializeToString()


def traces(name):
    """A serialized traces request with one span."""
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(name=name, trace_id=b"\1" * 16, span_id=b"\2" * 8)
    return request.SerializeToString()


def logs_json(text):
    """The OTLP/JSON of logs(text)."""
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"eventName": text}]}]}]})


def traces_json(name):
    """The OTLP/JSON of traces(name)."""
    span = {"traceId": "01" * 16, "spanId": "02" * 8, "name": name}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})


def read(*paths):
    return [(recording.signal, recording.body) for recording in read_recordings(paths)]


def refused(*paths):
    with pytest.raises(InputError) as caught:
        list(read_recordings(paths))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_is_read_in_order_of_file_name(tmp_path):
    (tmp_path / "0002-traces.pb").write_bytes(traces("b"))
    (tmp_path / "0001-logs-http-json.json").write_text(logs_json("a"))
    (tmp_path / "0010-logs.pb.gz").write_bytes(gzip.compress(logs("c")))

    recordings = list(read_recordings([tmp_path]))

    assert [(r.signal, r.body) for r in recordings] == [
        ("logs", logs("a")),
        ("traces", traces("b")),
        ("logs", logs("c")),
    ]
    assert recordings[0].source == str(tmp_path / "0001-logs-http-json.json")


def test_other_files_in_a_folder_are_ignored(tmp_path):
    (tmp_path / "0001-logs.pb").write_bytes(logs("a"))
    (tmp_path / "index.jsonl").write_text('{"seq": 1, "signal": "logs"}\n')
    (tmp_path / "expected.json").write_text('{\n  "sessions": []\n}')
    (tmp_path / "expected-tree.md").write_text("# tree")
    (tmp_path / "hooks.jsonl.gz").write_bytes(gzip.compress(b'{"hook": "event"}\n'))
    (tmp_path / "broken.jsonl.gz").write_bytes(b"not gzip")
    (tmp_path / "notes.pb").write_bytes(b"\xff")

    assert read(tmp_path) == [("logs", logs("a"))]


def test_recordings_in_subfolders_are_found(tmp_path):
    for folder in ("b/otlp", "a/otlp"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "0001-logs.pb").write_bytes(logs(folder))

    assert read(tmp_path) == [("logs", logs("a/otlp")), ("logs", logs("b/otlp"))]


def test_paths_are_read_in_the_order_given(tmp_path):
    for name in ("0001-logs.pb", "0002-logs.pb"):
        (tmp_path / name).write_bytes(logs(name))

    assert read(tmp_path / "0002-logs.pb", tmp_path / "0001-logs.pb") == [
        ("logs", logs("0002-logs.pb")),
        ("logs", logs("0001-logs.pb")),
    ]


@pytest.mark.parametrize("name", ["telemetry.json", "telemetry.jsonl", "telemetry.jsonl.gz"])
@pytest.mark.parametrize("in_folder", [True, False])
def test_the_output_of_the_file_exporter_is_read_line_by_line(tmp_path, name, in_folder):
    text = f"{logs_json('a')}\n\n{traces_json('b')}\n".encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)

    recordings = list(read_recordings([tmp_path if in_folder else path]))

    assert [(r.source, r.signal, r.body) for r in recordings] == [
        (f"{path}:1", "logs", logs("a")),
        (f"{path}:3", "traces", traces("b")),
    ]


@pytest.mark.parametrize("in_folder", [True, False])
def test_a_request_on_several_lines_is_read(tmp_path, in_folder):
    path = tmp_path / "pretty.json"
    path.write_text(json.dumps(json.loads(logs_json("a")), indent=2))

    assert read(tmp_path if in_folder else path) == [("logs", logs("a"))]


def test_a_file_given_by_name_may_have_any_name(tmp_path):
    path = tmp_path / "capture.txt"
    path.write_text(logs_json("a"))

    assert read(path) == [("logs", logs("a"))]


def test_recorded_files_lists_files_without_reading_them(tmp_path):
    (tmp_path / "0001-logs.pb").write_bytes(b"\xff")

    assert recorded_files([tmp_path]) == [tmp_path / "0001-logs.pb"]


def test_a_missing_path_is_an_error(tmp_path):
    assert refused(tmp_path / "nowhere") == f"{tmp_path}/nowhere: no such file or folder"


def test_a_folder_without_recordings_is_an_error(tmp_path):
    (tmp_path / "README.md").write_text("hello")

    assert refused(tmp_path).startswith(f"{tmp_path}: no recorded OTLP requests in this folder; expected NNNN-")


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("0001-logs.pb", b"\xff\xff", "not a protobuf Export request for logs"),
        ("0001-logs.json", b"{", "not an OTLP/JSON Export request for logs"),
        ("0001-traces.json", b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz"}]}]}]}', "traceId"),
        ("0001-logs.pb.gz", b"\xff\xff", "not valid gzip"),
        ("0001-logs.pb.gz", gzip.compress(b"a" * 100, mtime=0)[:-12], "not valid gzip"),
        ("notes.txt", b"hello", "not a recording; expected NNNN-"),
        ("empty.json", b"\n", "the file is empty"),
        ("other.json", b'{"seq": 1}', "expected one Export request a line"),
        ("broken.json", b'{"resourceLogs": [\n', "not JSON"),
        ("traces.pb", traces("a"), "not a recording; expected NNNN-"),
    ],
)
def test_a_file_given_by_name_that_is_no_recording_is_an_error(tmp_path, name, content, error):
    path = tmp_path / name
    path.write_bytes(content)

    message = refused(path)

    assert message.startswith(str(path))
    assert error in message


def test_a_truncated_line_is_an_error_after_the_lines_before_it_are_read(tmp_path):
    path = tmp_path / "telemetry.jsonl"
    path.write_text(f"{logs_json('a')}\n{logs_json('b')[:20]}")

    recordings = read_recordings([path])

    assert next(recordings).body == logs("a")
    with pytest.raises(InputError, match=r"telemetry\.jsonl:2: not JSON.*remove the line"):
        next(recordings)


def test_the_error_names_the_line_with_invalid_ids(tmp_path):
    path = tmp_path / "telemetry.jsonl"
    path.write_text(traces_json("a").replace("01" * 16, "nothex"))

    assert f"{path}:1: " in refused(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_is_an_error(tmp_path):
    path = tmp_path / "0001-logs.pb"
    path.write_bytes(logs("a"))
    path.chmod(0)

    assert refused(path) == f"{path}: cannot read: Permission denied"


def test_a_folder_named_like_a_recording_is_not_read(tmp_path):
    (tmp_path / "0001-logs.pb").mkdir()

    assert "no recorded OTLP requests" in refused(tmp_path)


def test_a_broken_link_is_an_error(tmp_path):
    (tmp_path / "0001-logs.pb").symlink_to(tmp_path / "gone")

    assert refused(tmp_path) == f"{tmp_path}/0001-logs.pb: cannot read: No such file or directory"
