"""The extensions' settings: the store, and the two endpoints for operators."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

from receiver.config.model.section import Flag, Listen, PositiveDuration, Section, Size, Text, TypeName, duration_field


def _absolute(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f"{value!r} does not begin with /; write /{value}")
    return value


class FileStorage(Section):
    """The store of open sessions and queued batches. It always runs, listed or not."""

    directory: Text = Field(
        description="directory of the store; `~/` is the home directory",
        json_schema_extra={"default": "$XDG_STATE_HOME/opencode-trace-receiver, or the same in ~/.local/state"},
    )
    create_directory: Flag = Field(default=True, description="create the directory if it is missing")
    fsync: Flag = Field(
        default=True,
        description="acknowledge a request once it is on disk; false survives a crash, but not a power failure",
    )
    retention: PositiveDuration = duration_field(
        "168h", "remember the sent spans of a session for this long after it closed"
    )
    max_size_mib: Size = Field(
        default=0,
        description="refuse requests (retryable) while the store's data exceeds this many MiB; 0: no limit",
    )


class HealthCheck(Section):
    """Health over HTTP, like the Collector's health_check."""

    endpoint: Listen = Field(default="localhost:13133", description="address to listen on")
    path: Annotated[str, AfterValidator(_absolute), TypeName("path")] = Field(
        default="/", description="path of the health answer"
    )


class Admin(Section):
    """The admin gRPC service for the commands `sessions`, `tree` and `flush`."""

    endpoint: Listen = Field(
        default="localhost:13134", description="address to listen on; there is no authentication, so keep it local"
    )


Extension: TypeAlias = FileStorage | HealthCheck | Admin
