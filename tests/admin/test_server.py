"""The admin service over a real channel: status codes, reflection, and the command line's client."""

import asyncio

import grpc
import pytest
from grpc import aio
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from receiver.admin import admin_pb2 as pb
from receiver.admin.client import AdminClient
from receiver.admin.methods import METHODS, SERVICE
from receiver.admin.server import AdminServer
from receiver.errors import InputError, ReceiverError, UnavailableError
from tests.support.operator_endpoints import free_ports


class FakeServicer:
    """Returns a response or raises an error, and records its calls."""

    def __init__(self, response=None, error=None):
        self._response, self._error = response, error
        self.calls = []

    async def call(self, method, request):
        self.calls.append((method, request))
        if self._error:
            raise self._error
        return self._response or METHODS[method].response()


@pytest.fixture
async def serve():
    """Starts a server for a servicer; its address."""
    servers = []

    async def start(servicer):
        server = AdminServer(servicer)
        servers.append(server)
        return f"127.0.0.1:{await server.start(['127.0.0.1:0'])}"

    yield start
    for server in servers:
        await server.stop(0)


def ask(address, question):
    """Call as the command line does, which blocks."""

    def call():
        with AdminClient(address) as client:
            return question(client)

    return asyncio.to_thread(call)


def test_methods_has_every_method_of_the_schema():
    assert sorted(METHODS) == ["Flush", "GetTree", "ListSessions", "ListSetAside", "QueueState", "Resend"]
    assert METHODS["GetTree"].path == "/opencode_trace_receiver.admin.v1.Admin/GetTree"
    assert METHODS["GetTree"].request is pb.GetTreeRequest


async def test_each_client_method_calls_its_grpc_method(serve):
    servicer = FakeServicer()
    address = await serve(servicer)
    await ask(address, lambda client: client.sessions())
    await ask(address, lambda client: client.sessions(7))
    await ask(address, lambda client: client.tree("ses_a"))
    await ask(address, lambda client: client.flush())
    await ask(address, lambda client: client.flush("ses_a"))
    await ask(address, lambda client: client.flush(""))
    await ask(address, lambda client: client.queues())
    await ask(address, lambda client: client.set_aside())
    await ask(address, lambda client: client.resend([1, 2]))
    assert servicer.calls == [
        ("ListSessions", pb.ListSessionsRequest()),
        ("ListSessions", pb.ListSessionsRequest(limit=7)),
        ("GetTree", pb.GetTreeRequest(session_id="ses_a")),
        ("Flush", pb.FlushRequest()),
        ("Flush", pb.FlushRequest(session_ids=["ses_a"])),
        ("Flush", pb.FlushRequest(session_ids=[""])),
        ("QueueState", pb.QueueStateRequest()),
        ("ListSetAside", pb.ListSetAsideRequest()),
        ("Resend", pb.ResendRequest(ids=[1, 2])),
    ]


async def test_a_response_may_be_larger_than_grpcs_default_limit(serve):
    large = pb.GetTreeResponse(left_span_ids=[b"12345678"] * 600_000)
    address = await serve(FakeServicer(large))
    assert await ask(address, lambda client: client.tree("ses_a")) == large


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("no such session"), grpc.StatusCode.NOT_FOUND),
        (UnavailableError("the disk is full"), grpc.StatusCode.UNAVAILABLE),
        (ZeroDivisionError("a defect"), grpc.StatusCode.INTERNAL),
    ],
)
async def test_each_error_becomes_a_status_code(serve, error, code):
    address = await serve(FakeServicer(error=error))
    method = METHODS["ListSessions"]
    async with aio.insecure_channel(address) as channel:
        call = channel.unary_unary(method.path, response_deserializer=method.response.FromString)
        with pytest.raises(aio.AioRpcError) as raised:
            await call(b"")
    assert raised.value.code() == code
    assert "a defect" not in (raised.value.details() or "")


async def test_the_client_repeats_the_servers_message_for_an_unknown_session(serve):
    address = await serve(FakeServicer(error=InputError("session ses_x is not known")))
    with pytest.raises(InputError, match=r"^session ses_x is not known$"):
        await ask(address, lambda client: client.tree("ses_x"))


async def test_the_client_names_the_receiver_and_the_reason_of_a_failed_call(serve):
    address = await serve(FakeServicer(error=UnavailableError("the disk is full")))
    with pytest.raises(ReceiverError, match=rf"{address} failed: the disk is full \(UNAVAILABLE\)"):
        await ask(address, lambda client: client.sessions())


async def test_the_error_without_a_server_names_the_remedy():
    address = f"127.0.0.1:{free_ports()['admin']}"
    with pytest.raises(ReceiverError, match=rf"no receiver answers at {address}; start one .* --endpoint"):
        await ask(address, lambda client: client.sessions())


async def test_the_client_reports_another_service_at_the_address():
    other = aio.server()
    port = other.add_insecure_port("127.0.0.1:0")
    await other.start()
    try:
        with pytest.raises(ReceiverError, match="is not the admin service"):
            await ask(f"127.0.0.1:{port}", lambda client: client.sessions())
    finally:
        await other.stop(None)


async def test_reflection_lists_the_service(serve):
    address = await serve(FakeServicer())
    async with aio.insecure_channel(address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE.full_name),
        ]
        answers = [answer async for answer in stub.ServerReflectionInfo(iter(asked))]
    assert SERVICE.full_name in [one.name for one in answers[0].list_services_response.service]
    assert answers[1].file_descriptor_response.file_descriptor_proto


async def test_a_second_server_cannot_share_the_port(serve):
    address = await serve(FakeServicer())
    with pytest.raises(ReceiverError, match="cannot listen"):
        await AdminServer(FakeServicer()).start([address])


@pytest.mark.parametrize("scheme", ["", "http://"])
async def test_the_client_accepts_http_before_the_address(serve, scheme):
    address = await serve(FakeServicer())
    assert not (await ask(f"{scheme}{address}", lambda client: client.sessions())).sessions


@pytest.mark.parametrize("address", ["no such\nhost:1", "tcp://127.0.0.1:1"])
async def test_an_invalid_address_gives_a_one_line_error(address):
    with pytest.raises(ReceiverError, match=r"is not an address; give the HOST:PORT") as raised:
        await ask(address, lambda client: client.sessions())
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "question",
    [
        lambda client: client.tree("\udcff"),
        lambda client: client.flush("ses_\udcff"),
        lambda client: client.resend([1, 1 << 63]),
    ],
)
async def test_an_impossible_id_is_refused_without_a_call(serve, question):
    servicer = FakeServicer()
    address = await serve(servicer)
    with pytest.raises(InputError, match="no session or row has the id"):
        await ask(address, question)
    assert servicer.calls == []


async def test_the_client_escapes_control_characters_of_the_servers_message(serve):
    address = await serve(FakeServicer(error=InputError("session a\nb\x1b[31m is not known")))
    with pytest.raises(InputError, match=r"^session a b\\x1b\[31m is not known$"):
        await ask(address, lambda client: client.tree("ses_x"))
