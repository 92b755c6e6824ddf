"""Configurations as a user of the Collector would write them: good ones, and bad ones that are refused.

A good one is a text; a bad one is a text, the key path that the error names, and a part of what it says. `SEEN` are the
bad ones that the JSON Schema finds too, so that an editor underlines them.
"""

OUT = "exporters: {otlp_grpc: {endpoint: 'b:4317'}}\n"
GRPC = "receivers: {otlp: {protocols: {grpc: {%s}}}}"
HTTP = "receivers: {otlp: {protocols: {http: {%s}}}}"
TO = "exporters: {otlp_grpc: {endpoint: 'b:4317', %s}}"
POST = "exporters: {otlp_http: {endpoint: 'http://b:4318', %s}}"
AGENT = "connectors: {agenttrace: {%s}}"
PIPES = OUT + "service: {pipelines: {%s}}"
OWN = "service: {telemetry: {%s}}"

GOOD = {
    "nothing": "",
    "sections without a value": "receivers:\nconnectors:\nexporters:\nextensions:\nservice:\n",
    "components without a value": "receivers: {otlp: }\nexporters: {debug: }\nextensions: {health_check: }",
    "a receiver with both protocols": "receivers: {otlp: {protocols: {grpc: , http: }}}",
    "a receiver with one protocol": "receivers: {otlp: {protocols: {http: {endpoint: '0.0.0.0:4318'}}}}",
    "every address": GRPC % "endpoint: ':4317'",
    "an IPv6 address": GRPC % "endpoint: '[::1]:4317'",
    "an address out of variables": GRPC % "endpoint: '${env:MY_POD_IP:-localhost}:${env:PORT:-4317}'",
    "a size out of a variable": GRPC % "max_recv_msg_size_mib: '${env:SIZE:-16}'",
    "transport": GRPC % "transport: tcp, max_concurrent_streams: 100",
    "keepalive": GRPC
    % "keepalive: {server_parameters: {max_connection_age: 11s, time: 30s}, enforcement_policy: {min_time: 10s}}",
    "server tls": GRPC % "tls: {cert_file: /c.pem, key_file: /k.pem, client_ca_file: /ca.pem, min_version: '1.2'}",
    "server tls 1.3": HTTP % "tls: {cert_file: /c.pem, key_file: /k.pem, min_version: 1.3}",
    "bearer token": GRPC % "auth: {bearer_token: '${env:TOKEN:-secret}'}",
    "basic auth": HTTP % "auth: {basic: {username: me, password: secret}}",
    "cors": HTTP % "cors: {allowed_origins: ['https://*.example.com'], allowed_headers: [x-a], max_age: 7200}",
    "paths": HTTP % "traces_url_path: /t, metrics_url_path: m, logs_url_path: /l",
    "compression algorithms": HTTP % "max_request_body_size: 1048576, compression_algorithms: ['', gzip]",
    "durations": AGENT % "settle: 0, idle_timeout: 1h30m, inactivity_timeout: 500ms, max_trace_age: 1.5h",
    "content": AGENT % "capture_content: [prompts, arguments, results, paths, titles, errors]",
    "no content": AGENT % "capture_content: []",
    "everything of the connector": AGENT
    % "trace_mode: turn, child_sessions: linked, remote_parent: link, max_spans_per_trace: 5, mcp_servers: [a_b], "
    "builtin_tools: [x_y], infer: false, conventions: [gen_ai, openinference], adopt_spans: false, live_markers: true",
    "a named connector": "connectors: {agenttrace/mine: {settle: 1s}}",
    "old names": "exporters: {otlp: {endpoint: 'b:4317'}, otlphttp: {endpoint: 'http://b'}}",
    "old and new names": "exporters: {otlp: {endpoint: 'a:1'}, otlp_grpc: {endpoint: 'b:1'}}",
    "plaintext by scheme": "exporters: {otlp_grpc: {endpoint: 'http://b:4317'}}",
    "dns and unix": "exporters: {otlp_grpc: {endpoint: 'dns:///b:1'}, otlp_grpc/2: {endpoint: 'unix:///b.sock'}}",
    "client tls": TO
    % "tls: {ca_file: /ca, cert_file: /c, key_file: /k, server_name_override: x, insecure_skip_verify: false}",
    "insecure": TO % "tls: {insecure: true, insecure_skip_verify: true}",
    "insecure_skip_verify over HTTP": POST % "tls: {insecure_skip_verify: true, min_version: '1.3'}",
    "headers": TO % "headers: {authorization: 'Bearer ${env:TOKEN:-x}', X-Scope-OrgID: dev}",
    "a list of headers": TO % "headers: [{name: authorization, value: '${env:TOKEN:-x}'}, {name: x-a, value: b}]",
    "levels as the Collector prints them": "exporters: {debug: {verbosity: Detailed}}\n"
    + OWN % "metrics: {level: Normal}",
    "no compression": TO % "compression: none, timeout: 12s, wait_for_ready: true, balancer_name: round_robin",
    "client keepalive": TO
    % "keepalive: {time: 30s, timeout: 10s, permit_without_stream: true}, user_agent: me, authority: x",
    "retry": TO % "retry_on_failure: {enabled: true, initial_interval: 1s, randomization_factor: 0.7, multiplier: 1.3, "
    "max_interval: 60s, max_elapsed_time: 10m}",
    "no retry": TO % "retry_on_failure: {enabled: false}",
    "queue": TO
    % "sending_queue: {enabled: true, num_consumers: 2, queue_size: 5000, sizer: items, storage: file_storage}",
    "batch": TO % "sending_queue: {batch: {sizer: items, max_size: 1000}, block_on_overflow: true}",
    "a queue in a named store": TO % "sending_queue: {storage: file_storage/q}"
    + "\nextensions: {file_storage/q: {directory: /q, fsync: false}}",
    "otlp_http": POST % "encoding: json, traces_endpoint: 'http://c/t', proxy_url: 'http://p:3128', timeout: 1m",
    "only a traces endpoint": "exporters: {otlp_http: {traces_endpoint: 'https://b/v1/traces'}}",
    "debug": "exporters: {debug: {verbosity: detailed}}",
    "file": "exporters: {file: {path: /tmp/x.json, format: proto, append: true}}",
    "health check": "extensions: {health_check: {endpoint: '0.0.0.0:13133', path: /health}}",
    "store": "extensions: {file_storage: {directory: /d, create_directory: false, retention: 24h, max_size_mib: 100}}",
    "no extensions": "service: {extensions: []}",
    "an extension that is named twice": "service: {extensions: [admin, admin]}",
    "practically never": AGENT % "max_trace_age: 876000h",
    "some extensions": "extensions: {health_check: , admin: }\nservice: {extensions: [health_check]}",
    "pipelines": PIPES
    % "logs: {receivers: [otlp], exporters: [agenttrace]}, traces: {receivers: [agenttrace], exporters: [otlp_grpc]}",
    "several pipelines of a signal": PIPES
    % "logs: {receivers: [otlp], exporters: [agenttrace]}, logs/2: {receivers: [otlp], exporters: [otlp_grpc]}, "
    "traces: {receivers: [agenttrace], exporters: [otlp_grpc]}",
    "no connector": PIPES % "logs: {receivers: [otlp], exporters: [otlp_grpc]}",
    "an exporter that is not used": "exporters: {debug: , file: {path: x}}\n"
    "service: {pipelines: {logs: {receivers: [otlp], exporters: [debug]}}}",
    "two receivers": "receivers: {otlp: {protocols: {grpc: }}, otlp/2: {protocols: {http: }}}",
    "log level": OWN % "logs: {level: DEBUG, encoding: json}",
    "no metrics": OWN % "metrics: {level: none}",
    "metrics address": OWN % "metrics: {level: detailed, address: '0.0.0.0:8889'}",
    "a pull reader": OWN
    % "metrics: {readers: [{pull: {exporter: {prometheus: {host: h, port: 1, without_units: true}}}}]}",
    "a pull reader on IPv6": OWN % "metrics: {readers: [{pull: {exporter: {prometheus: {host: '::1', port: 1}}}}]}",
    "a push reader": OWN
    % "metrics: {readers: [{periodic: {interval: 5000, exporter: {otlp: {protocol: grpc, endpoint: 'm:4317'}}}}]}",
    "a list out of a variable": AGENT % "mcp_servers: '${env:SERVERS:-[a, b]}', infer: '${env:INFER:-false}'",
    "a block out of a variable": "connectors: {agenttrace: '${env:AGENT:-}'}",
    "anchors": "exporters:\n  otlp_grpc: &b {endpoint: 'x:1', timeout: 9s}\n  otlp_grpc/2: {<<: *b, endpoint: 'y:1'}",
    "keys that are paths": "exporters::otlp_grpc::endpoint: b:4317\nconnectors::agenttrace: {settle: 1s}",
    "keys that are paths in a section": "exporters: {otlp_grpc/x::endpoint: 'b:1', otlp_grpc/x::tls::insecure: true}",
    "keys that are paths in a block": TO % "tls::insecure: true, sending_queue::batch::max_size: 10",
    "keys that are paths in a map": PIPES % "logs::receivers: [otlp], logs::exporters: [otlp_grpc]",
    "a required block by paths": OWN
    % "metrics: {readers: [{periodic: {exporter::otlp: {protocol: grpc, endpoint: 'm:4317'}}}]}",
}

