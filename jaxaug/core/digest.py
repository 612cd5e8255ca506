"""What arrays and files hold, in 64 hex digits (SHA-256), and cheap facts that change whenever files do."""

from __future__ import annotations

import hashlib
import os
import pathlib
from collections.abc import Iterator

import numpy as np

_CHUNK = 2**24  # bytes at a time, so that a mapped array is not brought into memory whole


def digest_of_array(array: np.ndarray) -> str:
    """The digest of an array's values, shape and dtype, of any size; about 1 GB/s."""
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}\n".encode())
    rows = max(1, _CHUNK // max(1, array[:1].nbytes)) if array.ndim else 1
    for start in range(0, len(array) if array.ndim else 1, rows):
        part = array[start : start + rows] if array.ndim else array
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def digest_of_file(path: pathlib.Path) -> str:
    """The digest of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_folder(path: pathlib.Path) -> str:
    """The digest of the names and bytes of all files below a folder. Raises OSError."""
    digest = hashlib.sha256()
    for name, entry in _files_below(path):
        digest.update(f"{name} {digest_of_file(pathlib.Path(entry.path))}\n".encode())
    return digest.hexdigest()


def facts_of(path: pathlib.Path) -> str:
    """The digest of size and times of a file, or of the names, sizes and times of all files below a folder.

    Files of the same facts hold the same; files of other facts, such as a copy's, may still do so. A million files take
    seconds. Raises OSError.
    """
    digest = hashlib.sha256()
    found = _files_below(path) if path.is_dir() else iter([("", path)])
    for name, entry in found:
        about = entry.stat()
        digest.update(f"{name} {about.st_size} {about.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _files_below(folder: pathlib.Path, prefix: str = "") -> Iterator[tuple[str, os.DirEntry]]:
    """(name below the folder, entry), sorted."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            if entry.is_dir():
                yield from _files_below(pathlib.Path(entry.path), f"{prefix}{entry.name}/")
            else:
                yield f"{prefix}{entry.name}", entry
