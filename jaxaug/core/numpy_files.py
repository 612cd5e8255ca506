"""NumPy's files read so that whatever is wrong with one is one clear message; nothing in them is executed."""

from __future__ import annotations

import contextlib
import pathlib
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxaug.core.errors import UsageError

# What NumPy and zipfile raise for bytes that are not what they should be.
DAMAGE = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, SyntaxError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)


@contextlib.contextmanager
def open_npz(path: str | pathlib.Path) -> Iterator[Any]:
    """The open file, a mapping name -> array that reads an array when it is asked for; also `files`, its names.

    Raises:
      UsageError: there is no such file, it is no .npz, or what is read of it inside the `with` is damaged.
    """
    try:
        # NumPy calls whatever it does not know pickled data.
        if pathlib.Path(path).is_file() and not zipfile.is_zipfile(path):
            raise UsageError(f"{path} cannot be read: it is no .npz, or cut off")
        with np.load(path, allow_pickle=False) as content:
            yield content
    except UsageError:
        raise
    except DAMAGE as error:
        raise _unreadable(path, error) from error


def read_npz(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz by name. Raises UsageError as `open_npz`."""
    with open_npz(path) as content:
        return {name: content[name] for name in content.files}


def read_npy(path: str | pathlib.Path, *, mapped: bool = False) -> np.ndarray:
    """The array of an .npy, mapped into memory if that is asked for.

    Raises:
      UsageError: there is no such file, it holds several arrays, or is damaged.
    """
    try:
        found = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except DAMAGE as error:
        raise _unreadable(path, error) from error
    if not isinstance(found, np.ndarray):
        raise UsageError(f"{path} cannot be read: it holds several arrays, not one")
    return found


def _unreadable(path: str | pathlib.Path, error: Exception) -> UsageError:
    if isinstance(error, FileNotFoundError):
        return UsageError(f"{path}: there is no such file")
    told = error.strerror or error if isinstance(error, OSError) else error
    return UsageError(f"{path} cannot be read: {told}")
