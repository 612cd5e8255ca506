"""A sheet of pictures with a caption above each, in one figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxaug.viz.figure import new_figure
from jaxaug.viz.page import pixels_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A sheet of more pictures than that is no longer looked at, and reaches the size that matplotlib can draw.
MOST_PICTURES = 1024
FEWEST_COLUMNS = 8
CELL, MARGIN, CAPTION = 1.5, 0.1, 0.36  # inches: width of a picture with its margin, height of the two lines above it
LONGEST_NAME = 14


def picture_sheet(images: np.ndarray, captions: Sequence[str]) -> Figure:
    """The pictures left to right and down, eight or more in a line.

    Args:
      images: [M H W C], 0..255, M in 1..1024.
      captions: M texts of one or two lines.
    """
    columns = max(FEWEST_COLUMNS, math.isqrt(len(images)))
    side = CELL - MARGIN
    # No picture is more than twice as high as wide; that of a wider image is as wide as the others.
    ratio = images.shape[1] / images.shape[2]
    height = side * min(ratio, 2.0)
    width, step = height / ratio, height + CAPTION + MARGIN
    right, bottom = CELL * columns, step * -(-len(images) // columns)
    figure = new_figure(right, bottom)
    # One panel of inches for everything: a panel for each picture takes matplotlib minutes.
    figure.set_layout_engine("none")
    panel = figure.add_axes((0, 0, 1, 1), xlim=(0, right), ylim=(bottom, 0))
    panel.set_axis_off()
    for i, (image, words) in enumerate(zip(images, captions, strict=True)):
        middle, low = CELL * (i % columns + 0.5), step * (i // columns + 1) - MARGIN
        place = (middle - width / 2, middle + width / 2, low, low - height)
        panel.imshow(pixels_of(image), cmap="gray", vmin=0, vmax=255, extent=place, aspect="auto")
        panel.text(middle, low - height - MARGIN / 4, words, fontsize=8, ha="center", va="bottom")
    return figure


def caption(names: Sequence[str], given: int, suggested: int) -> str:
    """Both names on one line if they fit, else one below the other; a question mark for no better name."""
    first, second = (_short(names[label]) for label in (given, suggested))
    if given == suggested:
        return f"{first} ?"
    return f"{first} → {second}" if len(first) + len(second) <= LONGEST_NAME else f"{first}\n→ {second}"


def _short(name: str) -> str:
    name = " ".join(name.split()).replace("$", r"\$")
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
