"""A file or folder that only one process may work on at a time."""

from __future__ import annotations

import os
import pathlib


def hold(path: pathlib.Path) -> int:
    """A descriptor of a file or folder that is there: no one else can hold it until that is closed or the process ends.

    Where the system or the file system has no locks, anyone can.

    Raises:
      BlockingIOError: someone else holds it.
      OSError: it cannot be opened.
    """
    held = os.open(path, os.O_RDONLY)
    try:
        import fcntl

        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise
    except (ImportError, OSError):
        pass
    return held
