"""The effective configuration, redacted."""

from collections.abc import Callable

import yaml

from receiver.config import Settings, effective, load

Read = Callable[..., Settings]

FULL = """
receivers:
  otlp:
    protocols:
      grpc:
        tls: {cert_file: c, key_file: k, client_ca_file: ca}
        auth: {bearer_token: hunter2}
      http:
        cors: {allowed_origins: ["*"], max_age: 60}
        auth: {basic: {username: me, password: hunter2}}
connectors: {agenttrace: {settle: 1s500ms, max_trace_age: 90m, mcp_servers: ["a$b", "yes", "1e5", "0123"]}}
exporters:
  otlp/2: {endpoint: "b:4317", headers: {authorization: Bearer hunter2}, retry_on_failure: {multiplier: 2}}
  otlp_http: {endpoint: "http://b", headers: {x-key: hunter2}}
  file: {path: "/tmp/${x}"}
extensions: {admin: {endpoint: "localhost:1"}}
service:
  extensions: [admin]
  telemetry:
    logs: {level: debug}
    metrics:
      readers:
        - periodic:
            interval: 5000
            exporter: {otlp: {protocol: grpc, endpoint: "m:4317", headers: {authorization: Bearer hunter2}}}
        - periodic:
            exporter: {otlp: {protocol: http/protobuf, endpoint: "http://m", headers: [{name: k, value: hunter2}]}}
""".replace("${x}", "$${x}")


def test_the_effective_configuration_has_no_secrets(read: Read) -> None:
    settings = read(FULL)
    shown = effective(settings)
    assert "hunter2" not in shown + repr(settings) + str(settings)
    assert shown.count("[REDACTED]") == 6


def test_the_effective_configuration_loads_to_the_same_settings_except_secrets(read: Read) -> None:
    for text in ("", FULL.replace("Bearer hunter2", "hunter2").replace("hunter2", '"[REDACTED]"')):
        settings = read(text)
        assert load([("again", effective(settings))], [], {}) == settings


def test_the_effective_configuration_has_go_durations_and_all_defaults(read: Read) -> None:
    tree = yaml.safe_load(effective(read(FULL)))
    assert tree["connectors"]["agenttrace"]["settle"] == "1s500ms"
    assert tree["connectors"]["agenttrace"]["max_trace_age"] == "1h30m"
    assert tree["connectors"]["agenttrace"]["inactivity_timeout"] == "10m"
    assert tree["exporters"]["otlp/2"]["sending_queue"]["queue_size"] == 100_000
    assert tree["service"]["pipelines"]["traces"] == {
        "receivers": ["agenttrace"],
        "exporters": ["otlp/2", "otlp_http", "file"],
    }


def test_dollar_signs_in_the_effective_configuration_are_escaped(read: Read) -> None:
    assert "/tmp/$${x}" in effective(read(FULL))


def test_the_query_of_a_url_is_redacted(read: Read) -> None:
    settings = read("exporters: {otlp_http: {traces_endpoint: 'https://b/v1/traces?key=hunter2'}}")
    shown = effective(settings)
    assert "traces_endpoint: https://b/v1/traces?[REDACTED]" in shown
    assert "hunter2" not in shown
    load([("again", shown)], [], {})
