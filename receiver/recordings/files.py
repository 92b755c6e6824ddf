"""Finds and reads recorded OTLP requests.

There are three forms: one Export request a file, named `NNNN-<logs|metrics|traces>[-anything].pb` (protobuf) or
`.json` (OTLP/JSON); one Export request a line, as the Collector's `file` exporter writes them; and a session as
`opencode export` prints it, which becomes a request with logs (opencode_export.py). Each may be gzipped (`.gz`). In a
folder all other files are ignored; a file given by name must be a recording.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
from google.protobuf.message import DecodeError

from receiver.codec import otlp_json
from receiver.codec.export_service import EXPORT_SERVICES
from receiver.errors import InputError, MalformedError
from receiver.model import Signal
from receiver.recordings import opencode_export

_NUMBERED = re.compile(r"\d+-(logs|metrics|traces)(?:-[^/]*)?\.(pb|json)(?:\.gz)?")
_LINES = re.compile(r"\.jsonl?(?:\.gz)?$")
_SIGNAL_OF: dict[str, Signal] = {"resourceLogs": "logs", "resourceMetrics": "metrics", "resourceSpans": "traces"}
_RECORDING_START = re.compile(
    rb'\s*\{\s*(?:"(?:resourceLogs|resourceMetrics|resourceSpans)"|"info"\s*:\s*\{\s*"id"\s*:\s*"ses_)'
)
_PEEK_BYTES = 4096
_FORMS = "NNNN-<logs|metrics|traces>.pb or .json files, a Collector's file exporter output, or an `opencode export`"


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded Export request. `source` is `path` or `path:line`, `body` the serialized protobuf message."""

    source: str
    signal: Signal
    body: bytes


def read_recordings(paths: Iterable[str | Path]) -> Iterator[Recording]:
    """All requests of `paths` (files and folders), in the order given; within a folder by file name.

    Raises InputError when it comes to a path that cannot be read or is no recording.
    """
    for path in recorded_files(paths):
        yield from _read(path)


def recorded_files(paths: Iterable[str | Path]) -> list[Path]:
    """The files that read_recordings() reads, in its order. Raises InputError."""
    return [file for path in paths for file in _files(Path(path))]


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if not path.is_dir():
        return [path]
    found = sorted(
        Path(folder, name)
        for folder, _, names in os.walk(path, onerror=_cannot_list)
        for name in names
        if _is_recording(Path(folder, name))
    )
    if not found:
        raise InputError(f"{path}: no recorded OTLP requests in this folder; expected {_FORMS}")
    return found


def _cannot_list(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot read the folder: {error.strerror}") from None


def _is_recording(path: Path) -> bool:
    if _NUMBERED.fullmatch(path.name):
        return True
    return _LINES.search(path.name) is not None and path.is_file() and _starts_like_a_recording(path)


def _starts_like_a_recording(path: Path) -> bool:
    try:
        with _open(path) as file:
            return _RECORDING_START.match(file.read(_PEEK_BYTES)) is not None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return False
    except OSError as error:
        raise _unreadable(path, error) from None


def _read(path: Path) -> Iterator[Recording]:
    numbered = _NUMBERED.fullmatch(path.name)
    try:
        with _open(path) as file:
            if numbered is None:
                yield from _read_lines(path, file)
            else:
                signal = cast(Signal, numbered[1])
                body = file.read()
                yield _from_json(str(path), signal, body) if numbered[2] == "json" else _from_pb(path, signal, body)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: not valid gzip: {error}; record or copy the file again") from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _read_lines(path: Path, file: BinaryIO) -> Iterator[Recording]:
    first = file.read(_PEEK_BYTES)
    if not first.strip():
        raise InputError(f"{path}: the file is empty; expected {_FORMS}")
    if not first.lstrip().startswith(b"{"):
        raise InputError(f"{path}: not a recording; expected {_FORMS}")
    file.seek(0)
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        source = f"{path}:{number}"
        try:
            keys = _keys(line)
        except msgspec.DecodeError as error:
            if number > 1:
                raise InputError(f"{source}: not JSON: {error}; remove the line if it was cut off") from None
            yield _whole(path, line + file.read())
            return
        yield _from_document(source, keys, line)


def _whole(path: Path, body: bytes) -> Recording:
    """A file with one document on several lines."""
    try:
        keys = _keys(body)
    except msgspec.DecodeError as error:
        at = f"{error}" if "byte" in str(error) else f"{error} (byte {len(body)})"
        raise InputError(f"{path}: not JSON: {at}; expected {_FORMS}") from None
    return _from_document(str(path), keys, body)


def _from_document(source: str, keys: Iterable[str], body: bytes) -> Recording:
    if not opencode_export.KEYS.issubset(keys):
        return _from_json(source, _signal(source, keys), body)
    try:
        return Recording(source, "logs", opencode_export.logs_request(body))
    except MalformedError as error:
        raise InputError(f"{source}: not a session as `opencode export` prints it: {error}") from None


def _keys(document: bytes) -> Iterable[str]:
    try:
        return msgspec.json.decode(document, type=dict[str, msgspec.Raw]).keys()
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None


def _signal(source: str, keys: Iterable[str]) -> Signal:
    signals = {_SIGNAL_OF[key] for key in keys if key in _SIGNAL_OF}
    if len(signals) != 1:
        raise InputError(f"{source}: expected one Export request a line, with one of {', '.join(_SIGNAL_OF)}")
    return signals.pop()


def _from_json(source: str, signal: Signal, body: bytes) -> Recording:
    try:
        return Recording(source, signal, otlp_json.to_protobuf(signal, body))
    except MalformedError as error:
        raise InputError(f"{source}: not an OTLP/JSON Export request for {signal}: {error}") from None


def _from_pb(path: Path, signal: Signal, body: bytes) -> Recording:
    try:
        EXPORT_SERVICES[signal].request.FromString(body)
    except DecodeError:
        raise InputError(
            f"{path}: not a protobuf Export request for {signal}; the file's name gives the signal, and a file has one "
            "request"
        ) from None
    return Recording(str(path), signal, body)


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb"))


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot read: {error.strerror or error}")
