"""otel-collector-config.yaml agrees with the commands in its own comment, with those of the documents, and with the
ports of this program. The Collector itself reads it in tests/interop.
"""

from __future__ import annotations

import os
import re
import shlex

import pytest
import yaml

from receiver import config
from tests.documents.test_deploy import ADMIN, BACKEND, DEPLOY, GRPC, HEALTH, HTTP, METRICS, ROOT, port_of


def chained(number: int, monkeypatch: pytest.MonkeyPatch) -> config.Settings:
    """What the receiver makes of the command that starts it in chain A or B, copied from the file's comment."""
    comment = re.findall(r"^#(.*)$", (ROOT / "otel-collector-config.yaml").read_text(), flags=re.MULTILINE)
    commands = re.findall(r"OTEL_\S+=.*?run(?: --set \S+)*", re.sub(r"\\\n +", "", "\n".join(comment)))
    words = shlex.split(commands[number])
    start = words.index("opencode-trace-receiver")
    for name, _, value in (word.partition("=") for word in words[:start]):
        monkeypatch.setenv(name, value)
    assert words[start + 1] == "run"
    return config.load([], words[start + 3 :: 2], dict(os.environ))


def test_the_chains_commands_and_the_collectors_ports_meet(monkeypatch):
    text = (ROOT / "otel-collector-config.yaml").read_text()
    ports = dict(re.findall(r"\$\{env:(\w+):-\w+:(\d+)\}", text))
    for number, door in enumerate((int(ports["TRACE_RECEIVER_ENDPOINT"]), GRPC)):
        settings = chained(number, monkeypatch)
        assert port_of(settings.receivers["otlp"].protocols.grpc.endpoint) == door
        assert settings.exporters["otlp_grpc"].endpoint == f"http://localhost:{ports['BUILT_GRPC_ENDPOINT']}"
    assert (int(ports["AGENTS_GRPC_ENDPOINT"]), int(ports["AGENTS_HTTP_ENDPOINT"])) == (GRPC, HTTP)
    own = chained_doors(monkeypatch)
    both = [*map(int, ports.values()), own["http"], METRICS, HEALTH, ADMIN]  # side by side on one machine
    assert len(set(both)) == len(both) - 1  # the backend is elsewhere, at its own 4317


def chained_doors(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The ports of the receiver in chain A."""
    protocols = chained(0, monkeypatch).receivers["otlp"].protocols
    return {"grpc": port_of(protocols.grpc.endpoint), "http": port_of(protocols.http.endpoint)}


def test_a_backend_on_the_same_machine_has_one_port_wherever_it_is_named(monkeypatch):
    """Every page uses the same port for a backend on the same machine, and nothing else listens there."""
    pages = "".join((ROOT / name).read_text() for name in ("README.md", "docs/backends.md", "docs/commands.md"))
    chain = (ROOT / "otel-collector-config.yaml").read_text()
    unit = (DEPLOY / "opencode-trace-receiver.service").read_text()
    said = [
        *re.findall(r"-p (\d+):4317 ", pages),
        *re.findall(r"PHOENIX_GRPC_PORT=(\d+)", pages),
        *re.findall(r"BACKEND_ENDPOINT=localhost:(\d+)", pages),
        *re.findall(r"build history --endpoint http://localhost:(\d+)", pages),
        *re.findall(r"BACKEND_ENDPOINT: on the same machine localhost:(\d+)", chain),
        *re.findall(rf"echo {BACKEND}=http://localhost:(\d+)", unit),
    ]
    assert len(said) == 7  # Jaeger twice: the README and its page
    (backend,) = set(map(int, said))
    receivers = {GRPC, HTTP, *chained_doors(monkeypatch).values()}
    collectors = set(map(int, re.findall(r"\$\{env:\w+:-localhost:(\d+)\}", chain)))
    assert backend not in receivers | collectors


def test_the_chain_command_on_the_backends_page_matches_the_collector_file(monkeypatch):
    page = (ROOT / "docs" / "backends.md").read_text()
    (command,) = re.findall(r"^OTEL_\S+=http://localhost:5317 .*$", page, re.MULTILINE)
    doors = {name: int(port) for name, port in re.findall(r"::(grpc|http)::endpoint=localhost:(\d+)", command)}
    assert doors == chained_doors(monkeypatch)


def test_the_file_says_every_place_of_what_a_smaller_collector_lacks():
    """`otelcol` has no file_storage: nothing may name it when the places that the comment tells are removed."""
    text = (ROOT / "otel-collector-config.yaml").read_text()
    said = re.sub(r"\n# ", " ", text)
    assert (
        "remove it from `extensions`, the two `storage` keys that name it, and its name in `service::extensions`"
        in said
    )
    tree = yaml.safe_load(text)
    (name,) = (one for one in tree["extensions"] if one.startswith("file_storage"))
    del tree["extensions"][name]
    queues = [one["sending_queue"] for one in tree["exporters"].values()]
    assert [queue.pop("storage") for queue in queues] == [name] * 2
    tree["service"]["extensions"].remove(name)
    assert "file_storage" not in yaml.safe_dump(tree)
