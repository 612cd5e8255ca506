"""Every training row of a run as a line of a table, the most suspicious label first."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxaug.data.dataset import Dataset

# What a table tells under other names, or in another place.
_KNOWN = ("index", "given", "clean", "says", "says_given", "says_share")


def label_table(found: Mapping[str, np.ndarray], data: Dataset, loss: np.ndarray, order: np.ndarray) -> str:
    """The table as CSV: rank, index, file, given and suggested class, loss, what was learned, the model, the truth.

    Args:
      found: arrays of `per_example.npz`, rows in the order of `data.train`. Every one of [N] numbers is a column.
      data: the set, which names classes and files.
      loss: float [N], see `given_label_loss`.
      order: int [N], row numbers, as they are listed.
    """
    columns = {"index": found["index"]}
    if data.files is not None:
        columns["file"] = np.asarray(data.files, object)[found["index"]]
    names = np.asarray(data.class_names, object)
    for title, label in (("given", found["given"]), ("suggested", found["says"])):
        columns |= {title: label, f"{title}_name": names[label]}
    columns["given_label_loss"] = loss
    columns |= {name: array for name, array in found.items() if name not in _KNOWN and array.ndim == 1}
    columns |= {"model_given": found["says_given"], "model_share": found["says_share"]}
    if "clean" in found:
        columns |= {"clean": found["clean"], "clean_name": names[found["clean"]]}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rank", *columns])
    cells = (_cells(column[order]) for column in columns.values())
    writer.writerows(zip(range(1, len(order) + 1), *cells, strict=True))
    return text.getvalue()


def _cells(column: np.ndarray) -> Iterator[Any]:
    return (f"{value:.6g}" for value in column) if column.dtype.kind == "f" else iter(column.tolist())
