"""Which training rows are probably labelled wrongly, for people: a table and a sheet of pictures."""

from __future__ import annotations

import csv
import io
import math
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxaug.core.atomic_io import write_text
from jaxaug.data.dataset import Dataset
from jaxaug.label_errors.scores import Found, label_issue_score, precision, suggested_labels
from jaxaug.viz.figure import new_figure

TABLE, SHEET = "label_errors.csv", "label_errors.png"
# A sheet of more pictures than that is no longer looked at, and reaches the size that matplotlib can draw.
MOST_PICTURES = 1024
FEWEST_COLUMNS = 8
CELL, MARGIN, CAPTION = 1.5, 0.1, 0.36  # inches: width of a picture with its margin, height of the two lines above it
DOTS = 120  # per inch
LONGEST_NAME = 14


def write_report(folder: pathlib.Path, found: Found, data: Dataset, count: int) -> dict[str, float]:
    """`label_errors.csv`, every training row, the most suspicious first, and `label_errors.png`, the first `count` of
    them (at most 1,024) as pictures with "given → suggested" above; both in `folder`.

    found: `findings.npz`, its rows in the order of `data.train`; count >= 1. Tells where they are, and returns
    `precision`, which is {} where true labels are not known.
    """
    doubt, better = label_issue_score(found), suggested_labels(found)
    order = np.argsort(-doubt, kind="stable")
    write_text(folder / TABLE, _table(order, doubt, better, found, data))
    _sheet(order[: min(count, MOST_PICTURES)], better, found, data).savefig(folder / SHEET, dpi=DOTS)
    figures = precision(order, found, count)
    told = ""
    if figures:
        first, all_wrong = (f"{100 * share:.1f} %" for share in figures.values())
        told = f"; wrong are {first} of the first {count} and {all_wrong} of as many as there are wrong ones"
    print(f"suspects: {folder / TABLE}, pictures in {SHEET}{told}")
    return figures


def _table(order: np.ndarray, doubt: np.ndarray, better: np.ndarray, found: Found, data: Dataset) -> str:
    """The text of label_errors.csv."""
    columns = {"index": found["index"]}
    if data.files is not None:
        columns["file"] = np.asarray(data.files, object)[found["index"]]
    names = np.asarray(data.class_names, object)
    for title, label in (("given", found["given"]), ("suggested", better)):
        columns |= {title: label, f"{title}_name": names[label]}
    columns["distrust"] = doubt
    learned = [name for name in ("weight", "soft", "soft_given", "soft_share") if name in found]
    columns |= {name: found[name] for name in learned}
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


def _sheet(rows: np.ndarray, better: np.ndarray, found: Found, data: Dataset) -> Any:
    """The Figure of the pictures of `rows`, left to right and down."""
    columns = max(FEWEST_COLUMNS, math.isqrt(len(rows)))
    side = CELL - MARGIN
    # No picture is more than twice as high as wide; that of a wider image is as wide as the others.
    ratio = data.image_shape[0] / data.image_shape[1]
    height = side * min(ratio, 2.0)
    width, step = height / ratio, height + CAPTION + MARGIN
    right, bottom = CELL * columns, step * -(-len(rows) // columns)
    figure = new_figure(right, bottom)
    # One panel of inches for everything: a panel for each picture takes matplotlib minutes.
    figure.set_layout_engine("none")
    panel = figure.add_axes((0, 0, 1, 1), xlim=(0, right), ylim=(bottom, 0))
    panel.set_axis_off()
    for i, row in enumerate(rows):
        middle, low = CELL * (i % columns + 0.5), step * (i // columns + 1) - MARGIN
        place = (middle - width / 2, middle + width / 2, low, low - height)
        panel.imshow(_pixels(data.train.image[row]), cmap="gray", vmin=0, vmax=255, extent=place, aspect="auto")
        words = _caption(data.class_names, found["given"][row], better[row])
        panel.text(middle, low - height - MARGIN / 4, words, fontsize=8, ha="center", va="bottom")
    return figure


def _caption(names: tuple[str, ...], given: int, better: int) -> str:
    """Both names on one line if they fit, else one below the other; a question mark for no better name."""
    first, second = (_short(names[label]) for label in (given, better))
    if given == better:
        return f"{first} ?"
    return f"{first} → {second}" if len(first) + len(second) <= LONGEST_NAME else f"{first}\n→ {second}"


def _short(name: str) -> str:
    name = " ".join(name.split()).replace("$", r"\$")
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _pixels(image: np.ndarray) -> np.ndarray:
    """[H W C] -> [H W] or [H W 3] uint8; of other numbers of channels the mean, since a picture has to be shown."""
    image = np.clip(np.round(image), 0, 255)
    return image.astype(np.uint8) if image.shape[-1] == 3 else image.mean(axis=-1).astype(np.uint8)
