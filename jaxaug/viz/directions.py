"""How the features of classes vary, drawn: spectra of their covariances, and rows of pictures along a direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.viz.figure import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CURVES = 10  # classes with a curve of their own
FEW = 16  # directions that are drawn evenly, more by their logarithm
FLOOR = 1e-6  # of the largest variance: what is smaller is not drawn
PICTURE = 1.05  # inches, of its longer side
RIGHT, WRONG = "black", "tab:red"


class Strip(NamedTuple):
    """Pictures side by side.

    Attributes:
      title: written to their left.
      pictures: [H W C] each, uint8 or float on the 0..255 scale, C 1 or 3; None for an empty place.
      captions: below each.
      right: whether each caption is black, else red; () for all.
    """

    title: str
    pictures: Sequence[np.ndarray | None]
    captions: Sequence[str] = ()
    right: Sequence[bool] = ()


def class_spectra(variance: Mapping[str, np.ndarray], class_names: Sequence[str]) -> Figure:
    """The variance of each class along its directions, and how many directions hold most of it.

    Args:
      variance: name of an estimate -> [C D], falling, at least 0. Each has a line of panels.
      class_names: of the C classes; of more than 10 the range and the median are drawn.

    Raises:
      UsageError: there is no estimate.
    """
    if not variance:
        raise UsageError("class_spectra: there is no estimate to draw")
    figure = new_figure(9, 3.2 * len(variance) + 0.3)
    panels = figure.subplots(len(variance), 2, squeeze=False, sharex=True)
    for (spectrum, share), (name, values) in zip(panels, variance.items(), strict=True):
        total = np.maximum(values.sum(axis=1, keepdims=True), 1e-30)
        held = 100 * np.cumsum(values, axis=1) / total
        _draw(spectrum, values, class_names)
        _draw(share, held, class_names)
        half, most = (np.sum(held < limit, axis=1) + 1 for limit in (50, 90))
        spectrum.set(yscale="log", ylabel="variance", title=name)
        spectrum.set_ylim(bottom=max(values.max(), 1e-30) * FLOOR)
        share.set(ylabel="share of the variance up to here, %", ylim=(0, 102))
        share.set_title(f"50 % in {_range(half)} directions, 90 % in {_range(most)}", fontsize=10)
        for axis in (spectrum, share):
            axis.set_xscale("log" if values.shape[1] > FEW else "linear")
            axis.grid(alpha=0.3)
            axis.minorticks_off()
    for axis in panels[-1]:
        axis.set_xlabel("direction, from the largest variance on")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside right upper", fontsize=8, frameon=False)
    return figure


def picture_strips(strips: Sequence[Strip], heads: Sequence[str], title: str = "") -> Figure:
    """Lines of pictures under common heads.

    Args:
      strips: the lines, each of as many pictures as there are heads.
      heads: above the columns.
      title: above all.

    Raises:
      UsageError: a line has another number of pictures, or there is none.
    """
    if not strips or any(len(strip.pictures) != len(heads) for strip in strips):
        raise UsageError("picture_strips: every strip needs as many pictures as there are heads, and there must be one")
    sizes = [picture.shape for strip in strips for picture in strip.pictures if picture is not None]
    height, width = max(size[0] for size in sizes), max(size[1] for size in sizes)
    side = PICTURE / max(height, width) * (1.6 if max(height, width) > 64 else 1.0)
    captioned = 0.17 * any(strip.captions for strip in strips)
    figure = new_figure(
        len(heads) * (side * width + 0.08) + 1.5, len(strips) * (side * height + captioned + 0.08) + 0.7
    )
    panels = figure.subplots(len(strips), len(heads), squeeze=False)
    for line, strip in zip(panels, strips, strict=True):
        line[0].set_ylabel(strip.title, fontsize=8, rotation=0, ha="right", va="center")
        for place, (axis, picture) in enumerate(zip(line, strip.pictures, strict=True)):
            axis.set(xticks=[], yticks=[])
            axis.set_frame_on(False)
            if picture is None:
                continue
            shown = np.clip(np.round(picture), 0, 255).astype(np.uint8)
            gray = shown.shape[-1] == 1
            axis.imshow(shown[..., 0] if gray else shown, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            if strip.captions:
                color = RIGHT if not strip.right or strip.right[place] else WRONG
                axis.set_xlabel(strip.captions[place], fontsize=7, color=color, labelpad=1)
    for axis, head in zip(panels[0], heads, strict=True):
        axis.set_title(head, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure


def _draw(axis: Axes, values: np.ndarray, class_names: Sequence[str]) -> None:
    """A curve for each class [C D], or their median and range."""
    number = np.arange(1, values.shape[1] + 1)
    if len(values) <= MOST_CURVES:
        for name, curve in zip(class_names, values, strict=True):
            axis.plot(number, curve, label=name)
        return
    axis.plot(number, np.median(values, axis=0), label="median of the classes")
    axis.fill_between(number, values.min(axis=0), values.max(axis=0), alpha=0.2, label="all classes")


def _range(counts: np.ndarray) -> str:
    low, high = counts.min(), counts.max()
    return f"{low}" if low == high else f"{low} to {high}"
