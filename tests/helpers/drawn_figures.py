"""What is drawn in a matplotlib figure: its images, what is written where, and what lies on something else."""

import itertools

import numpy as np


def images_of(figure):
    """The values of each image, NaN where they are masked."""
    return [np.ma.filled(axis.images[0].get_array().astype(float), np.nan) for axis in figure.axes if axis.images]


def texts_of(figure):
    """The boxes, in pixels, of everything that is written."""
    from matplotlib.text import Text

    figure.canvas.draw()
    outside = {text for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for text in _labels_outside(axis)}
    written = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in outside]
    return {t.get_text() + str(i): t.get_window_extent() for i, t in enumerate(written)}


def _labels_outside(axis):
    """Those of ticks beyond the axis, which are there, but not drawn."""
    low, high = sorted(axis.get_view_interval())
    for tick in axis.get_major_ticks():
        if not low <= tick.get_loc() <= high:
            yield from (tick.label1, tick.label2)


def overlapping(boxes):
    """The pairs of texts whose boxes overlap by more than a pixel."""
    return [
        (one, other)
        for (one, a), (other, b) in itertools.combinations(boxes.items(), 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]
