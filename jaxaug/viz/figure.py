"""An empty matplotlib figure."""

from __future__ import annotations

from typing import Any


def new_figure(width: float, height: float) -> Any:
    """A Figure of that many inches, with constrained layout, for PNG files and notebooks."""
    # Without pyplot a figure is not kept alive, and needs no display; a notebook shows the one that is returned.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
