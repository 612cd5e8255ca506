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
CELL, CAPTION = 1.5, 0.36  # inches: side of a picture with its margin, height of the two lines above it
DOTS = 120  # per inch
LONGEST_NAME = 14

Found = Mapping[str, np.ndarray]


def distrust(found: Found) -> np.ndarray:
    """[N] float64, the larger the more suspicious: minus the log of what weight, soft label and model grant the given
    label. found: `findings.npz`.

    Each factor is what one of the three says on its own: the learned weight against its start (1), the share of the
    given label in the learned soft label, and in the model's prediction.
    """
    granted = [found[name] for name in ("weight", "soft_given", "says_given") if name in found]
    return -sum(np.log(np.maximum(np.asarray(one, np.float64), 1e-12)) for one in granted)


def suggested(found: Found) -> np.ndarray:
    """[N] int32: the class each row probably belongs to; the given one where nothing speaks against it.

    That of the learned soft label, or of the model where no soft labels were learned or the soft label is undecided.
    """
    if "soft" not in found:
        return found["says"]
    return np.where(found["soft"] != found["given"], found["soft"], found["says"])


def write(folder: pathlib.Path, found: Found, data: Data, count: int) -> dict[str, float]:
    """`label_errors.csv`, every training row, the most suspicious first, and `label_errors.png`, the first `count` of
    them (at most 1,024) as pictures with "given → suggested" above; both in `folder`.

    found: `findings.npz`, its rows in the order of `data.train`. Tells where they are, and returns `precision`, which
    is {} where true labels are not known.
    """
    doubt, better = distrust(found), suggested(found)
    order = np.argsort(-doubt, kind="stable")
    write_whole(folder / TABLE, _table(order, doubt, better, found, data))
    _sheet(order[: min(count, MOST_PICTURES)], better, found, data).savefig(folder / SHEET, dpi=DOTS)
    figures = precision(order, found, count)
    told = "".join(f", {name.replace('_', ' ')} {100 * value:.1f} %" for name, value in figures.items())
    print(f"suspects: {folder / TABLE}, the first of them in {SHEET}{told}")
    return figures


def precision(order: np.ndarray, found: Found, count: int) -> dict[str, float]:
    """The share of wrong labels among the first `count` suspects and among as many as labels are wrong, where that is
    known; the latter is also the share of the wrong labels that are found there.

    order: [N] row numbers, the most suspicious first.
    """
    if "clean" not in found:
        return {}
    wrong = (found["clean"] != found["given"])[order]
    if not wrong.any():
        return {}
    few = {"suspects_precision": float(np.mean(wrong[:count]))} if count else {}
    return {**few, "suspects_recall": float(np.mean(wrong[: np.count_nonzero(wrong)]))}


def _table(order: np.ndarray, doubt: np.ndarray, better: np.ndarray, found: Found, data: Data) -> str:
    """The text of label_errors.csv."""
    columns = {"index": found["index"]}
    if data.files is not None:
        columns["file"] = np.asarray(data.files, object)[found["index"]]
    names = np.asarray(data.class_names, object)
    for title, label in (("given", found["given"]), ("suggested", better)):
        columns |= {title: label, f"{title}_name": names[label]}
    columns["distrust"] = doubt
    shares = {"weight": "weight", "soft_given": "soft_given", "soft_share": "soft_share"}
    shares |= {"says_given": "model_given", "says_share": "model_share", "says": "model"}
    columns |= {title: found[name] for name, title in shares.items() if name in found}
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
    height = CELL * min(max(data.image_shape[0] / data.image_shape[1], 0.5), 2.0)
    down = -(-len(rows) // columns)
    figure = canvas.figure(CELL * columns, (height + CAPTION) * down)
    figure.set_layout_engine("none")
    axis = figure.add_axes((0, 0, 1, 1), xlim=(0, CELL * columns), ylim=((height + CAPTION) * down, 0))
    axis.set_axis_off()
    shape = data.image_shape[0] / data.image_shape[1]
    width = min(CELL, height / shape) - 0.1
    for i, row in enumerate(rows):
        left = CELL * (i % columns) + (CELL - width) / 2
        low = (height + CAPTION) * (i // columns + 1)
        extent = (left, left + width, low, low - width * shape)
        axis.imshow(_pixels(data.train.image[row]), cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto")
        words = _caption(data.class_names, found["given"][row], better[row])
        axis.text(left + width / 2, low - width * shape - 0.03, words, fontsize=8, ha="center", va="bottom")
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
