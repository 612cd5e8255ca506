"""Label maps as pictures: colors of classes, maps and overlays, examples of a split, figures of each class."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.viz.figure import new_figure
from jaxaug.viz.heatmap import LONGEST_NAME
from jaxaug.viz.labels import draw_confusion

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# As their authors publish them, and the color of what has no class.
CITYSCAPES = {
    "road": (128, 64, 128), "sidewalk": (244, 35, 232), "building": (70, 70, 70), "wall": (102, 102, 156),
    "fence": (190, 153, 153), "pole": (153, 153, 153), "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0), "vegetation": (107, 142, 35), "terrain": (152, 251, 152),
    "sky": (70, 130, 180), "person": (220, 20, 60), "rider": (255, 0, 0), "car": (0, 0, 142), "truck": (0, 0, 70),
    "bus": (0, 60, 100), "train": (0, 80, 100), "motorcycle": (0, 0, 230), "bicycle": (119, 11, 32),
}  # fmt: skip
CAMVID = {
    "sky": (128, 128, 128), "building": (128, 0, 0), "pole": (192, 192, 128), "road": (128, 64, 128),
    "pavement": (60, 40, 222), "tree": (128, 128, 0), "sign": (192, 128, 128), "fence": (64, 64, 128),
    "car": (64, 0, 128), "pedestrian": (64, 64, 0), "bicyclist": (0, 128, 192),
}  # fmt: skip
VOC_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
BLACK, VOC_VOID = (0, 0, 0), (224, 224, 192)
# Steps of hue, value and saturation: irrational, so that their multiples lie evenly. Of some that were tried, those
# that set the first 8, 12, 20 and 40 colors farthest apart to the eye (37, 22, 17 and 13 in CIELAB).
STEPS, FIRST = np.array([0.6180340, 0.4142136, 0.5698403]), np.array([0.1, 0.5, 0.5])
COLUMNS = ("image", "labels", "predicted", "overlay", "wrong")
MOST_NAMED = 60  # classes that a legend names


def class_palette(class_names: Sequence[str]) -> np.ndarray:
    """Colors of classes, and of what has none.

    Classes that are all named in Cityscapes, in Pascal VOC or in CamVid have their colors there, and void is black (for
    VOC cream); others have colors that are generated, for any number of classes, and void is black.

    Args:
      class_names: of the K classes; capitals, "_" and "-" do not matter.

    Returns:
      uint8 [K + 1, 3], red, green, blue; the last row is void, so that a label of -1 finds it.
    """
    names = [name.lower().replace("_", " ").replace("-", " ") for name in class_names]
    voc = dict(zip(VOC_NAMES, map(_voc_color, range(len(VOC_NAMES))), strict=True))
    for known, void in ((CITYSCAPES, BLACK), (voc, VOC_VOID), (CAMVID, BLACK)):
        if set(names) <= set(known) and len(set(names)) == len(names):
            return np.array([*(known[name] for name in names), void], np.uint8)
    return np.array([*(_generated_color(i) for i in range(len(names))), BLACK], np.uint8)


def color_labels(label: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Label maps in the colors of their classes.

    Args:
      label: int [... H W], 0..K-1, or -1 for void.
      palette: uint8 [K + 1, 3], the last row for void, see `class_palette`.

    Returns:
      uint8 [... H W 3].

    Raises:
      UsageError: a label that is no class.
    """
    label, palette = np.asarray(label), np.asarray(palette)
    if label.size and (label.min() < -1 or label.max() >= len(palette) - 1):
        raise UsageError(f"color_labels: labels are {label.min()}..{label.max()} of {len(palette) - 1} classes")
    return palette[label]


