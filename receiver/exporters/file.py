"""The `file` exporter: appends each Export request to a file, as the Collector's does.

`json`: one line of OTLP/JSON each. `proto`: the serialized message, after its length in four bytes, big-endian.
A request is in the file completely or not at all: a write that fails is truncated again.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Literal

from receiver.codec import otlp_json
from receiver.errors import ConfigError, MalformedError, PermanentExportError, RetryableExportError
from receiver.model import Signal

# Only the user may read it: spans may contain captured content.
_MODE = 0o600


class FileExporter:
    """Appends each export() to `path`. Creates a missing file, but no directory."""

    def __init__(self, name: str, path: str | Path, *, format: Literal["json", "proto"] = "json") -> None:
        self.name = name
        self._path = Path(path)
        self._format = format
        self._file = -1
        self._lock = Lock()  # the thread of a cancelled export() goes on writing

    async def start(self) -> None:
        """Open the file. Raises ConfigError."""
        try:
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        except OSError as error:
            raise ConfigError(f"exporters::{self.name}::path: cannot open {self._path}: {error.strerror}") from None

    async def export(self, signal: Signal, body: bytes, items: int) -> None:
        """Append one serialized Export request. Raises PermanentExportError or RetryableExportError."""
        try:
            await asyncio.to_thread(self._append, signal, body)
        except MalformedError as error:
            raise PermanentExportError(str(error)) from None
        except OSError as error:
            raise RetryableExportError(f"cannot write {self._path}: {error.strerror}") from None

    async def stop(self) -> None:
        """Close the file, after a running write."""
        await asyncio.to_thread(self._close)

    def _append(self, signal: Signal, body: bytes) -> None:
        record = self._record(signal, body)
        with self._lock:
            end = os.fstat(self._file).st_size
            try:
                while record:
                    record = record[os.write(self._file, record) :]
            except OSError:
                with suppress(OSError):  # a pipe cannot be truncated
                    os.ftruncate(self._file, end)
                raise

    def _close(self) -> None:
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _record(self, signal: Signal, body: bytes) -> bytes:
        if self._format == "proto":
            return len(body).to_bytes(4, "big") + body
        return otlp_json.from_protobuf(signal, body).encode() + b"\n"
