"""`replay`, tested with real servers."""

from contextlib import AsyncExitStack

import grpc
import pytest
from aiohttp import web

from receiver.cli.replay import Refusal, default_protocol, replay
from receiver.codec.export_service import EXPORT_SERVICES, export_response
from receiver.errors import ConfigError, InputError, RetryableExportError
from receiver.model import SIGNALS
from receiver.recordings.files import Recording
from tests.support.virtual_time import VirtualTime

RECORDINGS = [
    Recording("0001-logs.pb", "logs", b""),
    Recording("0002-metrics.pb", "metrics", b""),
    Recording("0003-traces.pb", "traces", b""),
]


class Receiver:
    """Takes everything, unless `answers` says otherwise: a response message or a gRPC code, an HTTP status."""

    def __init__(self):
        self.received = []
        self.answers = []

    async def grpc(self, stack):
        server = grpc.aio.server()
        for signal in SIGNALS:
            export = grpc.unary_unary_rpc_method_handler(self._export(signal))
            handler = grpc.method_handlers_generic_handler(EXPORT_SERVICES[signal].name, {"Export": export})
            server.add_generic_rpc_handlers((handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        stack.push_async_callback(server.stop, None)
        return f"127.0.0.1:{port}"

    async def http(self, stack):
        async def take(request):
            self.received.append((request.path, request.content_type))
            return web.Response(status=self.answers.pop(0) if self.answers else 200)

        app = web.Application()
        app.router.add_post("/{path:.*}", take)
        runner = web.AppRunner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    def _export(self, signal):
        async def export(body, context):
            answer = self.answers.pop(0) if self.answers else EXPORT_SERVICES[signal].response()
            if isinstance(answer, grpc.StatusCode):
                await context.abort(answer, "because")
            self.received.append(signal)
            return answer.SerializeToString()

        return export


@pytest.fixture
async def stack():
    """Closes what the test opened."""
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
def receiver():
    """A receiver that is not started yet."""
    return Receiver()


@pytest.fixture
def time():
    """Virtual time."""
    return VirtualTime(100.0)


@pytest.mark.parametrize("prefix", ["", "http://"])
async def test_replay_sends_all_recordings_in_order_over_grpc(receiver, stack, prefix):
    endpoint = prefix + await receiver.grpc(stack)
    seen = []

    result = await replay(RECORDINGS, endpoint, None, seen.append)

    assert receiver.received == ["logs", "metrics", "traces"]
    assert (result.sent, result.refused) == (3, ())
    assert seen == RECORDINGS


@pytest.mark.parametrize("path", ["/", "/v1/traces", "/v1/logs/"])
async def test_replay_to_an_endpoint_with_a_path_uses_http(receiver, stack, path):
    endpoint = await receiver.http(stack)

    await replay(RECORDINGS, endpoint + path)

    assert receiver.received == [
        (f"/v1/{signal}", "application/x-protobuf") for signal in ("logs", "metrics", "traces")
    ]


async def test_replay_uses_the_given_protocol(receiver, stack):
    endpoint = await receiver.http(stack)

    await replay(RECORDINGS[:1], endpoint, protocol="http/json")

    assert receiver.received == [("/v1/logs", "application/json")]


async def test_replay_rate_spaces_the_requests_by_the_clock(receiver, stack, time):
    endpoint = await receiver.grpc(stack)

    await replay(RECORDINGS, endpoint, 4.0, clock=lambda: time.now, sleep=time.sleep)

    assert time.slept == [0.25, 0.25]


async def test_replay_rate_catches_up_after_a_slow_request(receiver, stack, time):
    endpoint = await receiver.grpc(stack)

    def slow(recording):
        time.now += 0.4 if recording is RECORDINGS[0] else 0.0

    await replay(RECORDINGS, endpoint, 4.0, slow, clock=lambda: time.now, sleep=time.sleep)

    assert time.slept == pytest.approx([0.1])


async def test_replay_lists_refused_recordings_and_sends_the_rest(receiver, stack):
    endpoint = await receiver.grpc(stack)
    receiver.answers = [EXPORT_SERVICES["logs"].response(), grpc.StatusCode.INVALID_ARGUMENT]

    result = await replay(RECORDINGS, endpoint)

    assert result.sent == 2
    assert result.refused == (Refusal("0002-metrics.pb", f"{endpoint}: INVALID_ARGUMENT: because"),)


async def test_replay_counts_a_partial_success_as_sent_and_lists_it(receiver, stack):
    endpoint = await receiver.grpc(stack)
    receiver.answers = [export_response("logs", 2, "no time")]

    result = await replay(RECORDINGS, endpoint)

    assert result.sent == 3
    assert result.refused == (Refusal("0001-logs.pb", "2 logs records rejected: no time"),)


async def test_replay_waits_as_long_as_the_receiver_asks_for(receiver, stack, time):
    endpoint = await receiver.grpc(stack)
    receiver.answers = [grpc.StatusCode.UNAVAILABLE] * 2

    result = await replay(RECORDINGS, endpoint, sleep=time.sleep)

    assert result.sent == 3
    assert time.slept == [0.2, 0.4]


async def test_replay_without_a_receiver_ends_with_a_remedy(unused_tcp_port, time):
    with pytest.raises(RetryableExportError, match=r"0001-logs\.pb after 0 requests \(is a receiver running there\?\)"):
        await replay(RECORDINGS, f"127.0.0.1:{unused_tcp_port}", sleep=time.sleep)

    assert len(time.slept) == 4


async def test_replay_does_not_call_an_overloaded_receiver_absent(http_503, time):
    with pytest.raises(RetryableExportError, match=r"HTTP 503: full; stopped at 0001-logs\.pb after 0 requests$"):
        await replay(RECORDINGS, http_503, sleep=time.sleep)


@pytest.fixture
async def http_503():
    """A receiver whose disk is full."""

    async def answer(request):
        return web.Response(status=503, text="full", headers={"Retry-After": "1"})

    server = web.Server(answer)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1/logs"
    await runner.cleanup()


async def test_replay_ends_at_a_recording_that_cannot_be_read(receiver, stack):
    endpoint = await receiver.grpc(stack)

    def reading():
        yield RECORDINGS[0]
        raise InputError("0002-metrics.pb: not a protobuf Export request")

    with pytest.raises(InputError):
        await replay(reading(), endpoint)

    assert receiver.received == ["logs"]


async def test_replay_to_a_malformed_endpoint_is_an_error():
    with pytest.raises(ConfigError):
        await replay(RECORDINGS, "http://host:port")


async def test_replay_refuses_an_unknown_scheme_before_it_reads_a_recording():
    def recordings():
        raise AssertionError("read")
        yield

    with pytest.raises(ConfigError, match=r"ftp:// is not supported"):
        await replay(recordings(), "ftp://x")


@pytest.mark.parametrize(
    ("endpoint", "protocol"),
    [
        ("localhost:4318", "grpc"),
        ("http://localhost:4317", "grpc"),
        ("https://localhost", "grpc"),
        ("http://localhost:4318", "http/protobuf"),
        ("https://[::1]:4318", "http/protobuf"),
        ("http://localhost:9/otlp", "http/protobuf"),
    ],
)
def test_replay_derives_the_protocol_from_the_endpoint(endpoint, protocol):
    assert default_protocol(endpoint) == protocol
