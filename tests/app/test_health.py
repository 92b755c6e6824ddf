"""Health over HTTP."""

import asyncio
import socket
from contextlib import asynccontextmanager
from datetime import datetime

import aiohttp
import pytest

from receiver.app.health import HealthServer, go_duration
from receiver.errors import UnavailableError
from tests.support.operator_endpoints import free_ports, service, tree


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Check:
    """A check whose result the test sets."""

    error = None
    asked = 0

    async def __call__(self):
        self.asked += 1
        if self.error:
            raise self.error


@asynccontextmanager
async def serving(check, path="/", **arguments):
    """A health server, and a function that requests a path."""
    server = HealthServer(check, path, **arguments)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    await server.start([listening])
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

        async def get(path="/"):
            async with session.get(path) as response:
                return response.status, await response.json() if response.status != 404 else None

        yield server, get
    await server.stop()


async def test_health_is_200_while_requests_can_be_persisted():
    clock = Clock()
    async with serving(Check(), clock=clock) as (_, get):
        clock.now += 3725.25
        status, body = await get()
    assert status == 200
    assert body["status"] == "Server available"
    assert body["uptime"] == "1h2m5.25s"
    assert datetime.fromisoformat(body["upSince"]).tzinfo is not None


async def test_health_is_503_while_requests_cannot_be_persisted_and_recovers():
    clock, check = Clock(), Check()
    async with serving(check, clock=clock) as (_, get):
        check.error = UnavailableError("the disk is full")
        assert await get() == (503, {"status": "Server not available"})
        check.error = None
        clock.now += 2
        assert (await get())[0] == 200


async def test_health_is_503_after_any_error_or_timeout_of_the_check():
    check = Check()
    check.error = RuntimeError("a defect")
    async with serving(check) as (_, get):
        assert (await get())[0] == 503


async def test_many_health_requests_cause_one_check_a_second():
    clock, check = Clock(), Check()
    async with serving(check, clock=clock) as (_, get):
        await asyncio.gather(*(get() for _ in range(20)))
        assert check.asked == 1
        clock.now += 1.5
        await get()
        assert check.asked == 2


async def test_health_is_503_at_once_when_the_receiver_stops():
    async with serving(Check()) as (server, get):
        assert (await get())[0] == 200
        server.stopping()
        assert await get() == (503, {"status": "Server not available"})


async def test_clients_that_do_not_speak_http_are_not_logged(caplog):
    async with serving(Check()) as (server, get):
        port = server._site._runner.addresses[0][1]
        for sent in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            await reader.read()
            writer.close()
        assert (await get())[0] == 200
    assert caplog.records == []


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [("/", "/", 200), ("/", "/healthz", 200), ("/live", "/live", 200), ("/live", "/", 404), ("/live", "/live/x", 404)],
)
async def test_health_answers_on_its_path_only(path, asked, status):
    async with serving(Check(), path) as (_, get):
        assert (await get(asked))[0] == status


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.0125, "0.013s"), (59, "59s"), (60, "1m0s"), (61.5, "1m1.5s"), (3600, "1h0m0s"), (90061, "25h1m1s")],
)
def test_go_duration_has_the_form_of_gos_durations(seconds, text):
    assert go_duration(seconds) == text


async def test_health_is_503_when_the_store_cannot_be_written(tmp_path):
    ports = free_ports()
    url = f"http://127.0.0.1:{ports['health']}/"
    async with service(tree(tmp_path, ports)) as running, aiohttp.ClientSession() as session:
        # SQLite itself refuses to write, as it does on a file system that became read-only
        await running.pipeline.ask(lambda _, store: store._db.execute("PRAGMA query_only = ON"))
        async with session.get(url) as response:
            assert response.status == 503
        await running.pipeline.ask(lambda _, store: store._db.execute("PRAGMA query_only = OFF"))
        async with asyncio.timeout(60):
            while True:
                async with session.get(url) as response:
                    if response.status == 200:
                        break
                await asyncio.sleep(0.1)
