"""A table of numbers as colored cells, with names on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

MOST_WRITTEN = 20  # rows and columns up to which each number is written
MOST_NAMED = 120  # names up to which they are written; then the axis has numbers
LONGEST_NAME = 24
SIDE, SMALLEST_SIDE = 0.42, 0.13  # inches, of cells with a number in them and without


def cell_side(*counts: int) -> float:
    """Inches of a cell's side in a table with so many rows and columns."""
    return SIDE if max(counts) <= MOST_WRITTEN else SMALLEST_SIDE * min(1.0, MOST_NAMED / max(counts))


def draw_heatmap(
    axis: Axes,
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    highest: float | None = None,
    number_format: str = "{:.2f}",
) -> AxesImage:
    """Draw a table into an axis, from white for 0 to blue for the highest value.

    Args:
      axis: of matplotlib.
      values: float [R, C], at least 0; NaN is gray and has no number.
      rows: names of the R rows.
      columns: names of the C columns.
      highest: the value drawn in the deepest blue; None for the largest there is.
      number_format: how numbers are written, in tables of up to 20 rows and columns.

    Returns:
      The image, which a color bar can be drawn of.
    """
    shown = np.ma.masked_invalid(values)
    highest = highest or float(shown.max() if shown.count() else 1.0) or 1.0
    image = axis.imshow(shown, cmap="Blues", vmin=0.0, vmax=highest, aspect="auto", interpolation="nearest")
    axis.set_facecolor("0.85")
    _name(axis.yaxis, rows, 0)
    _name(axis.xaxis, columns, 90 if max(map(len, columns)) > 2 else 0)
    if max(values.shape) <= MOST_WRITTEN:
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value) and value > 0:
                color = "white" if value > 0.6 * highest else "black"
                text = number_format.format(value)
                axis.text(column, row, text, ha="center", va="center", fontsize=7, color=color)
    return image


def _name(axis: Any, names: Sequence[str], rotation: int) -> None:
    if len(names) > MOST_NAMED:
        return
    short = [name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…" for name in names]
    axis.set_ticks(range(len(names)), short, fontsize=8 if len(names) <= MOST_WRITTEN else 6, rotation=rotation)
