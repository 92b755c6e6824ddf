"""The admin service as data, read off its descriptor: what the server and the client need of each method.

In place of generated stubs, which would refuse to run with any gRPC that is older than the one they were made with.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from receiver.admin import admin_pb2

SERVICE = admin_pb2.DESCRIPTOR.services_by_name["Admin"]


@dataclass(frozen=True, slots=True)
class Method:
    """One unary method. `path` is what gRPC calls it by."""

    name: str
    path: str
    request: type[Message]
    response: type[Message]


METHODS = {
    method.name: Method(
        method.name,
        f"/{SERVICE.full_name}/{method.name}",
        GetMessageClass(method.input_type),
        GetMessageClass(method.output_type),
    )
    for method in SERVICE.methods
}
