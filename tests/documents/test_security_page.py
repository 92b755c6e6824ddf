"""What docs/security.md promises of files and doors, looked at from outside of a running receiver."""

from __future__ import annotations

import stat
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from receiver import config
from receiver.codec.export_service import EXPORT_SERVICES
from tests.support.otlp_requests import recorded
from tests.support.paths import DOCS
from tests.support.processes import Receiver, until

CAPTURE = recorded("parallel-nested")
PAGE = (DOCS / "security.md").read_text(encoding="utf-8")


@pytest.fixture
def receiver(tmp_path):
    made = Receiver(tmp_path / "receiver")
    made.settings["receivers"]["otlp"]["protocols"]["grpc"]["auth"] = {"bearer_token": "hunter2"}
    yield made
    made.kill()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.process
def test_only_its_user_reads_what_it_writes(tmp_path):
    receiver = Receiver(tmp_path / "receiver")
    written = tmp_path / "spans.jsonl"
    receiver.settings["exporters"] = {"file": {"path": str(written)}}
    receiver.start()
    try:
        receiver.send(*CAPTURE)
        until(lambda: written.exists() and written.stat().st_size, "the first spans")
        store = receiver.folder / "store"
        assert mode(store) == 0o700
        assert [mode(file) for file in (*store.iterdir(), written)] == [0o600] * (len(list(store.iterdir())) + 1)
    finally:
        receiver.kill()


def test_nothing_listens_beyond_loopback_unless_told(tmp_path):
    settings = config.load([], [], {"HOME": str(tmp_path)})
    protocols = settings.receivers["otlp"].protocols
    doors = [
        protocols.grpc.endpoint,
        protocols.http.endpoint,
        settings.health_check.endpoint,
        settings.admin.endpoint,
        settings.service.telemetry.metrics.address,
    ]
    assert {door.rpartition(":")[0] for door in doors} == {"localhost"}
    assert all(f"`{door}`" in PAGE for door in doors)
    assert settings.notices == ()


@pytest.mark.parametrize(
    "setting", ["receivers::otlp::protocols::grpc::endpoint=0.0.0.0:4317", "extensions::admin::endpoint=0.0.0.0:13134"]
)
def test_a_door_that_is_open_to_all_is_warned_about_once(tmp_path, setting):
    settings = config.load([], [setting], {"HOME": str(tmp_path)})
    assert len(settings.notices) == 1


def test_content_is_out_by_default_except_errors(tmp_path):
    settings = config.load([], [], {"HOME": str(tmp_path)})
    assert settings.connector.capture_content == ("errors",)
    assert "`[errors]` by default" in PAGE


@pytest.mark.process
def test_health_and_reflection_answer_without_credentials_and_export_does_not(receiver):
    receiver.start()
    with grpc.insecure_channel(receiver.grpc) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        (told,) = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(asked, timeout=60)
        assert EXPORT_SERVICES["logs"].name in {one.name for one in told.list_services_response.service}
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary(f"/{EXPORT_SERVICES['logs'].name}/Export")(CAPTURE[0].body, timeout=60)
        assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.process
def test_the_log_holds_no_secret_at_any_level(receiver):
    receiver.settings["service"]["telemetry"]["logs"]["level"] = "debug"
    receiver.settings["exporters"] = {
        "otlp_grpc": {"endpoint": "http://127.0.0.1:9", "headers": {"authorization": "Bearer hunter3"}}
    }
    receiver.start()
    with grpc.insecure_channel(receiver.grpc) as channel:
        export = channel.unary_unary(f"/{EXPORT_SERVICES['logs'].name}/Export")
        for token in ("hunter2", "hunter4"):
            try:
                export(CAPTURE[0].body, timeout=60, metadata=(("authorization", f"Bearer {token}"),))
            except grpc.RpcError as error:
                refusal = error
        assert refusal.code() is grpc.StatusCode.UNAUTHENTICATED
    until(lambda: "refused" in receiver.log, "the refusal")
    receiver.stop()
    assert "hunter" not in receiver.log + receiver.shown
