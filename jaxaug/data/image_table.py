"""Image files with their labels in a table, as competitions and annotation tools give them."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.data.label_files import LABEL, class_number, read_table, row_named

SPLIT = "split"
# What the rows of a split may be called.
SPLIT_NAMES = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}


@dataclasses.dataclass(frozen=True, eq=False)
class ImageTable:
    """The rows of a table, in its order.

    Attributes:
      files: of each row, as the table names it.
      label: int32 [N], -1 where it is empty.
      class_names: the labels, numbers by their size and all else by the alphabet.
      splits: "train", "validation" or "test" of each row, None where the table has no such column.
    """

    files: tuple[str, ...]
    label: np.ndarray
    class_names: tuple[str, ...]
    splits: tuple[str, ...] | None = None


def read_image_table(path: pathlib.Path) -> ImageTable:
    """Read a .csv with the columns `file` (or `path`) and `label`, and perhaps `split`.

    Raises:
      UsageError: the file cannot be read, a column is missing, a row has no file or one that another row has, or a
        split is called otherwise.
    """
    lines = read_table(path, (LABEL,))
    files = tuple(row_named(line, by_file=True) for line in lines)
    first: dict[str, int] = {}
    for number, file in enumerate(files, start=2):
        if not file:
            raise UsageError(f"{path}, line {number}: it names no file")
        if first.setdefault(file, number) != number:
            raise UsageError(f"{path}, line {number}: {file} is in line {first[file]} already, and a row has one label")
    words = {(line[LABEL] or "").strip() for line in lines} - {""}
    names = tuple(sorted(words, key=int) if all(map(str.isdecimal, words)) else sorted(words))
    label = np.array([class_number(line[LABEL], names, str(path)) for line in lines], np.int32)
    has_splits = bool(lines) and SPLIT in lines[0]
    splits = tuple(_split(line[SPLIT], f"{path}, line {i}") for i, line in enumerate(lines, start=2) if has_splits)
    return ImageTable(files, label, names, splits if has_splits else None)


def _split(word: str | None, where: str) -> str:
    found = SPLIT_NAMES.get((word or "").strip().lower())
    if found is None:
        raise UsageError(f"{where}: the split {word!r} must be train, validation (or val) or test")
    return found
