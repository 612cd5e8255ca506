"""Which training rows of a run are probably labelled wrongly, for people: a table and a sheet of pictures."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import numpy as np

from jaxaug.core.atomic_io import write_text
from jaxaug.data.dataset import Dataset
from jaxaug.label_errors.scores import given_label_loss, precision
from jaxaug.label_errors.sheet import MOST_PICTURES, caption, picture_sheet
from jaxaug.label_errors.table import label_table

TABLE, SHEET = "label_errors.csv", "label_errors.png"
DOTS = 120  # per inch


def write_report(folder: pathlib.Path, found: Mapping[str, np.ndarray], data: Dataset, count: int) -> dict[str, float]:
    """Write `label_errors.csv` and `label_errors.png`, and say where they are.

    The table has every training row, the most suspicious first; the sheet the first of them as pictures with
    "given → suggested" above.

    Args:
      folder: where both are written.
      found: arrays of `per_example.npz`, rows in the order of `data.train`: index, given, says, says_given, says_share,
        clean where it is known, and any other number of each row.
      data: the set.
      count: of pictures, 1 or more, at most 1,024 of which are drawn.

    Returns:
      `precision` of the first `count`, {} where true labels are not known.
    """
    loss = given_label_loss(found["says_given"])
    order = np.argsort(-loss, kind="stable")
    write_text(folder / TABLE, label_table(found, data, loss, order))
    first = order[: min(count, MOST_PICTURES)]
    captions = [caption(data.class_names, found["given"][row], found["says"][row]) for row in first]
    picture_sheet(data.train.image[first], captions).savefig(folder / SHEET, dpi=DOTS)
    figures = precision(order, found["clean"] != found["given"], count) if "clean" in found else {}
    told = ""
    if figures:
        of_first, of_all_wrong = (f"{100 * share:.1f} %" for share in figures.values())
        told = f"; wrong are {of_first} of the first {count} and {of_all_wrong} of as many as there are wrong ones"
    print(f"label errors: {folder / TABLE}, pictures in {SHEET}{told}")
    return figures
