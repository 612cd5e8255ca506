"""Image files with their labels in a table, as competitions and annotation tools give them."""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.data.label_files import LABEL, read_table, row_named, whole_number
from jaxaug.data.splits import SPLIT_WORDS

SPLIT = "split"
FILE_COLUMNS = ("file", "path")
UNKNOWN = ("-1", "-1.0")  # among numbers: a row without a label
_SPLIT_OF = {word: split for split, words in SPLIT_WORDS.items() for word in words}


@dataclasses.dataclass(frozen=True, eq=False)
class ImageTable:
    """The rows of a table, in its order.

    Attributes:
      files: of each row, as the table names it.
      label: int32 [N], -1 where it is empty.
      class_names: the labels, whole numbers by their size and all else by the alphabet.
      splits: "train", "validation" or "test" of each row, None where the table has no such column.
    """

    files: tuple[str, ...]
    label: np.ndarray
    class_names: tuple[str, ...]
    splits: tuple[str, ...] | None = None


def read_image_table(path: pathlib.Path) -> ImageTable:
    """Read a .csv with the columns `file` (or `path`) and `label`, and perhaps `split`.

    Blanks around words are passed over. Where all labels are whole numbers, "2.0" is "2", and "-1" is no label.

    Raises:
      UsageError: the file cannot be read, a column is missing, a row has no file or one that another row has, a number
        is written in two ways, or a split is called otherwise.
    """
    numbered = read_table(path, (LABEL,), FILE_COLUMNS)
    if not numbered:
        raise UsageError(f"{path} has a header and no rows")
    lines = [line for _, line in numbered]
    files = tuple(row_named(line, by_file=True).strip() for line in lines)
    _check_files(path, {number: file for (number, _), file in zip(numbered, files, strict=True)})
    words = [(line[LABEL] or "").strip() for line in lines]
    if all(whole_number(word) is not None for word in {*words} - {"", *UNKNOWN}):
        words = ["" if word in UNKNOWN else word.partition(".")[0] for word in words]
    names = _class_names(path, {*words} - {""})
    of_names = {"": -1, **{name: number for number, name in enumerate(names)}}
    label = np.array([of_names[word] for word in words], np.int32)
    has_splits = SPLIT in lines[0]
    splits = tuple(_split(line[SPLIT], f"{path}, line {number}") for number, line in numbered if has_splits)
    return ImageTable(files, label, names, splits if has_splits else None)


def _check_files(path: pathlib.Path, files: dict[int, str]) -> None:
    """Raises UsageError unless each line names a file of its own, however it is written."""
    first: dict[str, int] = {}
    for number, file in files.items():
        if not file:
            raise UsageError(f"{path}, line {number}: it names no file")
        before = first.setdefault(os.path.normpath(path.parent / file), number)
        if before != number:
            raise UsageError(f"{path}, line {number}: {file} is in line {before} already, and a row has one label")


def _class_names(path: pathlib.Path, words: set[str]) -> tuple[str, ...]:
    """The labels: numbers by their size, else by the alphabet."""
    values = {word: whole_number(word) for word in words}
    if None in values.values():
        return tuple(sorted(words))
    found = sorted(words, key=lambda word: (int(word), word))
    for one, other in itertools.pairwise(found):
        if values[one] == values[other]:
            raise UsageError(f"{path}: the labels {one!r} and {other!r} are one number: write them alike")
    return tuple(found)


def _split(word: str | None, where: str) -> str:
    found = _SPLIT_OF.get((word or "").strip().lower())
    if found is None:
        raise UsageError(f"{where}: the split {word!r} must be train, validation (or val) or test")
    return found
