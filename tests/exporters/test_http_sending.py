"""otlp_http behind the sending queue, against a real server: retries, set-aside batches and partial successes."""

import asyncio
import json

import pytest

from receiver.codec.export_service import export_response
from receiver.exporters.otlp_http import HttpExporter
from receiver.exporters.sender import Sender
from tests.exporters.test_sender import MemoryQueue
from tests.support.virtual_time import VirtualTime


@pytest.fixture
def sent(http_backend, stack):
    """Send rows to a backend with these answers until the queue is empty; gives backend, queue and pauses."""

    async def send(*rows, answers=(), **settings):
        backend, queue, time = await http_backend(), MemoryQueue(*rows), VirtualTime()
        backend.answers.extend(answers)
        exporter = HttpExporter("otlp_http", backend.endpoint, **settings)
        sender = Sender(
            queue, exporter, observe=lambda *_: None, clock=lambda: time.now, sleep=time.sleep, random=lambda: 0.5
        )
        await sender.start()
        stack.push_async_callback(sender.stop)
        await asyncio.wait_for(queue.emptied.wait(), 60)
        return backend, queue, time.slept

    return send


@pytest.mark.parametrize("encoding", ["proto", "json"])
@pytest.mark.parametrize("compression", ["gzip", "none"])
async def test_a_batch_refused_for_now_arrives_once_later(sent, request_of, encoding, compression):
    answers = [{"status": 503}, {"status": 429, "headers": {"Retry-After": "40"}}, {"status": 502}, {"status": 504}]
    backend, queue, pauses = await sent(request_of("a"), answers=answers, encoding=encoding, compression=compression)
    (received,) = backend.received
    assert received.headers.get("Content-Encoding") == (None if compression == "none" else "gzip")
    if encoding == "json":
        assert json.loads(received.body)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"] == "a"
    else:
        assert received.body == request_of("a")
    assert len(pauses) == 4
    assert pauses[1] >= 40  # the backend's wish, where its own pause would be shorter
    assert not queue.aside


@pytest.mark.parametrize("status", [400, 401, 404, 413, 415, 500, 302])
async def test_a_batch_refused_for_good_is_set_aside_with_the_reason(sent, request_of, status):
    answer = {"status": status, "text": "because", "headers": {"Location": "/elsewhere"}}
    # the batch, then its rows one by one
    backend, queue, pauses = await sent(request_of("a"), request_of("b"), answers=[answer, answer])
    assert queue.aside.keys() == {request_of("a")}
    assert f"HTTP {status}" in queue.aside[request_of("a")]
    assert [received.body for received in backend.received] == [request_of("b")]
    assert [received.path for received in backend.received] == ["/v1/traces"]
    assert not pauses


async def test_a_partial_success_is_not_sent_again(sent, request_of):
    rejections = []
    answer = {
        "body": export_response("traces", 1, "too old").SerializeToString(),
        "headers": {"Content-Type": "application/x-protobuf"},
    }
    backend, queue, _ = await sent(request_of("a"), answers=[answer], on_rejected=lambda *args: rejections.append(args))
    assert len(backend.received) == 1
    assert rejections == [("traces", 1, "too old")]
    assert not queue.aside
