"""The command line: exit codes, one-line errors, and output for other programs."""

import http.server
import os
import pty
import re
import subprocess
import sys
import threading

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver import __version__
from receiver.codec.otlp_json import to_protobuf
from receiver.core.state.settings import BuilderSettings
from receiver.pipeline.offline import build
from tests.support.otlp_requests import DATA, recorded, span_ids, spans_in
from tests.support.processes import sigterm_after

CAPTURE = str(DATA / "parallel-nested")


def command(*arguments, **settings):
    """A command in its own process."""
    return subprocess.Popen([sys.executable, "-m", "receiver", *arguments], **settings)


def a_file(home, text, name="config.yaml"):
    (home / name).write_text(text)
    return str(home / name)


# usage


def test_version_and_help_exit_with_0(run):
    assert run("--version") == (0, f"opencode-trace-receiver {__version__}\n".encode(), "")
    code, out, _ = run("--help")
    assert code == 0
    for name in (b"run", b"validate", b"print-config", b"build", b"replay", b"sessions", b"tree", b"flush"):
        assert name in out


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("dance",),
        ("build",),
        ("build", "x", "--format", "xml"),
        ("replay", "x", "--rate", "0"),
        ("run", "--confg", "x"),
    ],
)
def test_wrong_usage_exits_with_2_and_one_line_that_names_help(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, b"")
    assert err.startswith("opencode-trace-receiver")
    assert err.count("\n") == 1
    assert "--help" in err


# imports


@pytest.mark.process
@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("print-config",), ("build", CAPTURE, "--output", os.devnull)]
)
def test_commands_without_a_server_import_neither_grpc_nor_aiohttp(arguments):
    """They take most of a second to import."""
    program = (
        "import atexit, sys\n"
        "from receiver.cli.main import run_command\n"
        "atexit.register(lambda: print({'aiohttp', 'grpc'} & sys.modules.keys(), file=sys.stderr))\n"
        "sys.exit(run_command(sys.argv[1:]))"
    )
    process = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120)
    assert (process.returncode, process.stderr) == (0, "set()\n")


# errors in files and settings


@pytest.mark.parametrize("name", ["validate", "print-config", "run", "build"])
def test_the_error_names_a_configuration_that_cannot_be_read(run, home, name):
    paths = [CAPTURE] if name == "build" else []
    code, out, err = run(name, *paths, "--config", str(home / "missing.yaml"))
    assert (code, out) == (1, b"")
    assert err == (
        f"opencode-trace-receiver: --config {home}/missing.yaml: cannot be read (No such file or directory); "
        "name a YAML file\n"
    )


def test_the_error_names_a_configuration_that_is_not_utf_8(run, home):
    (home / "binary").write_bytes(b"\xff\xfe\x00")
    code, _, err = run("validate", "--config", str(home / "binary"))
    assert code == 1
    assert "cannot be read (it is not UTF-8)" in err


def test_validate_names_every_error_by_its_key_path(run, home):
    file = a_file(
        home,
        "receivers: {otlp: {protocols: {grpc: {endpoint: nowhere}}}}\n"
        "connectors: {agenttrace: {settel: 2s, idle_timeout: soon}}\n",
    )
    code, out, err = run("validate", "--config", file, "--set", "exporters::debug::verbosity=loud")
    assert (code, out) == (1, b"")
    lines = err.splitlines()
    assert [line.split(": ")[1] for line in lines] == sorted(
        [
            "receivers::otlp::protocols::grpc::endpoint",
            "connectors::agenttrace::settel",
            "connectors::agenttrace::idle_timeout",
            "exporters::debug::verbosity",
        ],
        key=lambda path: next(i for i, line in enumerate(lines) if path in line),
    )
    assert len(lines) == 4
    assert "did you mean settle?" in err


def test_build_without_adopt_spans_also_outputs_the_received_spans(run):
    known = recorded("plugin-spans")
    paths = [str(DATA / "plugin-spans"), "--format", "otlp-proto"]
    adopted = span_ids([run("build", *paths)[1]])
    beside = span_ids([run("build", *paths, "--set", "connectors::agenttrace::adopt_spans=false")[1]])
    assert sorted(beside) == sorted([*adopted, *span_ids(r.body for r in known if r.signal == "traces")])


def test_validate_accepts_the_default_configuration(run, home):
    assert run("validate") == (0, b"the configuration is valid\n", "")


