"""Which training rows are probably labelled wrongly, for people: a table and a sheet of pictures."""

from __future__ import annotations

import csv
import io
import math
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxaug import canvas
from jaxaug.data import Data
from jaxaug.files import write_whole

TABLE, SHEET = "label_errors.csv", "label_errors.png"
# A sheet of more pictures than that is no longer looked at, and reaches the size that matplotlib can draw.
MOST_PICTURES = 1024
FEWEST_COLUMNS = 8
CELL, MARGIN, CAPTION = 1.5, 0.1, 0.36  # inches: width of a picture with its margin, height of the two lines above it
DOTS = 120  # per inch
LONGEST_NAME = 14

Found = Mapping[str, np.ndarray]


def distrust(found: Found) -> np.ndarray:
    """[N] float64 >= 0, the larger the more suspicious: minus the log of the probability that the model, trained with
    what was learned, gives the given label. found: `findings.npz`.

    The learned weight and the learned soft label made the model what it is; as judges of a row they are coarser than
    it (`benchmarks/results/find_label_errors_cpu.json`): their optimiser divides each row's gradient by its own size,
    so that a right label that is hardly in doubt moves as far as a wrong one.
    """
    probability = np.asarray(found["says_given"], np.float64)
    return np.abs(np.log(np.clip(probability, np.finfo(np.float32).tiny, 1.0)))


def suggested(found: Found) -> np.ndarray:
    """[N] int32: the class each row probably belongs to, which is the given one where nothing speaks against it.

    It is the model's: the largest class of a learned soft label stays the given one for most of the wrong rows.
    """
    return found["says"]


def write(folder: pathlib.Path, found: Found, data: Data, count: int) -> dict[str, float]:
    """`label_errors.csv`, every training row, the most suspicious first, and `label_errors.png`, the first `count` of
    them (at most 1,024) as pictures with "given → suggested" above; both in `folder`.

    found: `findings.npz`, its rows in the order of `data.train`; count >= 1. Tells where they are, and returns
    `precision`, which is {} where true labels are not known.
    """
    doubt, better = distrust(found), suggested(found)
    order = np.argsort(-doubt, kind="stable")
    write_whole(folder / TABLE, _table(order, doubt, better, found, data))
    _sheet(order[: min(count, MOST_PICTURES)], better, found, data).savefig(folder / SHEET, dpi=DOTS)
    figures = precision(order, found, count)
    told = ""
    if figures:
        first, all_wrong = (f"{100 * share:.1f} %" for share in figures.values())
        told = f"; wrong are {first} of the first {count} and {all_wrong} of as many as there are wrong ones"
    print(f"suspects: {folder / TABLE}, pictures in {SHEET}{told}")
    return figures


def precision(order: np.ndarray, found: Found, count: int) -> dict[str, float]:
    """The share of wrong labels among the first `count` suspects and among as many as labels are wrong, where that is
    known; the latter is also the share of the wrong labels that are found there.

    order: [N] row numbers, the most suspicious first; count >= 1.
    """
    if "clean" not in found:
        return {}
    wrong = (found["clean"] != found["given"])[order]
    if not wrong.any():
        return {}
    as_many = wrong[: np.count_nonzero(wrong)]
    return {"suspects_precision": float(np.mean(wrong[:count])), "suspects_recall": float(np.mean(as_many))}


def _table(order: np.ndarray, doubt: np.ndarray, better: np.ndarray, found: Found, data: Data) -> str:
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


def _sheet(rows: np.ndarray, better: np.ndarray, found: Found, data: Data) -> Any:
    """The Figure of the pictures of `rows`, left to right and down."""
    columns = max(FEWEST_COLUMNS, math.isqrt(len(rows)))
    side = CELL - MARGIN
    # No picture is more than twice as high as wide; that of a wider image is as wide as the others.
    ratio = data.image_shape[0] / data.image_shape[1]
    height = side * min(ratio, 2.0)
    width, step = height / ratio, height + CAPTION + MARGIN
    right, bottom = CELL * columns, step * -(-len(rows) // columns)
    figure = canvas.figure(right, bottom)
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
