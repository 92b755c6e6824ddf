"""Validation errors: the key path, the problem and the remedy."""

from collections.abc import Callable

import pytest

from receiver.config import Settings

Read = Callable[..., Settings]
Refused = Callable[..., list[str]]


def test_all_problems_are_reported_one_line_each(refused: Refused) -> None:
    lines = refused("""
receivers: {otlp: {protocols: {grpc: {endpont: "a:1"}, http: {tls: }}}}
connectors: {agenttrace: {idle_timeout: 10, capture_content: [erors], trace_mode: sesion, infer: yes}}
exporters: {jeager: }
processors: {batch: }
service: {extension: [], pipelines: {logs: {receivers: [otpl], processors: [batch]}}}
""")
    assert lines == [
        "processors::batch: there are no processors here: sending_queue::batch of each exporter batches requests; "
        "take it out",
        "receivers::otlp::protocols::grpc::endpont: unknown key; did you mean endpoint?",
        "receivers::otlp::protocols::http::tls::cert_file: is required; set it",
        "receivers::otlp::protocols::http::tls::key_file: is required; set it",
        "connectors::agenttrace::idle_timeout: 10 has no unit; write 10s for seconds",
        "connectors::agenttrace::trace_mode: 'sesion' is not one of session or turn",
        "connectors::agenttrace::capture_content::0: 'erors' is not one of prompts, arguments, results, paths, titles "
        "or errors",
        "connectors::agenttrace::infer: must be true or false, not 'yes'",
        "exporters::jeager: unknown type 'jeager' in exporters; known here: otlp_grpc, otlp_http, debug, file; "
        "put a Collector behind for the others",
        "service::pipelines::logs::processors: is not supported here: there are no processors here; batching and "
        "memory limits need none; take the key out",
        "service::extension: unknown key; did you mean extensions?",
    ]


GRPC = "receivers::otlp::protocols::grpc"
OTLP = "exporters::otlp_grpc"
READERS = "service::telemetry::metrics::readers"
PUSH = "{periodic: {exporter: {otlp: {%s}}}}"
PULL = "{exporter: {prometheus: {host: localhost, port: %d}}}"
PUSH_TO_B = PUSH % "protocol: grpc, endpoint: 'b:4317', %s"


