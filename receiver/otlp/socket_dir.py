"""A folder that only this user can look into, for the sockets behind shared ports; and what killed receivers left.

In the temporary folder and not beside the store, since not every volume that holds a store can hold a socket.
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
_LONGEST = 96  # bytes; a socket's path has 103 on macOS, and seven are for its name
_STARTING = 60.0  # s in which a folder may have no socket yet


def private_folder() -> tempfile.TemporaryDirectory[str]:
    """A new folder, gone when it is closed. Raises ReceiverError."""
    try:
        made = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
    except OSError as error:
        raise ReceiverError(f"there is no temporary folder: {error.strerror}") from None
    if len(os.fsencode(made.name)) > _LONGEST:
        made.cleanup()
        raise ReceiverError("the path of the temporary folder (TMPDIR) is too long for a socket's")
    return made


def sweep() -> None:
    """Remove the folders of receivers that were killed: ours, not new, and nobody listens in them."""
    try:
        temporary = Path(tempfile.gettempdir())
    except OSError:  # a root that nobody may write, as in a container, and nothing mounted for it
        return
    for folder in temporary.glob(f"{_PREFIX}*"):
        try:
            status = folder.lstat()
            ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
            if ours and time.time() - status.st_mtime > _STARTING and not any(map(_listens, folder.iterdir())):
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # somebody else was faster


def _listens(path: Path) -> bool:
    """Whether somebody does; true of whatever is no socket, for that is not ours to judge."""
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
