"""The extensions' settings: the store, and the two side doors for operators."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

from receiver.config.model.section import Flag, Listen, PositiveDuration, Section, Size, Text, TypeName, duration_field


def _absolute(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f"{value!r} does not begin with /; write /{value}")
    return value


class FileStorage(Section):
    """The store: sessions that are open and batches that wait. It always runs, listed or not."""

    directory: Text = Field(
        description="where the store lies; `~/` is the home directory",
        json_schema_extra={"default": "$XDG_STATE_HOME/opencode-trace-receiver, or under ~/.local/state"},
    )
    create_directory: Flag = Field(default=True, description="make the directory where it is missing")
    fsync: Flag = Field(
        default=True, description="acknowledge only what is on disk; false survives a crash, not a power cut"
    )
    retention: PositiveDuration = duration_field(
        "168h", "remember which spans have left for this long after a session closed"
    )
    max_size_mib: Size = Field(
        default=0,
        description="refuse requests (retryable) while the store's data takes more than this many MiB; 0: no limit",
    )


class HealthCheck(Section):
    """Health over HTTP, as the Collector's health_check."""

    endpoint: Listen = Field(default="localhost:13133", description="address to listen on")
    path: Annotated[str, AfterValidator(_absolute), TypeName("path")] = Field(
        default="/", description="path that is answered"
    )


class Admin(Section):
    """The admin gRPC service, which `sessions`, `tree` and `flush` ask."""

    endpoint: Listen = Field(
        default="localhost:13134", description="address to listen on; it has no authentication, so keep it local"
    )


Extension: TypeAlias = FileStorage | HealthCheck | Admin
