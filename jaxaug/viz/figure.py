"""An empty matplotlib figure, and what several figures call the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACCURACY = "top1"  # the metric whose complement is simply called the error


def new_figure(width: float, height: float) -> Figure:
    """An empty figure with constrained layout, for PNG files and notebooks.

    Args:
      width: in inches.
      height: in inches.
    """
    # Without pyplot a figure is not kept alive, and needs no display; a notebook shows the one that is returned.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def error_label(metric: str) -> str:
    """What 100 (1 - metric) is called beside an axis: "error %" for top-1 accuracy."""
    return "error %" if metric == ACCURACY else f"100 - {metric} %"