def overlay(image: np.ndarray, label: np.ndarray, palette: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """Label maps in colors over their images, which are seen in gray below them.

    Args:
      image: [... H W C], C 1 or 3, uint8 or float on the 0..255 scale.
      label: int [... H W], 0..K-1, or -1 for void.
      palette: uint8 [K + 1, 3], the last row for void.
      opacity: the share of the color, in 0..1.

    Returns:
      uint8 [... H W 3].

    Raises:
      UsageError: a label that is no class, or shapes that do not fit.
    """
    image, label = np.asarray(image), np.asarray(label)
    if image.shape[:-1] != label.shape or image.shape[-1] not in (1, 3):
        raise UsageError(f"overlay: label maps must have the size of their images, got {image.shape} and {label.shape}")
    gray = image.astype(np.float32).mean(axis=-1, keepdims=True)
    mixed = (1 - opacity) * gray + opacity * color_labels(label, palette)
    return np.round(np.clip(mixed, 0, 255)).astype(np.uint8)


def segmentation_examples(
    images: np.ndarray,
    label: np.ndarray,
    predicted: np.ndarray,
    class_names: Sequence[str],
    titles: Sequence[str] = (),
) -> Figure:
    """Images beside their labels, what a model says, both together and where it is wrong; the colors are named below.

    What is wrong is drawn in the color of the class that the model says, over white; void is neither.

    Args:
      images: [N H W C], uint8 or float on the 0..255 scale.
      label: int [N H W], -1 for void.
      predicted: int [N H W], 0..K-1.
      class_names: of the K classes.
      titles: of each image, written to its left; () for none.

    Raises:
      UsageError: shapes that do not fit.
    """
    images, label, predicted = np.asarray(images), np.asarray(label), np.asarray(predicted)
    palette = class_palette(class_names)
    wrong = color_labels(predicted, palette)
    wrong[predicted == label] = 255
    wrong[label < 0] = palette[-1]
    over = overlay(images, predicted, palette)
    shown = np.broadcast_to(np.clip(np.round(images), 0, 255).astype(np.uint8), over.shape)
    pictures = (shown, color_labels(label, palette), color_labels(predicted, palette), over, wrong)
    used = [k for k in range(len(class_names)) if (label == k).any() or (predicted == k).any()]
    width = 2.3
    height = width * images.shape[1] / images.shape[2] + 0.05
    lines = -(-min(len(used) + 1, MOST_NAMED) // 6)
    figure = new_figure(len(COLUMNS) * width + 0.3, len(images) * height + 0.25 * lines + 0.5)
    panels = figure.subplots(len(images), len(COLUMNS), squeeze=False)
    for column, (name, some) in enumerate(zip(COLUMNS, pictures, strict=True)):
        panels[0, column].set_title(name, fontsize=10)
        for axis, picture in zip(panels[:, column], some, strict=True):
            axis.imshow(picture, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
    for axis, title in zip(panels[:, 0], titles, strict=False):
        axis.set_ylabel(title, fontsize=8)
    _name_colors(figure, palette, class_names, used)
    return figure


def class_iou(found: Mapping[str, Sequence[Mapping[str, float | None]]]) -> Figure:
    """The intersection over union of each class: means over seeds, and their range, several trainings side by side.

    Args:
      found: name of a variant -> class -> IoU in 0..1 for each of its seeds, None for a class that is nowhere.
    """
    names = list(dict.fromkeys(name for runs in found.values() for run in runs for name in run))
    figure = new_figure(7, max(0.3 * len(names) * (0.5 + 0.5 * len(found)), 1.5) + 1)
    axis = figure.subplots()
    thick = 0.8 / len(found)
    for place, (variant, runs) in enumerate(found.items()):
        values = np.array([[_or_nan(run.get(name)) for name in names] for run in runs]) * 100
        drawn = np.isfinite(values).any(axis=0)
        means, low, high = (part(values[:, drawn], axis=0) for part in (np.nanmean, np.nanmin, np.nanmax))
        at = np.flatnonzero(drawn) + (place - (len(found) - 1) / 2) * thick
        error = [means - low, high - means] if len(runs) > 1 else None
        bars = axis.barh(
            at, means, thick, xerr=error, label=f"{variant}, mean {means.mean():.1f}", error_kw={"lw": 0.8}
        )
        axis.bar_label(bars, fmt="%.1f", fontsize=7, padding=3)
    axis.set_yticks(range(len(names)), [_short(name) for name in names], fontsize=9)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_xlim(0, 107)
    axis.set_xlabel("IoU % on test")
    axis.grid(axis="x", alpha=0.3)
    axis.set_axisbelow(True)
    figure.legend(fontsize=8, loc="outside lower center", ncols=3, frameon=False)
    return figure


def pixel_confusion(counts: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Of the pixels of each class, the share that the model calls each class.

    Args:
      counts: int [K K], pixels by true class (rows) and the class that the model says.
      class_names: of the K classes.
    """
    right = 100 * np.trace(counts) / max(counts.sum(), 1)
    return draw_confusion(counts, class_names, f"{right:.2f} % of {counts.sum():,} pixels are right")


def _voc_color(number: int) -> tuple[int, ...]:
    """Bits 0, 3, 6 ... of a number are the upper bits of red, bits 1, 4, 7 ... of green, 2, 5, 8 ... of blue."""
    bits = [[number >> (3 * place + channel) & 1 for place in range(8)] for channel in range(3)]
    return tuple(sum(bit << (7 - place) for place, bit in enumerate(some)) for some in bits)


def _generated_color(number: int) -> tuple[int, ...]:
    """Bright or dark, pale or strong, but neither black nor white nor gray."""
    hue, value, saturation = (number * STEPS + FIRST) % 1
    return tuple(round(255 * x) for x in colorsys.hsv_to_rgb(hue, 0.45 + 0.55 * saturation, 0.5 + 0.5 * value))


def _name_colors(figure: Any, palette: np.ndarray, class_names: Sequence[str], used: Sequence[int]) -> None:
    from matplotlib.patches import Patch

    named = [*[(palette[k], _short(class_names[k])) for k in used][: MOST_NAMED - 1], (palette[-1], "void")]
    patches = [Patch(facecolor=color / 255, edgecolor="0.5", label=name) for color, name in named]
    figure.legend(handles=patches, loc="outside lower center", ncols=6, fontsize=8, frameon=False)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value
