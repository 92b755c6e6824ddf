"""The Collector's keys that are not supported here, each with the reason and what to do instead.

Every key of the Collector's components is either implemented or refused by its name here; none is ignored. The keys are
those of Collector v0.155.0.
"""

from __future__ import annotations

from collections.abc import Mapping

from receiver.config.model.exporters import (
    Batch,
    DebugExporter,
    FileExporter,
    OTLPGRPCExporter,
    OTLPHTTPExporter,
    Sending,
    SendingQueue,
)
from receiver.config.model.extensions import FileStorage, HealthCheck
from receiver.config.model.metric_readers import MetricReader, OTLPMetricExporter, Periodic, Prometheus
from receiver.config.model.receivers import CORS, GRPCServer, HTTPServer, ServerAuth
from receiver.config.model.section import Section
from receiver.config.model.service import LogsTelemetry, MetricsTelemetry, Pipeline, Service, Telemetry
from receiver.config.model.tls import TLSClient, TLSServer

_OUT = "take the key out"
_BUFFERS = dict.fromkeys(("read_buffer_size", "write_buffer_size"), f"the libraries choose their buffer sizes; {_OUT}")
_MIDDLEWARES = {"middlewares": f"there are no middlewares here; {_OUT}"}
_CONNECTIONS = dict.fromkeys(
    ("max_idle_conns", "max_idle_conns_per_host", "max_conns_per_host", "idle_conn_timeout", "disable_keep_alives"),
    f"the HTTP library manages connections; {_OUT}",
)
_HTTP1 = dict.fromkeys(
    ("http2_read_idle_timeout", "http2_ping_timeout", "force_attempt_http2"),
    f"requests use HTTP/1.1; {_OUT}",
)
_SERVER = {
    "include_metadata": f"the metadata of requests is not used; {_OUT}",
    "dialer": f"this key is for clients; {_OUT}",
    **_BUFFERS,
    **_MIDDLEWARES,
}
_TLS = {
    "ca_pem": "give a file: ca_file",
    "cert_pem": "give a file: cert_file",
    "key_pem": "give a file: key_file",
    "include_system_ca_certs_pool": "ca_file replaces the system's authorities; put all into one file",
    "max_version": f"both sides use the newest version that they share; {_OUT}",
    "cipher_suites": f"OpenSSL's defaults apply; {_OUT}",
    "include_insecure_cipher_suites": f"OpenSSL's defaults apply; {_OUT}",
    "curve_preferences": f"OpenSSL's defaults apply; {_OUT}",
    "reload_interval": f"certificates are read once, at the start; {_OUT}, and restart after a change",
    "tpm": "give the key as a file: key_file",
}
_SERVED = f"docs/operations.md lists the metrics' fixed names and labels; {_OUT}"
_TIMES = f"the limit is 60s for a request's head, for its body, and between two requests; {_OUT}"
_ZAP = f"each encoding of the log has one form; {_OUT}"
_HEALTH = f"health is served as plain HTTP on its own port; {_OUT}"
_FILE = f"the store is SQLite and compacts itself; {_OUT}"
_ONE_FILE = f"the exporter appends to one file; {_OUT}, and rotate it with logrotate's copytruncate"

