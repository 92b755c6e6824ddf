"""The admin service's methods, read from its descriptor, for the server and the client.

Generated stubs are not used: they refuse to run with a gRPC older than the one that generated them.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from receiver.admin import admin_pb2

SERVICE = admin_pb2.DESCRIPTOR.services_by_name["Admin"]


@dataclass(frozen=True, slots=True)
class Method:
    """One unary method. `path` is its name on the wire."""

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
