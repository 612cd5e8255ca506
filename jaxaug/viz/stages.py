"""The same images after each stage of a pipeline, one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.viz.figure import new_figure
from jaxaug.viz.page import pixels_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE, LINE = 1.3, 0.15  # inches: width of an image, height of a line of its caption


class Stage(NamedTuple):
    """Images as they are after a stage.

    Attributes:
      title: what was done.
      images: [B H W C] on the 0..255 scale, of any size.
      captions: B texts of one or several lines, written above the images; () for none.
    """

    title: str
    images: np.ndarray
    captions: Sequence[str] = ()


def pipeline_stages(stages: Sequence[Stage]) -> Figure:
    """A row of images for each stage, the first on top, each image below what it was before.

    Args:
      stages: of the same number of images, one or more.

    Raises:
      UsageError: no stage, or stages of different numbers of images.
    """
    counts = {len(stage.images) for stage in stages}
    if len(counts) != 1 or not min(counts):
        raise UsageError(f"pipeline_stages: every stage needs the same images, got {sorted(counts) or 'none'}")
    heights = [SIDE * min(stage.images.shape[1] / stage.images.shape[2], 2.0) for stage in stages]
    above = [0.08 + LINE * max((1 + words.count("\n") for words in stage.captions), default=0) for stage in stages]
    right, bottom = 1.5 + SIDE * counts.pop(), sum(heights) + sum(above)
    figure = new_figure(right, bottom)
    # One panel of inches for everything, since rows differ in height and a panel for each image takes long.
    figure.set_layout_engine("none")
    panel = figure.add_axes((0, 0, 1, 1), xlim=(0, right), ylim=(bottom, 0))
    panel.set_axis_off()
    top = 0.0
    for stage, height, margin in zip(stages, heights, above, strict=True):
        top += margin
        panel.text(1.4, top + height / 2, stage.title, fontsize=9, ha="right", va="center")
        for i, image in enumerate(stage.images):
            left = 1.5 + SIDE * i
            place = (left, left + SIDE - 0.06, top + height - 0.03, top)
            panel.imshow(pixels_of(image), cmap="gray", vmin=0, vmax=255, extent=place, aspect="auto")
            if stage.captions:
                panel.text(
                    left + SIDE / 2 - 0.03, top - 0.03, stage.captions[i], fontsize=7.5, ha="center", va="bottom"
                )
        top += height
    panel.set(xlim=(0, right), ylim=(bottom, 0))
    return figure
