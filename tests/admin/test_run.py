"""The commands that ask a running receiver, against `run` in a process of its own."""

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
    """A receiver that was told of two sessions; the ports of its doors."""
    folder, ports = tmp_path_factory.mktemp("run"), free_ports()
    with process(folder, tree(folder, ports, settle="1h")):
        asyncio.run(export(ports["grpc"], logs_request(*RECORDS)))
        yield ports


def ask(running, *arguments):
    return command(*arguments, "--endpoint", f"127.0.0.1:{running['admin']}")


def test_one_asks_shows_and_closes(running):
    listed = ask(running, "sessions")
    assert listed.returncode == 0, listed.stderr
    assert {line.split()[0] for line in listed.stdout.splitlines()[1:]} == {"ses_a", "ses_b"}

    shown = ask(running, "tree", "ses_b")
    assert shown.returncode == 0, shown.stderr
    for name in ("invoke_agent", "execute_tool read", "execute_tool task", "execute_tool grep"):
        assert name in shown.stdout
    assert "have left" not in shown.stdout

    assert ask(running, "flush").stdout == "2 sessions closed\n"
    assert ask(running, "sessions").stdout == "no session is open\n"
    assert "have left already" in ask(running, "tree", "ses_a").stdout
    assert ask(running, "flush").stdout == "0 sessions closed\n"

    queue = ask(running, "queue")
    assert queue.returncode == 0
    assert "file" in queue.stdout
    assert ask(running, "resend").stdout == "0 rows (0 items) put back into their queues\n"


def test_what_is_not_there_is_said_in_one_line(running):
    for arguments in (("tree", "ses_x"), ("flush", "ses_x"), ("resend", "7")):
        result = ask(running, *arguments)
        assert result.returncode == 1
        assert result.stdout == ""
        assert result.stderr.startswith("opencode-trace-receiver: ")
        assert result.stderr.count("\n") == 1
        assert arguments[1] in result.stderr


def test_where_no_receiver_runs_the_remedy_is_told():
    address = f"127.0.0.1:{free_ports()['admin']}"
    result = command("sessions", "--endpoint", address)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert address in result.stderr
    assert "opencode-trace-receiver run" in result.stderr


def test_a_tree_without_a_session_is_a_usage_error():
    assert command("tree").returncode == 2


@pytest.mark.parametrize(("door", "path", "holds"), [("health", "/", "available"), ("metrics", "/metrics", "otelcol_")])
def test_the_other_doors_are_open_too(running, door, path, holds):
    with urllib.request.urlopen(f"http://127.0.0.1:{running[door]}{path}") as response:
        assert holds in response.read().decode()
