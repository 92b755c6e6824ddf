"""The messages of proto/receiver/codec/wire.proto, made from its compiled descriptor, wire.binpb (`make proto`).

A descriptor loads with every protobuf since 5.29; code that protoc generates loads only with its own version or a later
one, and a stream engine's environment may need an older protobuf. Types are in wire_pb2.pyi.
"""

from importlib.resources import files

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import Default
from google.protobuf.message_factory import GetMessageClass

_set = FileDescriptorSet.FromString(files("receiver.codec").joinpath("wire.binpb").read_bytes())
DESCRIPTOR = Default().AddSerializedFile(_set.file[0].SerializeToString())
globals().update({name: GetMessageClass(message) for name, message in DESCRIPTOR.message_types_by_name.items()})
