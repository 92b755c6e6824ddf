"""`build --endpoint`: the traces go to real servers, and one line gives the result."""

from __future__ import annotations

import asyncio
import threading
from concurrent import futures
from functools import partial

import grpc
import pytest
from aiohttp import web

from receiver.cli import build as build_command
from receiver.codec.export_service import EXPORT_SERVICES, export_response
from receiver.core.state.settings import BuilderSettings
from receiver.pipeline.offline import build
from tests.support.otlp_requests import DATA, recorded, spans_in

CAPTURE = str(DATA / "parallel-nested")
TRACES = EXPORT_SERVICES["traces"]


class Backend:
    """Takes traces over gRPC or HTTP, in its own thread. `refusal` is the status that it refuses with."""

    def __init__(self):
        self.bodies, self.headers, self.refusal, self.answer = [], [], None, TRACES.response()

    def grpc(self):
        def export(body, context):
            self.headers.append(dict(context.invocation_metadata()))
            if self.refusal:
                context.abort(self.refusal, "not here")
            self.bodies.append(body)
            return self.answer.SerializeToString()

        handler = grpc.method_handlers_generic_handler(
            TRACES.name, {"Export": grpc.unary_unary_rpc_method_handler(export)}
        )
        server = grpc.server(futures.ThreadPoolExecutor(1), handlers=(handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        return f"127.0.0.1:{port}", lambda: server.stop(None).wait()

    def http(self):
        async def take(request):
            self.headers.append({k.lower(): v for k, v in request.headers.items()} | {"path": request.path})
            self.bodies.append(await request.read())
            return web.Response(status=self.refusal or 200)

        loop, ready = asyncio.new_event_loop(), threading.Event()
        address = []

        async def serve():
            app = web.Application(client_max_size=1 << 26)
            app.router.add_post("/{path:.*}", take)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            address.append(runner.addresses[0][1])
            ready.set()
            return runner

        runner = loop.create_task(serve())
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        assert ready.wait(10)

        def stop():
            asyncio.run_coroutine_threadsafe(runner.result().cleanup(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()

        return f"http://127.0.0.1:{address[0]}", stop


@pytest.fixture
def backend():
    return Backend()


@pytest.fixture
def serve(request):
    """Start one of a backend's servers; its endpoint."""

    def serve(start):
        endpoint, stop = start()
        request.addfinalizer(stop)
        return endpoint

    return serve


@pytest.fixture
def run_build(run_text):
    """Run `build` on the capture; its exit code, output and errors."""
    return partial(run_text, "build", CAPTURE)


def expected():
    return spans_in(build(recorded("parallel-nested"), BuilderSettings()).requests())


def test_build_sends_the_traces_over_grpc(run_build, serve, backend):
    endpoint = serve(backend.grpc)
    code, out, err = run_build("--endpoint", endpoint)
    assert (code, err) == (0, "")
    assert out == f"{len(expected())} spans in 1 trace sent to {endpoint}\n"
    assert spans_in(backend.bodies) == expected()


def test_build_sends_the_traces_over_http(run_build, serve, backend):
    code, _, err = run_build("--endpoint", serve(backend.http), "--protocol", "http/protobuf", "--header", "X-Key=a=b")
    assert (code, err) == (0, "")
    assert spans_in(backend.bodies) == expected()
    assert [(h["path"], h["x-key"]) for h in backend.headers] == [("/v1/traces", "a=b")]


def test_build_sends_a_large_trace_in_several_requests(run_build, serve, backend, monkeypatch):
    monkeypatch.setattr(build_command, "MAX_REQUEST_SPANS", 10)
    assert run_build("--endpoint", serve(backend.grpc), "--header", "x-key=secret")[0] == 0
    assert len(backend.bodies) == -(-len(expected()) // 10)
    assert spans_in(backend.bodies) == expected()
    assert {h["x-key"] for h in backend.headers} == {"secret"}


@pytest.mark.parametrize(("kind", "refusal"), [("grpc", grpc.StatusCode.UNAUTHENTICATED), ("http", 401)])
def test_a_refusal_gives_a_one_line_error(run_build, serve, backend, kind, refusal):
    backend.refusal = refusal
    endpoint = serve(getattr(backend, kind))
    code, out, err = run_build("--endpoint", endpoint, "--protocol", "grpc" if kind == "grpc" else "http/protobuf")
    assert (code, out) == (1, "")
    assert err.startswith(f"opencode-trace-receiver: {endpoint}: refused 1 of 1 requests, the first: ")
    assert err.endswith(" (give --header authorization='Bearer …')\n")
    assert err.count("\n") == 1


def test_a_partial_success_gives_an_error(run_build, serve, backend):
    backend.answer = export_response("traces", 3, "too old")
    code, out, err = run_build("--endpoint", serve(backend.grpc))
    assert (code, out) == (1, "")
    assert "too old" in err
    assert err.count("\n") == 1


def test_an_absent_backend_gives_a_one_line_error(run_build, unused_tcp_port):
    code, out, err = run_build("--endpoint", f"127.0.0.1:{unused_tcp_port}")
    assert (code, out) == (1, "")
    assert str(unused_tcp_port) in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--endpoint", "ftp://x"), 1),
        (("--endpoint", "localhost:1", "--header", "secret"), 1),
        (("--endpoint", "localhost:1", "--output", "x"), 2),
        (("--endpoint", "localhost:1", "--protocol", "smoke"), 2),
    ],
)
def test_invalid_options_give_a_one_line_error(run_build, arguments, code):
    ended, out, err = run_build(*arguments)
    assert (ended, out) == (code, "")
    assert err.count("\n") == 1
    assert "secret" not in err
