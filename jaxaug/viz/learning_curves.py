"""The course of one training and of the search beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from jaxaug.viz.figure import ACCURACY, error_label, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_MARKED = 30  # epochs from which on a curve needs no markers


class Curve(NamedTuple):
    """A key of a record, and what its curve is called; `complement`: 100 (1 - value) is drawn."""

    key: str
    label: str
    complement: bool = False


def learning_curves(history: Sequence[Mapping[str, float]], metric: str = ACCURACY) -> Figure:
    """Losses, errors and, if there was one, the search of one training by epoch, each in a panel of its own.

    Args:
      history: records of evaluated epochs, oldest first, with "epoch" and any of "train_loss", "test_nll",
        "validation_nll", "search_loss", "train_<metric>", "test_<metric>", "validation_<metric>", "search_residual",
        "search_indefinite".
      metric: name of the main metric, a share in 0..1; the error drawn, in %, is what it lacks to 1.
    """
    panels = {
        title: known
        for title, curves in _panels(metric).items()
        if (known := [curve for curve in curves if any(curve.key in record for record in history)])
    }
    figure = new_figure(5 * len(panels), 4)
    for axis, (title, curves) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for key, label, complement in curves:
            found = [(record["epoch"], record[key]) for record in history if key in record]
            epochs, values = zip(*found, strict=True)
            marker = "." if len(found) < MOST_MARKED else ""
            axis.plot(epochs, [100 * (1 - v) for v in values] if complement else values, label=label, marker=marker)
        axis.set_xlabel("epoch")
        axis.set_ylabel(title)
        # From 0, with room above curves that lie far from it; a loss may be negative.
        low, high = axis.dataLim.intervaly
        axis.set_ylim(min(0.0, 1.05 * low), 1.05 * high if high > 0 else 0.0 if low < 0 else 1.0)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    return figure


def _panels(metric: str) -> dict[str, tuple[Curve, ...]]:
    """Title of a panel -> its curves."""
    return {
        "loss": (
            Curve("train_loss", "training"),
            Curve("test_nll", "test"),
            Curve("validation_nll", "validation"),
            Curve("search_loss", "trusted rows, in the search"),
        ),
        error_label(metric): (
            Curve(f"train_{metric}", "training, labels as given", complement=True),
            Curve(f"test_{metric}", "test", complement=True),
            Curve(f"validation_{metric}", "validation", complement=True),
        ),
        "search": (
            Curve("search_residual", "residual of its solver"),
            Curve("search_indefinite", "share of steps without positive curvature"),
        ),
    }
