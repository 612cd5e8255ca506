"""Decoded arrays kept as .npy files, so that a set is decoded once per machine.

One folder per source checksum; it is written under another name and renamed when complete, so it is either
whole or absent, also with several processes at once.
"""

import contextlib
import logging
import os
import pathlib
import shutil
import uuid
from collections.abc import Iterator

import numpy as np


def folder_for(folder: pathlib.Path, checksum: str) -> pathlib.Path:
    """Where the arrays decoded from the source with this checksum (64 hex digits) are kept."""
    return folder / f"decoded-{checksum[:16]}"


def fetch(folder: pathlib.Path, checksum: str) -> dict[str, np.ndarray] | None:
    """The cached arrays by name: images memory-mapped read-only, the rest loaded; None if not cached."""
    arrays = {}
    try:
        for path in sorted(folder_for(folder, checksum).glob("*.npy")):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            arrays[path.stem] = array if path.stem.endswith("_image") else np.array(array)
    except (OSError, ValueError, EOFError) as error:
        logging.getLogger(__name__).warning("ignored a damaged cache in %s: %s", folder, error)
        return None
    return arrays or None


def save(folder: pathlib.Path, checksum: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Caches arrays and returns them as `fetch` would.

    A folder that cannot be written is no error: the arrays are returned as they came, with a warning.
    """
    try:
        with writing(folder, checksum) as partial:
            for name, array in arrays.items():
                np.save(partial / f"{name}.npy", array, allow_pickle=False)
    except OSError as error:
        logging.getLogger(__name__).warning("decoded arrays are not cached: %s", error)
    return fetch(folder, checksum) or arrays


@contextlib.contextmanager
def writing(folder: pathlib.Path, checksum: str) -> Iterator[pathlib.Path]:
    """A new folder for <name>.npy files, which `fetch` finds once the block has ended well. Raises OSError."""
    final = folder_for(folder, checksum)
    # Not tempfile.mkdtemp: its folders are closed to other users, who may share this cache.
    partial = folder / f"partial-{uuid.uuid4().hex}"
    partial.mkdir(parents=True)
    try:
        yield partial
        if final.exists() and fetch(folder, checksum) is None:
            shutil.rmtree(final)
        try:
            os.replace(partial, final)
        except OSError:
            # Another process may have finished the same folder first, which is as good.
            if not final.exists():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