def test_print_config_shows_every_default_and_no_secret(run, home):
    file = a_file(
        home,
        "receivers: {otlp: {protocols: {grpc: {auth: {bearer_token: s3cret}}}}}\n"
        "exporters: {otlp_grpc: {endpoint: 'b:4317', headers: {authorization: s3cret}}}\n",
    )
    code, out, err = run("print-config", "--config", file)
    assert (code, err) == (0, "")
    assert b"s3cret" not in out
    assert b"idle_timeout: 1m" in out
    assert b"retention: 168h" in out
    again = a_file(home, out.decode(), "again.yaml")
    assert run("validate", "--config", again)[0] == 0


@pytest.mark.parametrize(
    ("setting", "path"),
    [
        ("exporters::otlp_grpc::tls::ca_file=/nowhere.pem", "exporters::otlp_grpc::tls"),
        ("exporters::file::path=/nowhere/at/all.json", "exporters::file::path"),
        ("receivers::otlp::protocols::http::tls={cert_file: /nowhere.pem, key_file: /nowhere.key}", "receivers::otlp"),
    ],
)
def test_an_error_at_the_start_names_the_whole_key_path(run, home, setting, path):
    parts = "exporters: {otlp_grpc: {endpoint: 'localhost:1'}}" if "otlp_grpc" in setting else ""
    free = [f"receivers::otlp::protocols::{name}::endpoint=localhost:0" for name in ("grpc", "http")]
    side = ["extensions::health_check::endpoint=localhost:0", "extensions::admin::endpoint=localhost:0"]
    given = [*free, *side, "service::telemetry::metrics::address=localhost:0", setting]
    arguments = [word for one in given for word in ("--set", one)]
    with sigterm_after(60):
        code, _, err = run("run", "--config", a_file(home, parts), *arguments)
    assert code == 1
    last = err.splitlines()[-1]
    assert last.startswith(f"opencode-trace-receiver: {path}")
    assert last.count(path) == 1
    assert "Traceback" not in err


@pytest.mark.process
def test_debug_shows_the_traceback_of_an_error(home):
    quiet = command("validate", "--set", "nonsense=1", stderr=subprocess.PIPE, text=True)
    asked = command("validate", "--debug", "--set", "nonsense=1", stderr=subprocess.PIPE, text=True)
    assert "Traceback" not in quiet.communicate(timeout=120)[1]
    assert "Traceback" in asked.communicate(timeout=120)[1]
    assert (quiet.returncode, asked.returncode) == (1, 1)


def test_an_unexpected_error_is_one_line(run, monkeypatch):
    def fails(*_):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("receiver.cli.configuration.load_settings", fails)
    assert run("validate") == (
        1,
        b"",
        "opencode-trace-receiver: unexpected ZeroDivisionError: oh (a defect; --debug shows the traceback)\n",
    )


