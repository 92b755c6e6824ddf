"""Measures what a shared port costs a gRPC client: the ProtocolMux and SocketProxy before the gRPC server.

    python benchmarks/bench_shared_port.py [--seconds S] [--rounds N]

For requests of 1, 32 and 512 records, sent directly and over the shared port, in turn, in several rounds: the CPU time
of the server's process per request, and requests per second from one connection with several in flight. The best round
counts: other work on the machine makes a round worse, never better. `--store` commits each request to a store, as `run`
does; without it the server does nothing with a request, and the shared port's share is largest.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path

import grpc
from workload import requests

from receiver.core.state.settings import BuilderSettings
from receiver.otlp.grpc_server import GrpcReceiver
from receiver.otlp.listen import bind
from receiver.otlp.protocol_mux import ProtocolMux
from receiver.otlp.socket_proxy import SocketProxy
from receiver.pipeline.pipeline import Pipeline
from receiver.pipeline.routing import Routes
from receiver.storage.sqlite_store import SQLiteStore

EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"


async def _nothing(_) -> None:
    pass


async def _serve(pipe, stored: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        accept, pipeline = _nothing, None
        if stored:
            pipeline = Pipeline(SQLiteStore(Path(folder)), BuilderSettings(), Routes(traces=("out",)))
            await pipeline.start()
            accept = pipeline.accept
        direct = GrpcReceiver(accept, endpoint="127.0.0.1:0")
        behind = GrpcReceiver(accept, endpoint=f"unix:{folder}/grpc")
        port = await direct.start()
        await behind.start()
        sockets = bind("127.0.0.1:0")
        mux = ProtocolMux(SocketProxy(behind.address), SocketProxy(behind.address))
        await mux.open(sockets)
        pipe.send((port, sockets[0].getsockname()[1]))
        while await asyncio.to_thread(pipe.recv) != "stop":
            while pipeline and (await pipeline.backlog()).rows:  # noqa: ASYNC110 - the owner's thread is waited for
                await asyncio.sleep(0.01)
            pipe.send(time.process_time())
        mux.close()
        await asyncio.gather(direct.stop(0), behind.stop(0))
        if pipeline:
            await pipeline.stop()
            await pipeline.close()


def _server(pipe, stored: bool) -> None:
    asyncio.run(_serve(pipe, stored))


async def _load(port: int, bodies: list[bytes], in_flight: int, seconds: float) -> tuple[int, list[float]]:
    waits: list[float] = []
    until = time.perf_counter() + seconds
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        export = channel.unary_unary(EXPORT)
        await export(bodies[0])

        async def client(number: int) -> None:
            while (began := time.perf_counter()) < until:
                await export(bodies[(number + len(waits)) % len(bodies)])
                waits.append(time.perf_counter() - began)

        await asyncio.gather(*(client(n) for n in range(in_flight)))
    return len(waits), waits


def main() -> None:
    """Print one line for each size and way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--store", action="store_true")
    asked = parser.parse_args()
    pipe, theirs = multiprocessing.Pipe()
    with contextlib.closing(pipe):
        server = multiprocessing.get_context("spawn").Process(target=_server, args=(theirs, asked.store))
        server.start()
        ports = dict(zip(("direct", "shared"), pipe.recv(), strict=True))
        for size, in_flight in ((1, 1), (1, 32), (32, 32), (512, 8)):
            bodies = [request.body for _, request in requests(10, 20, size)][:50]
            cpu = {way: [] for way in ports}
            rate = {way: [] for way in ports}
            median = {way: [] for way in ports}
            for _ in range(asked.rounds):
                for way, port in ports.items():
                    pipe.send("cpu")
                    before = pipe.recv()
                    began = time.perf_counter()
                    count, waits = asyncio.run(_load(port, bodies, in_flight, asked.seconds))
                    took = time.perf_counter() - began
                    pipe.send("cpu")
                    cpu[way].append((pipe.recv() - before) / count * 1e6)
                    rate[way].append(count / took)
                    median[way].append(statistics.median(waits) * 1e3)
            best = {way: (min(cpu[way]), max(rate[way]), min(median[way])) for way in ports}
            line = f"{size:>4} a request, {in_flight:>2} in flight:"
            for way, (used, fastest, wait) in best.items():
                line += f"  {way} {used:>6.0f} µs CPU, {fastest:>6.0f}/s, {wait:>5.2f} ms"
            more, less = best["shared"][0] / best["direct"][0] - 1, best["shared"][1] / best["direct"][1] - 1
            print(f"{line};  {more:+.0%} CPU, {less:+.0%} requests/s", flush=True)
        pipe.send("stop")
        server.join()


if __name__ == "__main__":
    main()
