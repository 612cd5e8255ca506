"""Files that a killed process must not leave half written."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np

from jaxaug.core.errors import UsageError


def write_text(path: pathlib.Path, text: str) -> None:
    """Write the text so that the file has its old or its new content at every moment, whatever happens."""
    if path.exists() and path.read_text() == text:
        return
    with _replacing(path) as part:
        part.write_text(text)


def write_bytes(path: pathlib.Path, content: bytes) -> None:
    """Write the bytes, whole or not at all."""
    with _replacing(path) as part:
        part.write_bytes(content)


def write_npz(path: pathlib.Path, arrays: Mapping[str, np.ndarray], *, compressed: bool = True) -> None:
    """Write the arrays as an .npz, whole or not at all; compressing weights takes long and saves little."""
    save = np.savez_compressed if compressed else np.savez
    with _replacing(path) as part, part.open("wb") as file:
        save(file, **arrays)  # type: ignore[arg-type]


@contextlib.contextmanager
def _replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file to be written, which then takes the place of `path`. UsageError if there is no folder for it."""
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {path.parent}")
    part = path.with_name(f".{path.name}.part")
    yield part
    os.replace(part, path)
