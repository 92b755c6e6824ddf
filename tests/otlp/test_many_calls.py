"""Many gRPC calls at once: every one is answered by the receiver, none is cancelled by the gRPC library."""

import asyncio

import grpc

LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
CALLS = 5_000


async def test_thousands_of_calls_at_once_over_one_connection_are_all_accepted(edge, sink, logs):
    receiver = await edge.grpc()
    export = edge.channel(receiver.port).unary_unary(LOGS)
    body = logs()
    answers = await asyncio.gather(*(export(body) for _ in range(CALLS)), return_exceptions=True)
    refused = {error.code() for error in answers if isinstance(error, grpc.RpcError)}
    assert not refused
    assert len(sink.requests) == CALLS
