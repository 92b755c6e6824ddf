"""The commands that call a running receiver, against `run` in its own process."""

import asyncio
import urllib.request

import pytest

from tests.support.factories import logs_request
from tests.support.operator_endpoints import command, export, free_ports, process, relay, relay_call, tree

pytestmark = pytest.mark.process

RECORDS = [
    *relay("read"),
    relay_call("ses_a", "task", 3, 9, sessionId="ses_b"),
    *relay("grep", session="ses_b", start=4, parent="ses_a"),
]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A receiver with two sessions; the ports of its servers."""
    folder, ports = tmp_path_factory.mktemp("run"), free_ports()
    with process(folder, tree(folder, ports, settle="1h")):
        asyncio.run(export(ports["grpc"], logs_request(*RECORDS)))
        yield ports


def ask(running, *arguments):
    return command(*arguments, "--endpoint", f"127.0.0.1:{running['admin']}")


def test_sessions_tree_flush_queue_and_resend_print_their_results(running):
    listed = ask(running, "sessions")
    assert listed.returncode == 0, listed.stderr
    assert {line.split()[0] for line in listed.stdout.splitlines()[1:]} == {"ses_a", "ses_b"}

    shown = ask(running, "tree", "ses_b")
    assert shown.returncode == 0, shown.stderr
    for name in ("invoke_agent", "execute_tool read", "execute_tool task", "execute_tool grep"):
        assert name in shown.stdout
    assert "emitted already" not in shown.stdout

    assert ask(running, "flush").stdout == "2 sessions closed\n"
    assert ask(running, "sessions").stdout == "no session is open\n"
    assert "emitted already" in ask(running, "tree", "ses_a").stdout
    assert ask(running, "flush").stdout == "0 sessions closed\n"

    queue = ask(running, "queue")
    assert queue.returncode == 0
    assert "file" in queue.stdout
    assert ask(running, "resend").stdout == "0 rows (0 items) put back into their queues\n"


def test_an_unknown_id_gives_a_one_line_error(running):
    for arguments in (("tree", "ses_x"), ("flush", "ses_x"), ("resend", "7")):
        result = ask(running, *arguments)
        assert result.returncode == 1
        assert result.stdout == ""
        assert result.stderr.startswith("opencode-trace-receiver: ")
        assert result.stderr.count("\n") == 1
        assert arguments[1] in result.stderr


def test_the_error_without_a_running_receiver_names_the_remedy():
    address = f"127.0.0.1:{free_ports()['admin']}"
    result = command("sessions", "--endpoint", address)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert address in result.stderr
    assert "opencode-trace-receiver run" in result.stderr


def test_a_tree_without_a_session_is_a_usage_error():
    assert command("tree").returncode == 2


@pytest.mark.parametrize(("name", "path", "text"), [("health", "/", "available"), ("metrics", "/metrics", "otelcol_")])
def test_health_and_metrics_are_served_too(running, name, path, text):
    with urllib.request.urlopen(f"http://127.0.0.1:{running[name]}{path}") as response:
        assert text in response.read().decode()