def test_a_wrong_value_is_reported_with_its_key_path_and_the_remedy(
    refused: Refused, subtests: pytest.Subtests
) -> None:
    for key, value, message in [
        (f"{GRPC}::endpoint", "4317", "must be text"),
        (f"{GRPC}::endpoint", "localhost", "is not host:port"),
        (f"{GRPC}::endpoint", "http://localhost:4317", "is not host:port"),
        (f"{GRPC}::endpoint", "localhost:70000", "is not host:port"),
        (f"{GRPC}::endpoint", "user:secret@localhost:4317", "credentials do not belong in an address"),
        (f"{GRPC}::endpoint", "'::1:4317'", "write [::1]:4317"),
        (f"{GRPC}::max_recv_msg_size_mib", "0", "0 is out of range; must be above 0"),
        (f"{GRPC}::max_recv_msg_size_mib", "'64'", "must be a whole number, not '64'"),
        (f"{GRPC}::max_recv_msg_size_mib", "6.5", "must be a whole number, not 6.5"),
        (f"{GRPC}::max_concurrent_streams", "-1", "must be at least 0"),
        (f"{GRPC}::tls", "5", "must be a block"),
        (f"{GRPC}::tls", "{cert_file: c, key_file: k, min_version: 1.1}", "'1.1' is not one of 1.2 or 1.3"),
        (f"{GRPC}::auth", "{}", "set either bearer_token or basic"),
        (f"{GRPC}::auth", "{bearer_token: a, basic: {username: a, password: b}}", "set either bearer_token or basic"),
        (f"{GRPC}::auth::authenticator", "x", "extensions do not check credentials here"),
        (f"{GRPC}::auth::bearer_token", "''", "is empty"),
        (f"{GRPC}::keepalive::server_parameters::tiem", "1s", "did you mean time?"),
        ("receivers::otlp::protocols::http::compression_algorithms", "[brotli]", "'brotli' is not one of"),
        ("receivers::otlp", "5", "must be a block"),
        ("receivers::otlp/", "{}", "is not a component id"),
        ("connectors::agenttrace::settle", "-1s", "is negative"),
        ("connectors::agenttrace::idle_timeout", "0", "must be longer than 0"),
        ("connectors::agenttrace::mcp_servers", "one", "must be a list"),
        ("connectors::agenttrace::mcp_servers", "['']", "is empty"),
        ("connectors::agenttrace::conventions", "[]", "name at least one"),
        (f"{OTLP}::compression", "zstd", "'zstd' is not one of gzip or none"),
        (f"{OTLP}::endpoint", "b", "is not host:port"),
        (f"{OTLP}::endpoint", "http://b:4318/v1/traces", "use otlp_http"),
        (f"{OTLP}::endpoint", "ftp://b:1", "unknown scheme"),
        (f"{OTLP}::headers", '{a: "b\\nc"}', "the value of a must be printable ASCII"),
        (f"{OTLP}::headers", "{a: ü}", "the value of a must be printable ASCII"),
        (f"{OTLP}::headers", "[a]", "must be a map"),
        (f"{OTLP}::headers", "{'a b': c}", "is not a header name"),
        (f"{OTLP}::tls::cert_file", "x", "belong together"),
        (f"{OTLP}::tls::ca_pem", "x", "is not supported here: give a file: ca_file"),
        (f"{OTLP}::retry_on_failure::multiplier", "0.5", "must be at least 1"),
        (f"{OTLP}::retry_on_failure::randomization_factor", "2", "must be at most 1"),
        (f"{OTLP}::sending_queue::enabled", "false", "cannot be disabled"),
        (f"{OTLP}::sending_queue::storage", "redis", 'references extension "redis" which is not a file_storage; known'),
        (f"{OTLP}::sending_queue::block_on_overflow", "false", "never dropped"),
        (f"{OTLP}::sending_queue::sizer", "requests", "'requests' is not supported here; only items is"),
        (f"{OTLP}::retry_on_failure::max_elapsed_time", "10s", "is less than a wait (initial_interval"),
        (f"{OTLP}::tls::min_version", "1.3", "gRPC's library chooses the TLS version itself"),
        (f"{OTLP}::tls::insecure_skip_verify", "true", "gRPC's library always verifies"),
        (f"{OTLP}::balancer_name", "ring_hash", "'ring_hash' is not one of pick_first or round_robin"),
        (f"{OTLP}::endpoint", "'unix://'", "names no host"),
        (f"{OTLP}::auth::authenticator", "bearertokenauth", "write headers:"),
        (f"{GRPC}::transport", "unix", "'unix' is not supported here; only tcp is"),
        (f"{GRPC}::tls", "{cert_file: c, key_file: k, min_version: 1.3}", "gRPC's library chooses the TLS version"),
        (f"{GRPC}::tls", "{cert_file: c, key_file: k, insecure: true}", "a server without TLS has no tls block"),
        ("receivers::otlp::protocols::http::traces_url_path", "v1/logs", "two signals have the same path"),
        ("exporters::file", "{path: x, append: false}", "never deleted"),
        ("exporters::file", "{path: x, rotation: {max_days: 3}}", "logrotate"),
        ("exporters::otlp_http", "{logs_endpoint: 'http://b/x'}", "is used for traces and has no URL for them"),
        ("exporters::logging", "{}", "its new name is debug"),
        ("exporters::jaeger", "{}", "known here: otlp_grpc, otlp_http, debug, file"),
        ("extensions::zpages", "{}", "unknown type 'zpages' in extensions; the commands `sessions`"),
        ("extensions::bearertokenauth", "{token: x}", "write auth: {bearer_token: …}"),
        ("processors::k8sattributes", "{}", "put it into a Collector in front or behind"),
        ("processors", "", "there are no processors here; take the key out"),
        ("service::telemetry::traces::level", "none", "the program does not trace itself"),
        ("service::telemetry::logs::output_paths", "[stdout]", "standard error"),
        ("exporters::otlp_http", "{}", "endpoint is missing"),
        ("exporters::otlp_http::endpoint", "b:4318", "is not a URL"),
        ("exporters::otlp_http::endpoint", "http://b:x", "is not a URL"),
        ("exporters::file", "{}", "is required"),
        ("exporters::debug::verbosity", "loud", "'loud' is not one of basic, normal or detailed"),
        ("extensions::health_check::path", "health", "write /health"),
        ("extensions::health_chek", "{}", "did you mean health_check?"),
        ("extensions::file_storage/2", "{directory: /x}", "there is another one of this type"),
        ("service::extensions", "[pprof]", 'references extension "pprof" which is not configured'),
        ("service::telemetry::logs::level", "loud", "'loud' is not one of debug, info, warn or error"),
        (READERS, f"[{{pull: {PULL % 1}, {PUSH_TO_B[1:] % ''}]", "set either periodic or pull"),
        (READERS, f"[{{pull: {PULL % 1}}}, {{pull: {PULL % 2}}}]", "metrics are served at one address"),
        (READERS, f"[{{pull: {PULL % 70000}}}]", "must be at most 65535"),
        (READERS, "[{pull: {exporter: {prometheus: {without_units: false}}}}]", "docs/operations.md lists"),
        (READERS, "[{}]", "set either periodic or pull"),
        (READERS, "{periodic: {}}", "must be a list"),
        (READERS, "[{periodic: {exporter: {otlp: {endpoint: 'b:4317'}}}}]", "is required"),
        (READERS, "[{periodic: {exporter: {otlp: {protocol: grpc, endpoint: 'b:1'}, console: }}}]", "unknown key"),
        (READERS, f"[{PUSH % 'protocol: grpc, endpoint: b'}]", "is not host:port"),
        (READERS, f"[{PUSH % 'protocol: http/protobuf, endpoint: b'}]", "is not a URL"),
        (READERS, f"[{PUSH % 'protocol: http/json, endpoint: b'}]", "is not one of grpc or http/protobuf"),
        (READERS, f"[{PUSH_TO_B % 'certificate: x'}]", "the system's authorities are trusted"),
        (READERS, f"[{PUSH_TO_B % 'header: x'}]", "did you mean headers?"),
        (READERS, f"[{PUSH_TO_B % 'headers: [{name: x}]'}]", "a list of {name: …, value: …}"),
        (READERS, "[" + PUSH_TO_B % "headers: {x: ''}" + "]", "is empty"),
        (READERS, f"[{PUSH_TO_B % 'timeout: 10s'}]", "must be a whole number"),
        (READERS, f"[{PUSH % 'protocol: http/protobuf, endpoint: http://b, insecure: true'}]", "is for grpc"),
        ("exporter::debug", "{}", "did you mean exporters?"),
    ]:
        with subtests.test(key=key, value=value, message=message):
            files = "extensions: {file_storage: }" if key.startswith("extensions::file") else ""
            if key.startswith(f"{OTLP}::") and key != f"{OTLP}::endpoint":
                files = "exporters: {otlp_grpc: {endpoint: 'b:4317'}}"
            (line,) = refused(files, (f"{key}={value}",))
            place, _, text = line.partition(": ")
            assert key.startswith(place) or place.startswith(key)
            assert message in text


