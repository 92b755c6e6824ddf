"""Every key of the Collector's components (v0.155.0) is supported here, or refused by its name with a reason."""

from collections.abc import Callable, Iterator

import pytest

from receiver import config
from receiver.config import Settings
from receiver.config.model.exporters import KeepaliveClient
from receiver.config.model.metric_readers import Prometheus
from receiver.config.model.receivers import KeepaliveEnforcementPolicy, KeepaliveServerParameters
from receiver.config.model.section import Section
from receiver.config.schema.unsupported_keys import UNSUPPORTED_KEYS, unsupported_key

Read = Callable[..., Settings]

SERVER = "endpoint transport dialer tls auth middlewares include_metadata"
TLS = """ca_file ca_pem include_system_ca_certs_pool cert_file cert_pem key_file key_pem min_version max_version
cipher_suites include_insecure_cipher_suites reload_interval curve_preferences tpm"""
HTTP_SERVER = f"""{SERVER} cors max_request_body_size response_headers compression_algorithms read_timeout
read_header_timeout write_timeout idle_timeout keep_alives_enabled"""
SENDING = """endpoint timeout sending_queue retry_on_failure tls headers auth compression middlewares read_buffer_size
write_buffer_size"""
# The mapstructure tags of configgrpc, confighttp, configtls, configauth, configretry, exporterhelper, the components
# and service/telemetry.
COLLECTORS: dict[type[Section], str] = {
    config.Protocols: "grpc http",
    config.GRPCServer: f"""{SERVER} max_recv_msg_size_mib max_concurrent_streams read_buffer_size write_buffer_size
        keepalive""",
    config.HTTPServer: f"{HTTP_SERVER} traces_url_path metrics_url_path logs_url_path",
    config.KeepaliveServer: "server_parameters enforcement_policy",
    KeepaliveServerParameters: "max_connection_idle max_connection_age max_connection_age_grace time timeout",
    KeepaliveEnforcementPolicy: "min_time permit_without_stream",
    config.CORS: "allowed_origins allowed_headers exposed_headers max_age",
    config.ServerAuth: "authenticator request_params",
    config.TLSServer: f"{TLS} client_ca_file client_ca_file_reload",
    config.TLSClient: f"{TLS} insecure insecure_skip_verify server_name_override",
    config.OTLPGRPCExporter: f"{SENDING} keepalive wait_for_ready user_agent balancer_name authority",
    KeepaliveClient: "time timeout permit_without_stream",
    config.OTLPHTTPExporter: f"""{SENDING} proxy_url compression_params max_idle_conns max_idle_conns_per_host
        max_conns_per_host idle_conn_timeout disable_keep_alives http2_read_idle_timeout http2_ping_timeout cookies
        force_attempt_http2 traces_endpoint metrics_endpoint logs_endpoint profiles_endpoint encoding""",
    config.Retry: """enabled initial_interval randomization_factor multiplier max_interval max_elapsed_time""",
    config.SendingQueue: """enabled wait_for_result sizer queue_size block_on_overflow storage num_consumers batch""",
    config.Batch: "flush_timeout sizer min_size max_size partition",
    config.DebugExporter: """verbosity sampling_initial sampling_thereafter use_internal_logger output_paths
        sending_queue""",
    config.FileExporter: """path append rotation format encoding compression compression_params flush_interval group_by
        create_directory directory_permissions""",
    config.FileStorage: "directory timeout compaction fsync create_directory directory_permissions recreate",
    config.HealthCheck: f"{HTTP_SERVER} path response_body check_collector_pipeline use_v2 grpc http component_health",
    config.Service: "telemetry extensions pipelines",
    config.Pipeline: "receivers processors exporters",
    config.Telemetry: "logs metrics traces resource",
    config.LogsTelemetry: """level development encoding disable_caller disable_stacktrace sampling output_paths
        error_output_paths initial_fields processors disable_zap_resource""",
    config.MetricsTelemetry: "level readers views address",
    config.MetricReader: "periodic pull",
    Prometheus: """host port without_scope_info without_units without_type_suffix with_resource_constant_labels""",
}


def keys() -> Iterator[tuple[type[Section], str]]:
    return ((section, key) for section, names in COLLECTORS.items() for key in names.split())


def test_each_key_of_the_collector_is_supported_or_refused_with_a_reason(subtests: pytest.Subtests) -> None:
    for section, key in list(keys()):
        with subtests.test(section=section, key=key):
            assert (key in section.model_fields) != bool(unsupported_key(section, key))


def test_no_supported_key_is_listed_as_unsupported() -> None:
    for section, reasons in UNSUPPORTED_KEYS.items():
        assert not set(reasons) & set(section.model_fields)


def test_a_collector_file_is_refused_with_a_remedy_for_each_line(refused: Callable[..., list[str]]) -> None:
    lines = refused("""
receivers:
  otlp: {protocols: {grpc: {endpoint: "0.0.0.0:4317", include_metadata: true}, http: {idle_timeout: 1m}}}
  filelog: {include: [/var/log/*.log]}
processors:
  batch: {timeout: 1s}
  memory_limiter: {check_interval: 1s, limit_mib: 400}
  tail_sampling: {policies: []}
exporters:
  otlp: {endpoint: "b:4317", tls: {insecure: true, reload_interval: 1h}, auth: {authenticator: basicauth}}
  logging: {loglevel: debug}
extensions: {pprof: , basicauth: {client_auth: {username: a, password: b}}}
service:
  extensions: [pprof, basicauth]
  pipelines: {traces: {receivers: [otlp], processors: [batch], exporters: [otlp, logging]}}
  telemetry: {metrics: {level: detailed, views: []}, resource: {service.name: x}}
""")
    messages = dict(line.split(": ", 1) for line in lines)
    assert list(messages) == [
        "processors::batch",
        "processors::memory_limiter",
        "processors::tail_sampling",
        "receivers::otlp::protocols::grpc::include_metadata",
        "receivers::otlp::protocols::http::idle_timeout",
        "receivers::filelog",
        "exporters::otlp::tls::reload_interval",
        "exporters::otlp::auth",
        "exporters::logging",
        "extensions::pprof",
        "extensions::basicauth",
        "service::pipelines::traces::processors",
        "service::telemetry::metrics::views",
        "service::telemetry::resource",
    ]
    assert not any("did you mean" in text for text in messages.values())
