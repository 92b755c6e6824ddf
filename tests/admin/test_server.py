"""The admin service over a real channel: its codes, its reflection, and the client that a command line uses."""

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


class Told:
    """Stands where the answers come from: gives an answer or raises an error."""

    def __init__(self, answer=None, error=None):
        self._answer, self._error = answer, error
        self.asked = []

    async def answer(self, method, request):
        self.asked.append((method, request))
        if self._error:
            raise self._error
        return self._answer or METHODS[method].response()


@pytest.fixture
async def serve():
    """Starts a server over these answers; the address that it listens on."""
    servers = []

    async def start(told):
        server = AdminServer(told)
        servers.append(server)
        return f"127.0.0.1:{await server.start(['127.0.0.1:0'])}"

    yield start
    for server in servers:
        await server.stop(0)


def ask(address, question):
    """Ask as the command line does, which blocks."""

    def call():
        with AdminClient(address) as client:
            return question(client)

    return asyncio.to_thread(call)


def test_every_method_of_the_schema_is_there():
    assert sorted(METHODS) == ["Flush", "GetTree", "ListSessions", "ListSetAside", "QueueState", "Resend"]
    assert METHODS["GetTree"].path == "/opencode_trace_receiver.admin.v1.Admin/GetTree"
    assert METHODS["GetTree"].request is pb.GetTreeRequest


async def test_each_call_of_the_client_asks_what_it_says(serve):
    told = Told()
    address = await serve(told)
    await ask(address, lambda client: client.sessions())
    await ask(address, lambda client: client.sessions(7))
    await ask(address, lambda client: client.tree("ses_a"))
    await ask(address, lambda client: client.flush())
    await ask(address, lambda client: client.flush("ses_a"))
    await ask(address, lambda client: client.flush(""))
    await ask(address, lambda client: client.queues())
    await ask(address, lambda client: client.set_aside())
    await ask(address, lambda client: client.resend([1, 2]))
    assert told.asked == [
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


async def test_an_answer_may_be_larger_than_grpc_likes(serve):
    large = pb.GetTreeResponse(left_span_ids=[b"12345678"] * 600_000)
    address = await serve(Told(large))
    assert await ask(address, lambda client: client.tree("ses_a")) == large


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("no such session"), grpc.StatusCode.NOT_FOUND),
        (UnavailableError("the disk is full"), grpc.StatusCode.UNAVAILABLE),
        (ZeroDivisionError("a defect"), grpc.StatusCode.INTERNAL),
    ],
)
async def test_each_error_has_its_code(serve, error, code):
    address = await serve(Told(error=error))
    method = METHODS["ListSessions"]
    async with aio.insecure_channel(address) as channel:
        call = channel.unary_unary(method.path, response_deserializer=method.response.FromString)
        with pytest.raises(aio.AioRpcError) as raised:
            await call(b"")
    assert raised.value.code() == code
    assert "a defect" not in (raised.value.details() or "")


async def test_what_is_not_known_comes_back_as_it_was_said(serve):
    address = await serve(Told(error=InputError("session ses_x is not known")))
    with pytest.raises(InputError, match=r"^session ses_x is not known$"):
        await ask(address, lambda client: client.tree("ses_x"))


async def test_a_receiver_that_cannot_answer_is_named_with_the_reason(serve):
    address = await serve(Told(error=UnavailableError("the disk is full")))
    with pytest.raises(ReceiverError, match=rf"{address} did not answer: the disk is full \(UNAVAILABLE\)"):
        await ask(address, lambda client: client.sessions())


async def test_where_nobody_listens_the_remedy_is_told():
    address = f"127.0.0.1:{free_ports()['admin']}"
    with pytest.raises(ReceiverError, match=rf"no receiver answers at {address}; start one .* --endpoint"):
        await ask(address, lambda client: client.sessions())


async def test_another_service_at_the_address_is_told():
    other = aio.server()
    port = other.add_insecure_port("127.0.0.1:0")
    await other.start()
    try:
        with pytest.raises(ReceiverError, match="is no admin service"):
            await ask(f"127.0.0.1:{port}", lambda client: client.sessions())
    finally:
        await other.stop(None)


async def test_reflection_tells_of_the_service(serve):
    address = await serve(Told())
    async with aio.insecure_channel(address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE.full_name),
        ]
        answers = [answer async for answer in stub.ServerReflectionInfo(iter(asked))]
    assert SERVICE.full_name in [one.name for one in answers[0].list_services_response.service]
    assert answers[1].file_descriptor_response.file_descriptor_proto


async def test_two_receivers_do_not_share_a_port(serve):
    address = await serve(Told())
    with pytest.raises(ReceiverError, match="cannot listen"):
        await AdminServer(Told()).start([address])


@pytest.mark.parametrize("scheme", ["", "http://"])
async def test_a_scheme_before_the_address_is_no_mistake(serve, scheme):
    address = await serve(Told())
    assert not (await ask(f"{scheme}{address}", lambda client: client.sessions())).sessions


@pytest.mark.parametrize("address", ["no such\nhost:1", "tcp://127.0.0.1:1"])
async def test_what_is_no_address_is_told_in_one_line(address):
    with pytest.raises(ReceiverError, match=r"is no address; give HOST:PORT") as raised:
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
async def test_what_can_be_no_id_is_told_and_not_asked(serve, question):
    told = Told()
    address = await serve(told)
    with pytest.raises(InputError, match="nothing has the id"):
        await ask(address, question)
    assert told.asked == []


async def test_what_others_wrote_does_not_reach_the_terminal(serve):
    address = await serve(Told(error=InputError("session a\nb\x1b[31m is not known")))
    with pytest.raises(InputError, match=r"^session a b\\x1b\[31m is not known$"):
        await ask(address, lambda client: client.tree("ses_x"))
