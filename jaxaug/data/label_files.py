"""Labels of training rows from a file of their own: corrected ones, or those that other people gave."""

from __future__ import annotations

import csv
import dataclasses
import logging
import pathlib
import re
from collections.abc import Mapping, Sequence

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.numpy_files import read_npy
from jaxaug.data.dataset import Dataset, Split

KEYS = ("file", "path", "index")  # columns that may say which row a line is about
LABEL = "label"
OTHERS = "*"  # in the place of a row: all rows that no line names
DROPPED = -1
_WITHOUT = -2  # of a row that had no label and gets none


def relabel(data: Dataset, path: str) -> Dataset:
    """The data set with the labels of a file for its training rows; rows whose label there is empty are left out.

    Validation and test rows keep theirs, those cut off the training rows too. What was known of true labels is kept.

    Args:
      data: the set.
      path: a .csv with a column `label` and one of `file`, `path` and `index`, one line a row: labels are names of
        classes or their numbers, an empty one drops the row. Rows that no line names keep their label, or stay without
        one, or get that of the line about "*", which drops none that had no label. Or a .npy of integers, one for each
        training row before any was cut off, -1 for a row to drop, or, if it had no label, to stay without one.

    Raises:
      UsageError: the file cannot be read, has another form, an unknown class, or names none of the rows.
    """
    file = pathlib.Path(path).expanduser()
    if not file.is_file():
        raise UsageError(f"{data.name}: there is no file {file.absolute()} (labels)")
    label = _from_npy(data, file) if file.suffix.lower() == ".npy" else _from_csv(data, file)
    kept = np.flatnonzero(label != DROPPED)
    if not len(kept):
        raise UsageError(f"{data.name}: {file} drops every training row")
    given = np.select([label == DROPPED, label == _WITHOUT], [0, -1], label).astype(np.int32)
    train = Split(data.train.image, given, data.train.index)
    clean = data.clean_label
    if clean is not None:
        # Of a row that had no label nothing was known: what is given now is taken for right.
        clean = np.where((clean == -1) & (given >= 0), given, clean)
    replaced = dataclasses.replace(data, train=train, clean_label=clean)
    return replaced if len(kept) == len(label) else replaced.keep(kept)


