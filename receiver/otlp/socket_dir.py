"""Makes the private directory for the Unix sockets behind shared ports, and removes those of killed receivers.

It is in the system's temporary directory and not next to the store: not every volume for a store supports sockets.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
import time
from pathlib import Path

from receiver.errors import ReceiverError

_PREFIX = "otr-"
_MAX_PATH_BYTES = 96  # a socket's path may have 103 on macOS, of which seven are for its name
_STARTUP_SECONDS = 60.0  # a starting receiver's directory may have no socket yet


def private_socket_dir() -> tempfile.TemporaryDirectory[str]:
    """A new directory that only this user can read; closing it removes it. Raises ReceiverError."""
    try:
        made = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
    except OSError as error:
        raise ReceiverError(f"there is no temporary directory: {error.strerror}") from None
    if len(os.fsencode(made.name)) > _MAX_PATH_BYTES:
        made.cleanup()
        raise ReceiverError("the temporary directory's path (TMPDIR) is too long for a socket")
    return made


def remove_stale_socket_dirs() -> None:
    """Remove the directories of killed receivers: this user's, not new, and without a listening socket."""
    try:
        temporary = Path(tempfile.gettempdir())
    except OSError:  # a container with a read-only root and no volume for it
        return
    for directory in temporary.glob(f"{_PREFIX}*"):
        try:
            status = directory.lstat()
            ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
            if (
                ours
                and time.time() - status.st_mtime > _STARTUP_SECONDS
                and not any(map(_is_in_use, directory.iterdir()))
            ):
                shutil.rmtree(directory, ignore_errors=True)
        except OSError:
            continue  # another receiver removed it


def _is_in_use(path: Path) -> bool:
    """Whether a receiver listens at the socket; True also for any other file, which is not this program's to remove."""
    if not path.is_socket():
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True
