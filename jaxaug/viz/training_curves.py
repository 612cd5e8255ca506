"""Training loss and test error by epoch, several trainings side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxaug.viz.figure import ACCURACY, error_label, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Sequence[Mapping[str, float]]


def training_curves(histories: Mapping[str, Sequence[History]], metric: str = ACCURACY) -> Figure:
    """Training loss and test error by epoch: mean and range over the seeds of each variant.

    Variants that were not trained have no records and no curve.

    Args:
      histories: name of a variant -> the records of each seed, oldest first, with "epoch", "train_loss" and
        "test_<metric>". Of seeds with different numbers of records the first ones are drawn.
      metric: name of the main metric, a share in 0..1; the error drawn, in %, is what it lacks to 1.
    """
    figure = new_figure(10, 4)
    loss, error = figure.subplots(1, 2)
    for name, runs in histories.items():
        length = min(len(history) for history in runs)
        if not length:
            continue
        epochs = [record["epoch"] for record in runs[0][:length]]
        losses, accuracies = (
            np.array([[record[key] for record in history[:length]] for history in runs])
            for key in ("train_loss", f"test_{metric}")
        )
        _draw(loss, name, epochs, losses)
        errors = 100 * (1 - accuracies)
        # A logarithmic axis has no place for an error of 0.
        _draw(error, name, epochs, np.maximum(errors, 0.5 * errors[errors > 0].min()) if (errors > 0).any() else errors)
    for axis, label in ((loss, "training loss"), (error, f"test {error_label(metric)}")):
        axis.set_xlabel("epoch")
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    if error.lines:
        error.legend()
    if any((np.asarray(line.get_ydata()) > 0).any() for line in error.lines):
        error.set_yscale("log")
    return figure


def _draw(axis: Axes, name: str, epochs: Sequence[float], values: np.ndarray) -> None:
    """One variant: values [seeds, epochs]."""
    (line,) = axis.plot(epochs, values.mean(axis=0), label=name)
    if len(values) > 1:
        axis.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=line.get_color(), alpha=0.15)
