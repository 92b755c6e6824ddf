"""The folder of the sockets behind shared ports, and what is swept away of killed receivers' ones."""

import errno
import os
import socket
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from receiver.errors import ReceiverError
from receiver.otlp.socket_dir import private_folder, sweep


@pytest.fixture
def temporary(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("t")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def old(folder):
    os.utime(folder, (time.time() - 3600,) * 2)
    return folder


def with_socket(folder, listening):
    folder.mkdir()
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(folder / "grpc"))
    if listening:
        made.listen()
    else:
        made.close()
    old(folder)
    return made


def test_it_is_private_and_goes_when_it_is_closed(temporary):
    with private_folder() as made:
        assert Path(made).stat().st_mode & 0o777 == 0o700
    assert not list(temporary.iterdir())


def test_a_path_too_long_for_a_socket_is_told(temporary, monkeypatch):
    long = temporary / ("x" * 80)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with pytest.raises(ReceiverError, match="TMPDIR"):
        private_folder()
    assert not list(long.iterdir())


def test_no_temporary_folder_is_told(temporary, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "none"))
    with pytest.raises(ReceiverError, match="no temporary folder"):
        private_folder()


def test_without_any_temporary_folder_nothing_is_swept_and_the_reason_is_told(monkeypatch):
    """As in a container with a read-only root: Python then finds none to offer."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_get_default_tempdir", nowhere)
    sweep()
    with pytest.raises(ReceiverError, match="no temporary folder: No usable"):
        private_folder()


def nowhere(*_: object) -> str:
    raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")


def test_only_what_nobody_listens_in_is_swept_away(temporary):
    with_socket(temporary / "otr-dead", listening=False)
    with closing(with_socket(temporary / "otr-alive", listening=True)):
        (temporary / "otr-new").mkdir()
        old(temporary / "otr-new")
        (temporary / "otr-starting").mkdir()
        (temporary / "other").mkdir()
        (temporary / "otr-mine").mkdir()
        (temporary / "otr-mine" / "notes").touch()
        old(temporary / "otr-mine")
        (temporary / "otr-link").symlink_to(temporary / "other")
        sweep()
        left = {one.name for one in temporary.iterdir()}
    assert left == {"otr-alive", "otr-starting", "other", "otr-mine", "otr-link"}