def read_table(
    path: pathlib.Path, needs: Sequence[str], keys: Sequence[str] = KEYS
) -> list[tuple[int, dict[str, str]]]:
    """(number, cells) of the lines of a CSV with a header, whose words may be capitals and have blanks around them.

    Args:
      path: of the file, UTF-8.
      needs: columns it must have.
      keys: of which one is enough.

    Raises:
      UsageError: the file cannot be read, or a column is missing.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            titles = [title.strip().lower() for title in reader.fieldnames or ()]
            reader.fieldnames = titles
            lines = [(reader.line_num, line) for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read as a table: {error}") from error
    if not (set(needs) <= set(titles) and set(keys) & set(titles)):
        raise UsageError(
            f"{path} has the columns {', '.join(titles) or 'of no header'}: it needs {', '.join(needs)} and one of "
            f"{', '.join(keys)}"
        )
    return lines


def row_named(line: Mapping[str, str], by_file: bool) -> str:
    """The file or the index that a line of `read_table` is about, "" if it tells none."""
    return (line.get("file") or line.get("path") or "") if by_file else (line.get("index") or "")


def whole_number(word: str) -> int | None:
    """What a word such as "1", "01" or "1.0" says; None for other words."""
    found = re.fullmatch(r"(\d+)(\.0+)?", word)
    return int(found[1]) if found else None


class ClassNames:
    """The classes that the words of a table mean.

    Args:
      names: of the classes, in their order.
    """

    def __init__(self, names: Sequence[str]):
        self._names = names
        self._by_name = {name: number for number, name in enumerate(names)}
        values = [whole_number(name) for name in names]
        # Where names are numbers themselves, a number is the class of that value, however it is written, and never the
        # class in that place.
        own = {value: number for number, value in enumerate(values) if value is not None}
        self._by_value = own if None not in values else dict(enumerate(range(len(names))))
        if len(own) < len(values) - values.count(None):
            self._by_value = {}

    def number(self, label: str, where: str) -> int:
        """The class of that name, or of that number; -1 for an empty label.

        Raises:
          UsageError: no class has the name or the number; `where` tells the place.
        """
        label = (label or "").strip()
        if not label:
            return DROPPED
        value = whole_number(label)
        found = self._by_name.get(label, None if value is None else self._by_value.get(value))
        if found is None:
            told = ", ".join(self._names[:10]) + (", ..." if len(self._names) > 10 else "")
            raise UsageError(f"{where}: no class is called {label!r}; classes are {told}")
        return found


def _from_npy(data: Dataset, path: pathlib.Path) -> np.ndarray:
    try:
        label = read_npy(path)
    except UsageError as error:
        raise UsageError(f"{data.name}: {error}") from error
    possible = _rows_before_the_cut(data)
    if label.dtype.kind not in "iu" or label.ndim != 1 or len(label) not in possible:
        rows, told = possible[0], f"{label.dtype}{list(label.shape)}"
        raise UsageError(f"{data.name}: {path} holds {told}; {rows} training rows need integers [{rows}]")
    unknown = np.flatnonzero((label < DROPPED) | (label >= data.num_classes))
    if unknown.size:
        raise UsageError(
            f"{data.name}: {path} gives row {unknown[0]} the label {label[unknown[0]]}; with {data.num_classes} "
            f"classes it must be 0..{data.num_classes - 1}, or {DROPPED} to drop the row"
        )
    given, before = label[data.train.index], data.train.label
    return np.where((given == DROPPED) & (before < 0), _WITHOUT, given)


def _rows_before_the_cut(data: Dataset) -> tuple[int, ...]:
    """How many rows the source may have called training rows, the likeliest number first.

    Rows that were cut off them lie between theirs; where all of those come last, or the set has validation rows of its
    own, which are numbered after the training rows, both numbers are possible.
    """
    last = int(data.train.index.max()) + 1
    cut = max([last, *(data.validation.index + 1).tolist()])
    return (last, cut) if len(data.train) == last else (cut,)


def _from_csv(data: Dataset, path: pathlib.Path) -> np.ndarray:
    lines = read_table(path, (LABEL,))
    by_file = data.files is not None and not {"file", "path"}.isdisjoint(lines[0][1] if lines else ())
    numbers = {data.files[row] if by_file and data.files else str(row): i for i, row in enumerate(data.train.index)}
    names = ClassNames(data.class_names)
    label, named, of_others = np.where(data.train.label < 0, _WITHOUT, data.train.label), set(), None
    for number, line in lines:
        key = row_named(line, by_file)
        row = numbers.get(key)
        if row is not None or key == OTHERS:
            given = names.number(line[LABEL], f"{data.name}: {path}, line {number}")
        if row is not None:
            label[row] = given
            named.add(row)
        elif key == OTHERS:
            of_others = given
    if not named:
        rows = "files such as " + next(iter(numbers)) if by_file else f"an index from 0 to {data.train.index.max()}"
        raise UsageError(f"{data.name}: {path} names none of the {len(label)} training rows, which are {rows}")
    _tell(path, len(label), len(named), len(lines), of_others)
    if of_others is not None:
        others = np.setdiff1d(np.arange(len(label)), [*named])
        # What has no label has none that could be wrong.
        others = others[label[others] != _WITHOUT] if of_others == DROPPED else others
        label[others] = of_others
    return label


def _tell(path: pathlib.Path, rows: int, named: int, lines: int, of_others: int | None) -> None:
    log, what = logging.getLogger(__name__), {None: "keep their label", DROPPED: "are left out if they had one"}
    if named < rows:
        told = what.get(of_others, f'get that of "{OTHERS}"')
        log.warning("%s: %d of %d training rows are not named and %s", path, rows - named, rows, told)
    about_rows = lines - (of_others is not None)
    if named < about_rows:
        log.warning("%s: %d lines are about rows that are no training rows", path, about_rows - named)
