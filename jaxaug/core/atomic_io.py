"""Files that a killed process must not leave half written."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping

import numpy as np


def write_text(path: pathlib.Path, text: str) -> None:
    """Write the text so that the file has its old or its new content at every moment, whatever happens."""
    if path.exists() and path.read_text() == text:
        return
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    os.replace(part, path)


def write_bytes(path: pathlib.Path, content: bytes) -> None:
    """Write the bytes, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)


def write_npz(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the arrays as a compressed .npz, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    os.replace(part, path)
