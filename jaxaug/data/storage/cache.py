"""Decoded arrays kept as .npy files, so that a set is decoded once per machine.

One folder per source checksum; it is written under another name and renamed when complete, so it is either
whole or absent, also with several processes at once. The digests of its files are kept in it, so that a damaged one is
noticed and decoded anew; those too large to be read every time have none.
"""

import contextlib
import json
import logging
import os
import pathlib
import shutil
import uuid
from collections.abc import Iterator

import numpy as np

from jaxaug.core.digest import digest_of_file

DIGESTS = "digests.json"  # file -> digest of its bytes
DIGESTED_UP_TO = 2**30  # bytes of a file, read in about a second


def folder_for(folder: pathlib.Path, checksum: str) -> pathlib.Path:
    """Where the arrays decoded from the source with this checksum (64 hex digits) are kept."""
    return folder / f"decoded-{checksum[:16]}"


def fetch(folder: pathlib.Path, checksum: str) -> dict[str, np.ndarray] | None:
    """The cached arrays by name: images memory-mapped read-only, the rest loaded; None if not cached."""
    arrays = {}
    try:
        known = _digests(folder_for(folder, checksum) / DIGESTS)
        for path in sorted(folder_for(folder, checksum).glob("*.npy")):
            if path.name in known and known[path.name] != digest_of_file(path):
                raise ValueError(f"{path.name} is not what was written")
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            arrays[path.stem] = array if path.stem.endswith("_image") else np.array(array)
        if missing := [name for name in known if pathlib.Path(name).stem not in arrays]:
            raise ValueError(f"{', '.join(missing)} is gone")
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
        small = [path for path in partial.glob("*.npy") if path.stat().st_size <= DIGESTED_UP_TO]
        (partial / DIGESTS).write_text(json.dumps({path.name: digest_of_file(path) for path in small}))
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


def _digests(file: pathlib.Path) -> dict[str, str]:
    """Those that were kept; a cache of an older version has none. Raises ValueError or OSError."""
    return dict(json.loads(file.read_text())) if file.exists() else {}