UNSUPPORTED_KEYS: Mapping[type[Section], Mapping[str, str]] = {
    GRPCServer: _SERVER,
    HTTPServer: {
        **_SERVER,
        "response_headers": f"responses have OTLP's headers only; {_OUT}",
        "read_timeout": _TIMES,
        "read_header_timeout": _TIMES,
        "write_timeout": _TIMES,
        "idle_timeout": _TIMES,
        "keep_alives_enabled": f"keep-alive is always on; {_OUT}",
    },
    CORS: {},
    ServerAuth: {
        "authenticator": "extensions do not check credentials here; write auth: {bearer_token: …} or auth: {basic: …}",
        "request_params": f"credentials come in the authorization header; {_OUT}",
    },
    TLSServer: {
        **_TLS,
        "ca_file": "this key is for clients; for mutual TLS set client_ca_file",
        "client_ca_file_reload": _TLS["reload_interval"],
        "insecure": "this key is for clients; a server without TLS has no tls block",
    },
    TLSClient: _TLS,
    Sending: {
        "auth": "extensions give no credentials here; write headers: {authorization: Bearer ${env:TOKEN}}",
        **_BUFFERS,
        **_MIDDLEWARES,
    },
    OTLPGRPCExporter: {
        "max_recv_msg_size_mib": f"responses are small; {_OUT}",
    },
    OTLPHTTPExporter: {
        "profiles_endpoint": f"profiles are not supported; {_OUT}",
        "compression_params": f"gzip uses level 6; {_OUT}",
        "cookies": f"cookies are not stored; {_OUT}",
        **_CONNECTIONS,
        **_HTTP1,
    },
    SendingQueue: {
        "wait_for_result": f"a request is acknowledged once it is stored; {_OUT}",
    },
    Batch: {
        "flush_timeout": f"queued items are sent at once; {_OUT}",
        "min_size": f"queued items are sent at once; {_OUT}",
        "partition": f"the metadata of requests is not used; {_OUT}",
    },
    DebugExporter: {
        "sampling_initial": f"everything is shown; {_OUT}",
        "sampling_thereafter": f"everything is shown; {_OUT}",
        "use_internal_logger": f"it writes to standard output; {_OUT}",
        "output_paths": f"it writes to standard output; {_OUT}, or use the file exporter",
        "sending_queue": f"its queue has the defaults; {_OUT}",
    },
    FileExporter: {
        "rotation": _ONE_FILE,
        "group_by": _ONE_FILE,
        "encoding": "there are no encoding extensions here; write format: json or format: proto",
        "compression": f"lines are not compressed; {_OUT}",
        "compression_params": f"lines are not compressed; {_OUT}",
        "flush_interval": f"each batch is written at once; {_OUT}",
        "create_directory": f"its folder must exist; create it, and {_OUT}",
        "directory_permissions": f"its folder must exist; create it, and {_OUT}",
        "sending_queue": f"its queue has the defaults; {_OUT}",
    },
    FileStorage: {
        "timeout": f"a second receiver on the same store fails at once; {_OUT}",
        "compaction": _FILE,
        "directory_permissions": f"a created folder is for its owner only; {_OUT}",
        "recreate": f"an unreadable store is never deleted automatically; {_OUT}",
    },
    HealthCheck: {
        "tls": _HEALTH,
        "cors": _HEALTH,
        "auth": _HEALTH,
        "transport": _HEALTH,
        "max_request_body_size": _HEALTH,
        "compression_algorithms": _HEALTH,
        "response_headers": _HEALTH,
        "read_timeout": _HEALTH,
        "read_header_timeout": _HEALTH,
        "write_timeout": _HEALTH,
        "idle_timeout": _HEALTH,
        "keep_alives_enabled": _HEALTH,
        "response_body": f"the body is the Collector's default body; {_OUT}",
        "check_collector_pipeline": f"it is healthy while requests can be stored; {_OUT}",
        "use_v2": f"there is one version; {_OUT}",
        "http": "write endpoint and path one level up",
        "grpc": f"grpc.health.v1 is served on the gRPC port of the otlp receiver; {_OUT}",
        "component_health": f"it is healthy while requests can be stored; {_OUT}",
        **_SERVER,
    },
    Pipeline: {
        "processors": "there are no processors here; batching and memory limits need none; take the key out",
    },
    Service: {},
    Telemetry: {
        "traces": f"the program does not trace itself; {_OUT}",
        "resource": f"its own metrics have service.name and service.version; {_OUT}",
    },
    LogsTelemetry: {
        "development": _ZAP,
        "disable_caller": _ZAP,
        "disable_stacktrace": _ZAP,
        "sampling": f"lines that a client can cause are rate-limited already; {_OUT}",
        "output_paths": f"the log goes to standard error; {_OUT}, and redirect that",
        "error_output_paths": f"the log goes to standard error; {_OUT}, and redirect that",
        "initial_fields": _ZAP,
        "processors": f"the log goes to standard error; {_OUT}",
        "disable_zap_resource": _ZAP,
    },
    MetricsTelemetry: {
        "views": _SERVED,
    },
    MetricReader: {},
    Periodic: {
        "producers": f"the reader reads the program's own metrics only; {_OUT}",
        "cardinality_limits": _SERVED,
    },
    Prometheus: {
        "with_resource_constant_labels": _SERVED,
        "translation_strategy": _SERVED,
    },
    OTLPMetricExporter: {
        "certificate": f"the system's authorities are trusted; {_OUT}",
        "client_certificate": f"client certificates are not supported here; {_OUT}",
        "client_key": f"client certificates are not supported here; {_OUT}",
        "tls": "write the endpoint with https://; the system's authorities are trusted",
        "headers_list": "write headers",
        "compression": f"pushes are gzipped; {_OUT}",
        "temporality_preference": f"pushes are cumulative; {_OUT}",
        "default_histogram_aggregation": f"histograms have explicit buckets; {_OUT}",
    },
}

# Remedies for components that many files have, by section and type. Others get one remedy for each section.
_COMPONENTS: Mapping[str, Mapping[str, str]] = {
    "exporters": {
        "nop": "leave the exporter out",
        "logging": "its new name is debug",
    },
    "connectors": {"forward": "name its exporters in the first pipeline"},
    "extensions": {
        "zpages": "the commands `sessions`, `tree` and `queue` show the state; take it out",
        "pprof": "the commands `sessions`, `tree` and `queue` show the state; take it out",
        "memory_limiter": "memory is limited without it; take it out",
        "healthcheckv2": "use health_check",
        "bearertokenauth": "write auth: {bearer_token: …} at a receiver's protocol, headers at an exporter",
        "basicauth": "write auth: {basic: …} at a receiver's protocol, headers at an exporter",
        "oauth2client": "write headers at the exporter, or send through a Collector",
        "headers_setter": "write headers at the exporter",
    },
}
_PROCESSORS: Mapping[str, str] = {
    "batch": "sending_queue::batch of each exporter batches requests; take it out",
    "memory_limiter": "memory is limited without it; take it out",
}


def unsupported_key(section: type[Section] | None, key: str) -> str:
    """Why a block does not support a key of the Collector, and what to do; empty for a key that neither has."""
    kinds = section.__mro__ if section is not None else ()
    return next((UNSUPPORTED_KEYS[kind][key] for kind in kinds if key in UNSUPPORTED_KEYS.get(kind, {})), "")


def component_remedy(section: str, kind: str) -> str:
    """What to do about a component that many files have and this program has not; empty for any other."""
    return _COMPONENTS.get(section, {}).get(kind, "")


def processor_remedy(kind: str) -> str:
    """What to do about a processor."""
    return _PROCESSORS.get(kind, "put it into a Collector in front or behind; take it out here")
