"""Figures of policies and of what they do: which operations and levels a policy draws, images before and after."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.ops.registry import OPS
from jaxaug.policies.policy import Policy
from jaxaug.viz.figure import new_figure

FEWEST_LEVELS, MOST_LEVELS = 10, 31  # of AutoAugment and of RandAugment
USUAL_LEVELS = 11  # where the levels lie on no grid
COLUMNS = 8
LONGEST_NAME = 14
RARE = 0.002  # an op less probable than that has no levels worth showing: a searched policy leaves traces of every op
NOTES = {
    "uniform": "Values are uniform up to the level.",
    "normal": "Values are normal, the level is their standard deviation.",
    "sign": "Values of {signed} are mirrored with probability ½.",
}


def distribution(policy: Policy) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """What a policy draws, its sub-policies (and rows) averaged.

    Args:
      policy: of NumPy's or JAX's arrays.

    Returns:
      (names [O], operation [L O], level [L O M]). Names are in the order in which ops are registered. operation: the
      probability of each op in each layer. level: the probability of the levels i / (M - 1) where that op is drawn, 0
      where it never is. M is that of the grid on which most of the levels lie, 10 to 31; other levels go to the nearest
      one. With uniform noise: of M equal stretches of 0..1.
    """
    share, probability = policy.probabilities()
    weight = share[..., None, None] * probability / (len(share) if share.ndim == 2 else 1)
    rows, level = weight.reshape(-1, *policy.op.shape), np.asarray(policy.level, np.float64)
    level = np.broadcast_to(level, weight.shape).reshape(rows.shape)
    names = tuple(name for name in OPS if name in policy.names)
    op = np.array([names.index(name) for name in policy.names])[np.asarray(policy.op)]
    count = _count_of(level, rows * np.array([OPS[name].neutral is not None for name in names])[op], policy.noise)
    layer = np.arange(op.shape[1])[None, :, None]
    found = np.zeros((op.shape[1], len(names), count))
    for at, part in _levels_of(level, count, policy.noise):
        *cell, amount = np.broadcast_arrays(layer, op, at, rows * part)
        np.add.at(found, tuple(cell), amount)
    operation = found.sum(-1)
    drawn = operation > 0
    return names, operation, np.divide(found, operation[..., None], out=np.zeros_like(found), where=drawn[..., None])


def plot_policy(policy: Policy, path: str | pathlib.Path | None = None) -> Any:
    """Draw a policy: above the probability of each op in each layer, below that of each level of an op.

    The form of DeepAA's figures (Zheng et al. 2022): one column of panels a layer, sub-policies averaged by their
    shares. The range of an op's values, from level 0 to level 1, stands behind its name.

    Args:
      policy: what is drawn.
      path: where to save the figure besides; its ending is the format.

    Returns:
      The matplotlib Figure.

    Raises:
      UsageError: a path that cannot be written.
    """
    names, operation, level = distribution(policy)
    layers = len(operation)
    valued = [i for i, name in enumerate(names) if OPS[name].neutral is not None]
    heights = [0.19 * count + 0.3 for count in (len(names), len(valued)) if count]
    figure = new_figure(2.4 + max(1.9 * layers, 3.5), sum(heights) + 1.4)
    panels = figure.subplots(len(heights), layers, squeeze=False, sharey="row", height_ratios=heights)
    _draw_operations(panels[0], names, operation)
    if valued:
        ranges = dict(zip(policy.names, policy.ranges, strict=True))
        labels = [f"{names[i]}  {ranges[names[i]][0]:.3g} … {ranges[names[i]][1]:.3g}" for i in valued]
        _draw_levels(panels[1], labels, operation[:, valued], level[:, valued])
    for axis in panels.flat:
        axis.tick_params(labelsize=8)
    figure.supxlabel(_notes(policy, bool((operation[:, valued] < RARE).any())), fontsize=8)
    return _saved(figure, path)


def plot_batch(
    before: Any,
    after: Any,
    visible: Any = None,
    target: Any = None,
    names: Any = None,
    path: str | pathlib.Path | None = None,
) -> Any:
    """Draw images before and after an augmentation, eight in a row.

    Args:
      before: [B H W C], C 1 or 3, uint8 or float on the 0..255 scale.
      after: likewise.
      visible: [B] in 0..1, the share still seen, written above each image after.
      target: [B K], the targets; the greatest of a row is written as "class: target".
      names: [K], what the classes are called.
      path: where to save the figure besides; its ending is the format.

    Returns:
      The matplotlib Figure.

    Raises:
      UsageError: shapes that do not fit, and a path that cannot be written.
    """
    before, after = _pixels(before), _pixels(after)
    count = len(before)
    sized = [np.asarray(x) for x in (visible, target) if x is not None]
    if before.shape != after.shape or count == 0 or any(len(x) != count for x in sized):
        raise UsageError(
            "plot_batch: before and after must be images of one shape [B H W C], visible [B] and target [B K], got "
            f"{[before.shape, after.shape, *(x.shape for x in sized)]}"
        )
    columns = min(count, COLUMNS)
    blocks = -(-count // columns)
    height = 1.3 * before.shape[1] / before.shape[2]
    figure = new_figure(1.35 * columns + 0.4, 2 * blocks * (height + 0.25))
    panels = figure.subplots(2 * blocks, columns, squeeze=False)
    for axis in panels.flat:
        axis.set(xticks=[], yticks=[])
        axis.set_frame_on(False)
    for i in range(count):
        block, column = divmod(i, columns)
        for axis, image in zip(panels[2 * block : 2 * block + 2, column], (before[i], after[i]), strict=True):
            axis.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
        panels[2 * block + 1, column].set_title(_caption(i, visible, target, names), fontsize=8, pad=2)
    for line, word in zip(panels[:, 0], ("before", "after") * blocks, strict=True):
        line.set_ylabel(word, fontsize=8)
    return _saved(figure, path)


def _count_of(level: np.ndarray, weight: np.ndarray, noise: tuple[str, ...]) -> int:
    """M: the fewest levels of a grid i / (M - 1) on which the greatest weight lies."""
    if "uniform" in noise or not weight.any():
        return USUAL_LEVELS

    def on_grid(count: int) -> float:
        steps = level * (count - 1)
        return round(float(np.sum(weight * (np.abs(steps - np.round(steps)) < 1e-4))), 6)

    best = max(range(FEWEST_LEVELS, MOST_LEVELS + 1), key=lambda count: (on_grid(count), -count))
    return best if on_grid(best) > 0.5 * weight.sum() else USUAL_LEVELS


def _levels_of(level: np.ndarray, count: int, noise: tuple[str, ...]) -> list[tuple[Any, Any]]:
    """Pairs (position among `count` levels, share of the weight there) of each branch."""
    if "uniform" not in noise:
        return [(np.round(level * (count - 1)).astype(int), 1.0)]
    edges = np.arange(count + 1) / count
    width = np.maximum(level, 1e-9)
    upto = [np.clip(edge, 0.0, width) / width for edge in edges]
    return [(np.array(i), upto[i + 1] - upto[i]) for i in range(count)]


def _draw_operations(panels: Any, names: tuple[str, ...], operation: np.ndarray) -> None:
    """The bars of each layer: operation [L O]."""
    for i, axis in enumerate(panels):
        axis.barh(np.arange(len(names)), operation[i], color="tab:blue")
        axis.set_xlim(0, 1.08 * operation.max())
        axis.set_title(f"layer {i + 1}", fontsize=9)
        axis.set_xlabel("probability of the operation" if len(panels) == 1 else "probability", fontsize=8)
        axis.locator_params(axis="x", nbins=4)
        axis.grid(axis="x", alpha=0.3)
        axis.set_axisbelow(True)
    panels[0].set_yticks(np.arange(len(names)), names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)


def _draw_levels(panels: Any, labels: list[str], operation: np.ndarray, level: np.ndarray) -> None:
    """The heat map of each layer: operation [L O] and level [L O M] of the ops that take a value."""
    shown = np.ma.masked_where(np.broadcast_to(operation[..., None] < RARE, level.shape), level)
    place = {"extent": (0.0, 1.0, len(labels) - 0.5, -0.5), "aspect": "auto", "interpolation": "nearest"}
    for axis, cells in zip(panels, shown, strict=True):
        drawn = axis.imshow(cells, cmap="Blues", vmin=0.0, vmax=shown.max() or 1.0, **place)
        axis.set_facecolor("0.85")
        axis.set_xlabel("level", fontsize=8)
        axis.set_xticks([0.0, 0.5, 1.0], ["0", "½", "1"])
    panels[0].set_yticks(np.arange(len(labels)), labels)
    bar = panels[0].figure.colorbar(drawn, ax=list(panels), fraction=0.02 if len(panels) > 2 else 0.05, pad=0.01)
    bar.set_label("probability of the level", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _notes(policy: Policy, rare: bool) -> str:
    signed = [name for name in policy.signed if name in policy.names]
    fewer = len(signed) <= 5
    told = [NOTES[n].format(signed=", ".join(signed) if fewer else f"{len(signed)} ops") for n in policy.noise]
    return "\n".join([*told, *["Gray: the operation is (almost) never drawn in that layer."] * rare])


def _caption(i: int, visible: Any, target: Any, names: Any) -> str:
    words = [] if visible is None else [f"{float(visible[i]):.2f}"]
    if target is not None:
        row = np.asarray(target[i])
        best = int(row.argmax())
        name = str(best if names is None else names[best])
        name = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
        words.append(f"{name}: {row[best]:.2f}")
    return (" | " if sum(map(len, words)) <= LONGEST_NAME else "\n").join(words)


def _pixels(images: Any) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise UsageError(f"plot_batch: images must be [B H W C] with 1 or 3 channels, got shape {images.shape}")
    return np.clip(np.round(images), 0, 255).astype(np.uint8)


def _saved(figure: Any, path: str | pathlib.Path | None) -> Any:
    if path is not None:
        try:
            figure.savefig(path, dpi=120)
        except (OSError, ValueError) as error:  # ValueError: an ending that is no format of matplotlib's
            raise UsageError(f"cannot draw into {path}, name a .png in a folder that is there: {error}") from None
    return figure