def test_a_receiver_without_a_protocol_is_refused(refused: Refused) -> None:
    assert refused("receivers: {otlp: {protocols: {}}}") == [
        "receivers::otlp::protocols: has no protocol; name grpc, http or both"
    ]


def test_a_section_of_the_wrong_type_is_one_problem(refused: Refused, subtests: pytest.Subtests) -> None:
    for section, body in [("receivers", "[otlp]"), ("exporters", "5"), ("service", "[]"), ("connectors", "x")]:
        with subtests.test(section=section, body=body):
            (line,) = refused(f"{section}: {body}")
            assert line.startswith(f"{section}: must be a")


def test_an_unknown_empty_section_is_refused(refused: Refused, subtests: pytest.Subtests) -> None:
    for body in ["", "{}"]:
        with subtests.test(body=body):
            assert refused(f"exporter: {body}") == ["exporter: unknown section; did you mean exporters?"]


def test_no_error_repeats_a_secret(refused: Refused, subtests: pytest.Subtests) -> None:
    for text in [
        "exporters: {otlp_grpc: {endpoint: 'http://me:hunter2@b:4317'}}",
        "exporters: {otlp_http: {endpoint: 'http://me:hunter2@b:4318'}}",
        "exporters: {otlp_grpc: {endpoint: 'b:1', headers: [hunter2]}}",
        "exporters: {otlp_grpc: {endpoint: 'b:1', headers: {x: [hunter2]}}}",
        "receivers: {otlp: {protocols: {grpc: {auth: hunter2}}}}",
        "receivers: {otlp: {protocols: {grpc: {auth: {bearer_token: {x: hunter2}}}}}}",
        "receivers: {otlp: {protocols: {grpc: {auth: {basic: hunter2}}}}}",
        "receivers: {otlp: {protocols: {grpc: {auth: '${env:P}'}}}}",
    ]:
        with subtests.test(text=text):
            assert "hunter2" not in "".join(refused(text, P="hunter2"))


def test_old_exporter_names_and_upper_case_levels_are_accepted(read: Read) -> None:
    settings = read("""
receivers: {otlp/in: {protocols: {http: {endpoint: ":4318", tls: {cert_file: c, key_file: k, min_version: 1.3}}}}}
exporters: {otlp/2: {endpoint: "b:4317"}, otlphttp: {endpoint: "https://b"}}
service: {telemetry: {logs: {level: INFO}}}
""")
    assert settings.graph.built == ("otlp/2", "otlphttp")
    assert settings.service.telemetry.logs.level == "info"
    http = settings.receivers["otlp/in"].protocols.http
    assert http is not None
    assert http.tls is not None
    assert http.tls.min_version == "1.3"
