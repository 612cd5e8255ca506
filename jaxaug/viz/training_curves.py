"""Training loss and test error by epoch."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence

History = Sequence[Mapping[str, float]]


def training_curves(path: pathlib.Path, histories: Mapping[str, Sequence[History]]) -> None:
    """Draw training loss and test error by epoch into a PNG: mean and range over the seeds of each variant.

    Variants that were not trained have no records and no curve.
    """
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2)
    for axis, key, label, convert in (
        (axes[0], "train_loss", "training loss", lambda v: v),
        (axes[1], "test_top1", "test error %", lambda v: 100 * (1 - v)),
    ):
        for name, runs in histories.items():
            length = min(len(h) for h in runs)
            if not length:
                continue
            epochs = [r["epoch"] for r in runs[0][:length]]
            values = np.array([[convert(r[key]) for r in h[:length]] for h in runs])
            if axis is axes[1] and (values > 0).any():  # a logarithmic axis has no place for an error of 0
                values = np.maximum(values, 0.5 * values[values > 0].min())
            (line,) = axis.plot(epochs, values.mean(axis=0), label=name)
            if len(runs) > 1:
                axis.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=line.get_color(), alpha=0.15)
        axis.set_xlabel("epoch")
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    if axes[1].lines:
        axes[1].set_yscale("log")
        axes[1].legend()
    figure.savefig(path, dpi=120)
