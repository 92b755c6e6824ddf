"""The private directory for the sockets behind shared ports, and the removal of those of killed receivers."""

import errno
import os
import socket
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from receiver.errors import ReceiverError
from receiver.otlp.socket_dir import private_socket_dir, remove_stale_socket_dirs


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


def test_a_socket_dir_is_private_and_removed_when_it_is_closed(temporary):
    with private_socket_dir() as made:
        assert Path(made).stat().st_mode & 0o777 == 0o700
    assert not list(temporary.iterdir())


def test_a_path_too_long_for_a_socket_is_an_error(temporary, monkeypatch):
    long = temporary / ("x" * 80)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with pytest.raises(ReceiverError, match="TMPDIR"):
        private_socket_dir()
    assert not list(long.iterdir())


def test_a_missing_temporary_directory_is_an_error(temporary, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "none"))
    with pytest.raises(ReceiverError, match="no temporary directory"):
        private_socket_dir()


def test_without_a_temporary_directory_nothing_is_removed_and_the_error_has_the_reason(monkeypatch):
    """As in a container with a read-only root, where Python finds none."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_get_default_tempdir", nowhere)
    remove_stale_socket_dirs()
    with pytest.raises(ReceiverError, match="no temporary directory: No usable"):
        private_socket_dir()


def nowhere(*_: object) -> str:
    raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")


def test_only_directories_without_a_listening_receiver_are_removed(temporary):
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
        remove_stale_socket_dirs()
        remaining = {one.name for one in temporary.iterdir()}
    assert remaining == {"otr-alive", "otr-starting", "other", "otr-mine", "otr-link"}
