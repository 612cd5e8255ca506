"""Rows whose labels are known to be right: those who judge learn from them, and they are not judged themselves."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.data.label_files import DROPPED, LABEL, ClassNames, read_table, row_named
from jaxaug.label_errors.reading import SPLITS, Rows
from jaxaug.label_errors.scores import LabelIssues

MARK = "mark"  # a column of the table that the report's page gives; of its words these say that somebody has looked
LOOKED_AT = ("right", "wrong")


def apart(rows: Rows, trusted: str) -> tuple[Rows, Rows]:
    """Part those that are trusted from those to judge.

    Args:
      rows: all of them.
      trusted: "validation" or another split, all of whose rows are right; or a .csv with one of the columns `file`,
        `path` and `index`, a line for each row that is, and if it likes with `label`, which then counts (an empty one
        leaves the row out), and `mark`, of which only "right" and "wrong" count, as in the page's `corrected.csv`.

    Returns:
      (rows to judge, rows to trust).

    Raises:
      UsageError: the file cannot be read, or no row, or every one, is trusted.
    """
    given = _of_split(rows, trusted) if trusted in SPLITS else _of_table(rows, pathlib.Path(trusted).expanduser())
    if not given:
        raise UsageError(
            f"--trusted={trusted} names none of the {len(rows.label)} rows that are judged, such as {rows.key(0)}; of "
            "data sets those are the training and validation rows"
        )
    if len(given) == len(rows.label):
        raise UsageError(f"--trusted={trusted} names all of the {len(rows.label)} rows, so that none is left to judge")
    kept = np.array([row for row, label in given.items() if label != DROPPED], np.int64)
    label = np.array([given[row] for row in kept.tolist()], np.int32)
    others = np.setdiff1d(np.arange(len(rows.label)), [*given])
    return rows.at(others), dataclasses.replace(rows.at(kept), label=label)


def with_trusted(rows: Rows, issues: LabelIssues, trusted: Rows) -> tuple[Rows, LabelIssues]:
    """Rows and what is said of them with the trusted ones behind them, as those whose labels nothing speaks against."""
    count, classes = len(trusted.label), len(rows.class_names)
    return rows.beside(trusted), issues._replace(
        score=np.concatenate([issues.score, np.zeros(count)]),
        ranking=np.concatenate([issues.ranking, len(rows.label) + np.arange(count)]),
        suggested=np.concatenate([issues.suggested, trusted.label]),
        other=np.concatenate([issues.other, (trusted.label + 1) % classes]),
    )


def _of_split(rows: Rows, split: str) -> dict[int, int]:
    names = rows.split_names or ()
    return {row: int(rows.label[row]) for row, name in enumerate(names) if name == split}


def _of_table(rows: Rows, path: pathlib.Path) -> dict[int, int]:
    numbers, given = {rows.key(row): row for row in range(len(rows.label))}, {}
    names = ClassNames(rows.class_names)
    for number, line in read_table(path, ()):
        row = numbers.get(row_named(line, by_file=rows.files is not None))
        if row is None or line.get(MARK, LOOKED_AT[0]) not in LOOKED_AT:
            continue
        own = int(rows.label[row])
        given[row] = names.number(line[LABEL], f"{path}, line {number}") if LABEL in line else own
    return given
