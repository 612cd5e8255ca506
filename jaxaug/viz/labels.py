"""Labels: what the model says on the test split, what a search learned about each training row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxaug.viz import heatmap
from jaxaug.viz.figure import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 40


def weight_histogram(weight: np.ndarray, wrong: np.ndarray | None = None) -> Figure:
    """Learned weights as a histogram, one each of right and of wrong rows where they are known.

    The title then has the area under the curve with which a low weight finds wrong labels: 1/2 is chance, 1 is perfect.

    Args:
      weight: float [N].
      wrong: bool [N], whether a row's label is wrong; None if unknown.
    """
    figure = new_figure(6, 3.5)
    axis = figure.subplots()
    edges = np.histogram_bin_edges(weight, BINS).tolist()
    if wrong is None or wrong.all() or not wrong.any():
        axis.hist(weight, edges, weights=np.full(len(weight), 1 / len(weight)))
        known = "unknown" if wrong is None else f"{'all' if wrong.any() else 'none'} wrong"
        axis.set_title(f"learned weights of {len(weight)} rows (labels: {known})")
    else:
        from sklearn.metrics import roc_auc_score  # slow to import, and only here

        for name, chosen in (("clean", ~wrong), ("mislabelled", wrong)):
            share = np.full(chosen.sum(), 1 / chosen.sum())
            axis.hist(weight[chosen], edges, weights=share, alpha=0.6, label=f"{chosen.sum()} {name} rows")
        axis.set_title(f"learned weights: AUC {roc_auc_score(wrong, -weight):.3f} for wrong labels")
        axis.legend()
    axis.set_xlabel("weight")
    axis.set_ylabel("share of these rows")
    axis.grid(alpha=0.3)
    return figure


def confusion_matrix(label: np.ndarray, predicted: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Of the rows of each class, the share that the model calls each class.

    Args:
      label: int [N], the true classes, 0..K-1.
      predicted: int [N], those that the model says.
      class_names: of the K classes.
    """
    counts = _counts(label, predicted, len(class_names))
    right = 100 * np.mean(label == predicted)
    return draw_confusion(counts, class_names, f"top-1 {right:.2f} % of {len(label)} rows")


def draw_confusion(counts: np.ndarray, class_names: Sequence[str], title: str) -> Figure:
    """A confusion matrix by its counts, int [K K], true classes in rows; a class without counts has a gray row."""
    of_class = counts.sum(1, keepdims=True)
    share = np.divide(counts, of_class, out=np.full(counts.shape, np.nan), where=of_class > 0)
    side = heatmap.cell_side(len(class_names)) * len(class_names)
    figure = new_figure(side + 2.4, side + 1.6)
    axis = figure.subplots()
    drawn = heatmap.draw_heatmap(axis, share, class_names, class_names, highest=1.0)
    figure.colorbar(drawn, ax=axis, label="share of the true class")
    axis.set_xlabel("class that the model says")
    axis.set_ylabel("true class")
    axis.set_title(title)
    return figure


def soft_label_flips(
    given: np.ndarray, soft: np.ndarray, clean: np.ndarray | None, class_names: Sequence[str]
) -> Figure:
    """Learned soft labels that flipped: how many rows of each given class went to each other class.

    Args:
      given: int [N], the class that a row came with.
      soft: int [N], the class with most of its soft label.
      clean: int [N], its true class, so that wrong and right labels are drawn apart; None if unknown.
      class_names: of the K classes.
    """
    if clean is None:
        panels = [(f"{len(given)} labels: {_percent(soft != given)} flipped", np.full(given.shape, True))]
    else:
        wrong = given != clean
        corrected, otherwise = (soft == clean)[wrong], ((soft != clean) & (soft != given))[wrong]
        others = f", {_percent(otherwise)} flipped to another wrong one" if otherwise.any() else ""
        panels = [
            (f"{wrong.sum()} wrong labels: {_percent(corrected)} corrected{others}", wrong),
            (f"{(~wrong).sum()} right labels: {_percent((soft != given)[~wrong])} flipped", ~wrong),
        ]
    side = heatmap.cell_side(len(class_names)) * len(class_names)
    figure = new_figure(len(panels) * (max(side, 3.5) + 1.2), max(side, 2.5) + 1.4)
    for axis, (title, rows) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        flipped = rows & (soft != given)
        counts = _counts(given[flipped], soft[flipped], len(class_names)).astype(float)
        heatmap.draw_heatmap(axis, counts, class_names, class_names, number_format="{:.0f}")
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("class of the soft label")
        axis.set_ylabel("given class")
    return figure


def _percent(chosen: np.ndarray) -> str:
    return f"{100 * chosen.mean():.1f} %" if len(chosen) else "none"


def _counts(rows: np.ndarray, columns: np.ndarray, num_classes: int) -> np.ndarray:
    """[K, K]: how often each pair of classes occurs."""
    return np.bincount(rows * num_classes + columns, minlength=num_classes**2).reshape(num_classes, num_classes)
