"""A table of numbers as coloured cells, with names on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

MOST_WRITTEN = 20  # rows and columns up to which each number is written
MOST_NAMED = 120  # names up to which they are written; then the axis has numbers
LONGEST_NAME = 24
SIDE, SMALLEST_SIDE = 0.42, 0.13  # inches, of cells with a number in them and without


def side_of(*counts: int) -> float:
    """Inches of a cell's side, in a table with so many rows and columns."""
    return SIDE if max(counts) <= MOST_WRITTEN else SMALLEST_SIDE * min(1.0, MOST_NAMED / max(counts))


def draw_heatmap(
    axis: Any,
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    most: float | None = None,
    form: str = "{:.2f}",
) -> Any:
    """Draw values [R C] into a matplotlib axis, from white for 0 to blue for `most` (None: the largest); the image.

    rows, columns: their names. form: how the numbers are written. NaN is grey and has no number.
    """
    shown = np.ma.masked_invalid(values)
    most = most or float(shown.max() if shown.count() else 1.0) or 1.0
    image = axis.imshow(shown, cmap="Blues", vmin=0.0, vmax=most, aspect="auto", interpolation="nearest")
    axis.set_facecolor("0.85")
    _name(axis.yaxis, rows, 0)
    _name(axis.xaxis, columns, 90 if max(map(len, columns)) > 2 else 0)
    if max(values.shape) <= MOST_WRITTEN:
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value) and value > 0:
                dark = value > 0.6 * most
                place = {"ha": "center", "va": "center", "fontsize": 7, "color": "white" if dark else "black"}
                axis.text(column, row, form.format(value), **place)
    return image


def _name(axis: Any, names: Sequence[str], rotation: int) -> None:
    if len(names) > MOST_NAMED:
        return
    short = [name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…" for name in names]
    axis.set_ticks(range(len(names)), short, fontsize=8 if len(names) <= MOST_WRITTEN else 6, rotation=rotation)
