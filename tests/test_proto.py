"""proto/ against what runs: the compiled files are what protoc makes of it, the hot path's trimmed schema agrees with
OTLP's wire field by field, and the OTLP files are of the version that the installed package was generated from.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

from tests.support.paths import ROOT

PROTO = ROOT / "proto"
OWN = ("receiver/codec/wire.proto", "receiver/admin/admin.proto")
OTLP = sorted(path.relative_to(PROTO).as_posix() for path in (PROTO / "opentelemetry").rglob("*.proto"))
# the package that was generated from these files; an older one knows less, a newer one may know more
GENERATED_FROM = ("1.45",)

# message of wire.proto -> message of OTLP that it stands for
STANDS_FOR = {
    "Logs": "collector.logs.v1.ExportLogsServiceRequest",
    "ResourceLogs": "logs.v1.ResourceLogs",
    "ScopeLogs": "logs.v1.ScopeLogs",
    "LogRecord": "logs.v1.LogRecord",
    "Metrics": "collector.metrics.v1.ExportMetricsServiceRequest",
    "ResourceMetrics": "metrics.v1.ResourceMetrics",
    "ScopeMetrics": "metrics.v1.ScopeMetrics",
    "Metric": "metrics.v1.Metric",
    "NumberPoints": "metrics.v1.Sum",
    "NumberPoint": "metrics.v1.NumberDataPoint",
    "HistogramPoints": "metrics.v1.Histogram",
    "HistogramPoint": "metrics.v1.HistogramDataPoint",
    "Traces": "collector.trace.v1.ExportTraceServiceRequest",
    "ResourceSpans": "trace.v1.ResourceSpans",
    "ScopeSpans": "trace.v1.ScopeSpans",
    "Span": "trace.v1.Span",
    "SpanEvent": "trace.v1.Span.Event",
    "Status": "trace.v1.Status",
    "Resource": "resource.v1.Resource",
    "Scope": "common.v1.InstrumentationScope",
    "Value": "common.v1.AnyValue",
    "ArrayValue": "common.v1.ArrayValue",
    "MapValue": "common.v1.KeyValueList",
}
LENGTH_DELIMITED = {
    FieldDescriptorProto.TYPE_MESSAGE,
    FieldDescriptorProto.TYPE_BYTES,
    FieldDescriptorProto.TYPE_STRING,
}
VARINT = {FieldDescriptorProto.TYPE_ENUM, FieldDescriptorProto.TYPE_INT32}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FileDescriptorProto]:
    """What protoc makes of every file of proto/, by the file's name."""
    out = tmp_path_factory.mktemp("proto") / "all.bin"
    files = sorted(path.relative_to(PROTO).as_posix() for path in PROTO.rglob("*.proto"))
    assert protoc.main(["protoc", f"-I{PROTO}", f"--descriptor_set_out={out}", *files]) == 0
    return {file.name: file for file in FileDescriptorSet.FromString(out.read_bytes()).file}


def running(name: str) -> FileDescriptorProto:
    """The descriptor that the compiled module of a .proto file carries."""
    module = importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
    descriptor = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(descriptor)
    return descriptor


def without_json_names(file: FileDescriptorProto) -> FileDescriptorProto:
    """protoc writes the JSON names that follow from the names into a descriptor set, but not into compiled code."""
    pending: list[DescriptorProto] = list(file.message_type)
    while pending:
        message = pending.pop()
        pending.extend(message.nested_type)
        for field in message.field:
            field.ClearField("json_name")
    return file


def test_the_compiled_file_is_what_protoc_makes_of_the_proto_file(
    compiled: dict[str, FileDescriptorProto], subtests: pytest.Subtests
) -> None:
    for name in OWN:
        with subtests.test(name=name):
            assert running(name) == without_json_names(compiled[name]), "compile it again: see proto/README.md"


def test_the_otlp_file_is_of_the_installed_packages_version(
    compiled: dict[str, FileDescriptorProto], subtests: pytest.Subtests
) -> None:
    for name in OTLP:
        with subtests.test(name=name):
            ours, theirs = shape(compiled[name].message_type), shape(running(name).message_type)
            shared = ours.keys() & theirs.keys()
            assert {key: ours[key] for key in shared} == {key: theirs[key] for key in shared}
            if version("opentelemetry-proto").startswith(GENERATED_FROM):
                assert running(name) == without_json_names(compiled[name])


def shape(messages: list[DescriptorProto], prefix: str = "") -> dict[str, tuple[int, int, int, str]]:
    """Every field by message and name: number, type, label and the message that it holds."""
    fields = {}
    for message in messages:
        inside = f"{prefix}{message.name}."
        fields |= {
            inside + field.name: (field.number, field.type, field.label, field.type_name) for field in message.field
        }
        fields |= shape(list(message.nested_type), inside)
    return fields


def test_every_message_of_the_trimmed_schema_stands_for_one_of_otlp(compiled: dict[str, FileDescriptorProto]) -> None:
    assert {message.name for message in compiled[OWN[0]].message_type} == STANDS_FOR.keys()


def test_a_trimmed_message_agrees_with_otlps_wire(
    compiled: dict[str, FileDescriptorProto], subtests: pytest.Subtests
) -> None:
    for name in STANDS_FOR:
        with subtests.test(name=name):
            own = next(message for message in compiled[OWN[0]].message_type if message.name == name)
            otlp = find(compiled, STANDS_FOR[name])
            entries = {f".receiver.codec.wire.{name}.{nested.name}" for nested in own.nested_type}
            for field in own.field:
                twin = next((twin for twin in otlp.field if twin.number == field.number), None)
                assert twin is not None, f"{name}.{field.name}: OTLP has no field {field.number}"
                assert field.name == twin.name
                assert field.label == twin.label
                if field.type_name in entries:  # a map on the wire is a repeated message of key 1 and value 2: KeyValue
                    assert twin.type_name == ".opentelemetry.proto.common.v1.KeyValue"
                else:
                    assert same_on_the_wire(field.type, twin.type), f"{name}.{field.name}"
                if field.type == FieldDescriptorProto.TYPE_MESSAGE and field.type_name not in entries:
                    held = STANDS_FOR[field.type_name.rsplit(".", 1)[-1]]
                    same_points = {
                        "metrics.v1.Gauge": "metrics.v1.Sum"
                    }  # a gauge's points are a sum's without temporality
                    told = twin.type_name.removeprefix(".opentelemetry.proto.")
                    assert same_points.get(told, told) == held


def same_on_the_wire(own: int, otlp: int) -> bool:
    return own == otlp or {own, otlp} <= VARINT or (own != otlp and {own, otlp} <= LENGTH_DELIMITED)


def find(compiled: dict[str, FileDescriptorProto], name: str) -> DescriptorProto:
    """A message of OTLP, by its name below opentelemetry.proto."""
    for file in compiled.values():
        package = file.package.removeprefix("opentelemetry.proto.") + "."
        if file.package.startswith("opentelemetry.") and name.startswith(package):
            outer, *inner = name.removeprefix(package).split(".")
            message = next((m for m in file.message_type if m.name == outer), None)
            for part in inner:
                message = next((m for m in message.nested_type if m.name == part), None) if message else None
            if message:
                return message
    raise LookupError(name)