def test_an_interrupt_exits_with_130(run, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("receiver.cli.configuration.load_settings", interrupted)
    assert run("validate") == (130, b"", "")


# build


def expected():
    return spans_in(build(recorded("parallel-nested"), BuilderSettings()).requests())


def test_build_prints_a_tree(run):
    code, out, err = run("build", CAPTURE)
    assert (code, err) == (0, "")
    assert out.startswith(b"invoke_agent build")
    assert out.count(b"execute_tool task") == 6


def test_build_as_json_prints_one_request_a_line(run):
    code, out, err = run("build", CAPTURE, "--format", "otlp-json")
    assert (code, err) == (0, "")
    assert spans_in(to_protobuf("traces", line) for line in out.splitlines()) == expected()


def test_build_as_protobuf_prints_one_request(run, home):
    code, out, err = run("build", CAPTURE, "--format", "otlp-proto")
    assert (code, err) == (0, "")
    assert spans_in([ExportTraceServiceRequest.FromString(out).SerializeToString()]) == expected()


@pytest.mark.parametrize("form", ["tree", "otlp-json", "otlp-proto"])
def test_build_output_writes_the_same_bytes_to_a_file(run, home, form):
    _, shown, _ = run("build", CAPTURE, "--format", form)
    assert run("build", CAPTURE, "--format", form, "--output", str(home / "out")) == (0, b"", "")
    assert (home / "out").read_bytes() == shown


@pytest.mark.parametrize("place", ["missing/out", "."])
def test_the_error_names_an_output_that_cannot_be_written(run, home, place):
    code, out, err = run("build", CAPTURE, "--output", str(home / place))
    assert (code, out) == (1, b"")
    assert err.startswith(f"opencode-trace-receiver: --output {home / place}: cannot be written (")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")
@pytest.mark.parametrize("form", ["tree", "otlp-proto"])
def test_a_full_disk_gives_a_one_line_error(run, form):
    code, _, err = run("build", CAPTURE, "--format", form, "--output", "/dev/full")
    assert code == 1
    assert err == "opencode-trace-receiver: --output /dev/full: cannot be written (No space left on device)\n"


def test_build_uses_the_connectors_settings(run):
    _, whole, _ = run("build", CAPTURE)
    _, cut, _ = run("build", CAPTURE, "--set", "connectors::agenttrace::max_spans_per_trace=10")
    assert cut.count(b"invoke_agent build") > whole.count(b"invoke_agent build")


@pytest.mark.parametrize("path", ["missing", "empty", "odd.txt"])
def test_the_error_names_a_path_without_recordings(run, home, path):
    (home / "empty").mkdir()
    a_file(home, "hello", "odd.txt")
    code, out, err = run("build", str(home / path))
    assert (code, out) == (1, b"")
    assert err.startswith(f"opencode-trace-receiver: {home / path}: ")
    assert err.count("\n") == 1


def test_build_reports_recordings_without_a_session(run, home):
    (home / "0001-logs.pb").write_bytes(b"")
    code, out, err = run("build", str(home / "0001-logs.pb"))
    assert (code, out) == (0, b"")
    assert err == "opencode-trace-receiver: the recordings contain no session\n"


# replay


def test_replay_without_a_receiver_names_the_recording_where_it_stopped(run):
    code, out, err = run("replay", CAPTURE, "--endpoint", "localhost:1")
    assert (code, out) == (1, b"")
    assert "0001-logs.pb after 0 requests (is a receiver running there?)" in err
    assert err.count("\n") == 1


def test_replay_prints_each_reason_of_refusals_once_with_its_count(run):
    class NoOTLP(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), NoOTLP) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        code, out, err = run("replay", CAPTURE, "--endpoint", f"http://127.0.0.1:{server.server_port}/v1/logs")
        server.shutdown()
    assert (code, err.count("\n")) == (1, 1)
    assert re.search(r"0001-logs\.pb and \d+ more: refused \(.*HTTP 501", err)
    assert out.startswith(b"0 requests sent, ")


class Guarded(http.server.BaseHTTPRequestHandler):
    """Accepts requests with the token."""

    def log_message(self, *_):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200 if self.headers["Authorization"] == "Bearer s3cret" else 401)
        self.end_headers()


@pytest.fixture
def guarded():
    """The endpoint of a receiver that requires a token."""
    with http.server.HTTPServer(("127.0.0.1", 0), Guarded) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_replay_to_a_receiver_with_a_token_names_the_header_option(run, guarded):
    code, out, err = run("replay", CAPTURE, "--endpoint", guarded)
    assert (code, out.split()[0]) == (1, b"0")
    assert err.count("\n") == 1
    assert err.endswith("HTTP 401 (give --header authorization='Bearer …'))\n")

    code, out, err = run("replay", CAPTURE, "--endpoint", guarded, "--header", "Authorization=Bearer s3cret")
    assert (code, err) == (0, "")
    assert out.endswith(b" requests sent, 0 refused\n")


def test_replay_does_not_print_an_invalid_header(run):
    code, _, err = run("replay", CAPTURE, "--header", "s3cret")
    assert (code, err) == (1, "opencode-trace-receiver: --header: expected NAME=VALUE\n")


def test_replay_of_one_request_prints_the_singular(run, guarded, home):
    (home / "0001-logs.pb").write_bytes(b"")
    _, out, _ = run("replay", str(home), "--endpoint", guarded, "--header", "authorization=Bearer s3cret")
    assert out == b"1 request sent, 0 refused\n"


# pipes and terminals


@pytest.mark.process
@pytest.mark.parametrize(
    "arguments", [("build", CAPTURE, "--format", "otlp-json"), ("build", CAPTURE), ("print-config",)]
)
def test_a_closed_output_pipe_is_no_error(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    process = command(*arguments, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")


@pytest.mark.process
def test_progress_is_shown_on_a_terminal_only():
    piped = command("build", CAPTURE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert piped.communicate(timeout=120)[1] == b""
    ours, theirs = pty.openpty()
    shown = command("build", CAPTURE, stdout=subprocess.DEVNULL, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    text = b""
    try:
        while piece := os.read(ours, 4096):
            text += piece
    except OSError:  # a terminal reports the end of the output so
        pass
    os.close(ours)
    assert shown.wait(20) == 0
    assert b"reading" in text or b"building" in text