BAD = {
    "a misspelled section": ("exporter: {debug: }", "exporter", "did you mean exporters?"),
    "a misspelled key": (
        GRPC % "endpont: 'localhost:1'",
        "receivers::otlp::protocols::grpc::endpont",
        "did you mean endpoint?",
    ),
    "a misspelled protocol": (
        "receivers: {otlp: {protocols: {grcp: }}}",
        "receivers::otlp::protocols::grcp",
        "did you mean grpc?",
    ),
    "a misspelled connector's key": (
        AGENT % "idle_timout: 5s",
        "connectors::agenttrace::idle_timout",
        "did you mean idle_timeout?",
    ),
    "a misspelled component": (
        "exporters: {otlp_grcp: {endpoint: 'b:1'}}",
        "exporters::otlp_grcp",
        "did you mean otlp_grpc?",
    ),
    "another's receiver": ("receivers: {filelog: {}}", "receivers::filelog", "known here: otlp"),
    "a processor": ("processors: {batch: }", "processors::batch", "sending_queue::batch"),
    "a pipeline's processor": (
        PIPES % "logs: {receivers: [otlp], processors: [batch], exporters: [otlp_grpc]}",
        "service::pipelines::logs::processors",
        "take the key out",
    ),
    "a number for a duration": (AGENT % "settle: 10", "connectors::agenttrace::settle", "write 10s for seconds"),
    "a fraction for a duration": (AGENT % "settle: 1.5", "connectors::agenttrace::settle", "write 1.5s for seconds"),
    "a duration without a unit": (AGENT % "settle: '10'", "connectors::agenttrace::settle", "is not a duration"),
    "a day": (AGENT % "max_trace_age: 1d", "connectors::agenttrace::max_trace_age", "is not a duration"),
    "a negative duration": (AGENT % "settle: -5s", "connectors::agenttrace::settle", "is negative"),
    "no time": (TO % "timeout: 0s", "exporters::otlp_grpc::timeout", "must be longer than 0"),
    "a thousand years": (AGENT % "max_trace_age: 1000000h", "connectors::agenttrace::max_trace_age", "100 years"),
    "more than gRPC counts": (GRPC % "max_recv_msg_size_mib: 4096", "receivers::otlp::protocols::grpc", "at most 2047"),
    "too many streams": (GRPC % "max_concurrent_streams: 9999999999", "receivers::otlp::protocols::grpc", "at most 2"),
    "too many consumers": (TO % "sending_queue: {num_consumers: 5000}", "exporters::otlp_grpc", "at most 1000"),
    "yes": (AGENT % "infer: yes", "connectors::agenttrace::infer", "must be true or false, not 'yes'"),
    "text for a number": (
        AGENT % "max_spans_per_trace: many",
        "connectors::agenttrace::max_spans_per_trace",
        "a whole number",
    ),
    "a list for text": (GRPC % "endpoint: [a]", "receivers::otlp::protocols::grpc::endpoint", "must be text"),
    "text for a list": (AGENT % "mcp_servers: one", "connectors::agenttrace::mcp_servers", "must be a list"),
    "a list for a block": ("receivers: {otlp: [grpc]}", "receivers::otlp", "must be a block"),
    "a host without a port": (
        GRPC % "endpoint: localhost",
        "receivers::otlp::protocols::grpc::endpoint",
        "is not host:port",
    ),
    "a URL to listen on": (
        GRPC % "endpoint: 'http://localhost:4317'",
        "receivers::otlp::protocols::grpc::endpoint",
        "is not host:port",
    ),
    "no protocols": ("receivers: {otlp: {protocols: }}", "receivers::otlp::protocols", "name grpc, http or both"),
    "an exporter without an endpoint": ("exporters: {otlp_grpc: }", "exporters::otlp_grpc::endpoint", "is required"),
    "a URL without a scheme": (
        "exporters: {otlp_http: {endpoint: 'b:4318'}}",
        "exporters::otlp_http::endpoint",
        "is not a URL",
    ),
    "an unknown compression": (
        TO % "compression: snappy",
        "exporters::otlp_grpc::compression",
        "'snappy' is not one of",
    ),
    "no queue": (
        TO % "sending_queue: {enabled: false}",
        "exporters::otlp_grpc::sending_queue::enabled",
        "take the key out",
    ),
    "an authenticator": (TO % "auth: {authenticator: basicauth}", "exporters::otlp_grpc::auth", "write headers"),
    "a level of logs": (OWN % "logs: {level: verbose}", "service::telemetry::logs::level", "is not one of debug"),
    "an unknown pipeline": (
        PIPES % "trace: {receivers: [otlp], exporters: [otlp_grpc]}",
        "service::pipelines::trace",
        "did you mean traces?",
    ),
    "a pipeline without receivers": (
        PIPES % "logs: {exporters: [otlp_grpc]}",
        "service::pipelines::logs",
        "at least one receiver",
    ),
    "a pipeline without exporters": (
        PIPES % "logs: {receivers: [otlp]}",
        "service::pipelines::logs",
        "at least one exporter",
    ),
    "an undefined exporter": (
        PIPES % "logs: {receivers: [otlp], exporters: [otlp_http]}",
        "service::pipelines::logs::exporters",
        "which is not configured",
    ),
    "an undefined extension": ("service: {extensions: [pprof]}", "service::extensions", "which is not configured"),
    "a connector that gives nothing": (
        PIPES % "logs: {receivers: [otlp], exporters: [agenttrace]}",
        "service::pipelines",
        "not used in any traces pipeline as receiver",
    ),
    "a connector that gets nothing": (
        PIPES % "traces: {receivers: [agenttrace], exporters: [otlp_grpc]}",
        "service::pipelines",
        "not used in any pipeline as exporter",
    ),
    "a connector that gives logs": (
        PIPES % "logs: {receivers: [agenttrace], exporters: [otlp_grpc]}, "
        "logs/2: {receivers: [otlp], exporters: [agenttrace]}",
        "service::pipelines",
        "emits traces, not logs",
    ),
    "a cycle": (
        PIPES % "traces: {receivers: [otlp, agenttrace], exporters: [agenttrace, otlp_grpc]}",
        "service::pipelines::traces",
        "feeds itself",
    ),
    "two endpoints at one address": (
        "receivers: {otlp: {protocols: {grpc: {endpoint: 'localhost:4318'}, http: }}}",
        "receivers::otlp::protocols::http::endpoint",
        "is taken by receivers::otlp::protocols::grpc::endpoint",
    ),
    "a loop": (
        "exporters: {otlp_grpc: {endpoint: 'localhost:4317'}}",
        "exporters::otlp_grpc::endpoint",
        "own receiver",
    ),
    "two stores": (
        "extensions: {file_storage: , file_storage/2: }",
        "extensions::file_storage/2",
        "another one of this type",
    ),
}

SEEN = {
    "a misspelled section",
    "a misspelled key",
    "a misspelled protocol",
    "a misspelled connector's key",
    "a misspelled component",
    "another's receiver",
    "a processor",
    "a pipeline's processor",
    "a number for a duration",
    "a fraction for a duration",
    "a duration without a unit",
    "a day",
    "yes",
    "more than gRPC counts",
    "too many streams",
    "too many consumers",
    "text for a number",
    "a list for text",
    "text for a list",
    "a list for a block",
    "a host without a port",
    "a URL to listen on",
    "an exporter without an endpoint",
    "a URL without a scheme",
    "an unknown compression",
    "no queue",
    "an authenticator",
    "a level of logs",
    "an unknown pipeline",
}
