"""What a trained model is worth, drawn: how far its confidence can be believed, its error under disturbance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxaug.viz.figure import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def reliability_diagram(curves: Mapping[str, Sequence[Mapping[str, Sequence[float]]]]) -> Figure:
    """Accuracy against confidence, and below the share of rows in each bin.

    Args:
      curves: name of a variant -> one mapping for each of its seeds, which are pooled: "accuracy", "confidence" and
        "share", each of the same number of equal bins of confidence, in 0..1; share is of all rows.
    """
    figure = new_figure(5, 6)
    above, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    above.plot([0, 1], [0, 1], color="gray", linestyle=":", label="calibrated")
    for place, (name, runs) in enumerate(curves.items()):
        share, accuracy, confidence = (np.array([r[key] for r in runs]) for key in ("share", "accuracy", "confidence"))
        pooled = share.sum(axis=0)
        full = pooled > 0
        x, y = ((share * values).sum(axis=0)[full] / pooled[full] for values in (confidence, accuracy))
        (line,) = above.plot(x, y, marker="o", label=name)
        bins, width = len(pooled), 0.9 / len(pooled) / len(curves)
        left = np.arange(bins) / bins + 0.05 / bins + place * width
        below.bar(left, pooled / len(runs), width, align="edge", color=line.get_color())
    above.set_ylabel("accuracy")
    above.legend()
    below.set_ylabel("share of rows")
    below.set_xlabel("confidence")
    for axis in (above, below):
        axis.grid(alpha=0.3)
    return figure


def robustness_curves(curves: Mapping[str, Sequence[Mapping[str, Mapping[str, Any]]]]) -> Figure:
    """Test error against severity, a panel for each protocol: mean over seeds, +- their standard deviation.

    Args:
      curves: name of a variant -> one mapping for each of its seeds, protocol -> {"axis": what severity means,
        "severity": [L], "error": [L] in 0..1}. A protocol that a variant or a seed lacks is left out there.
    """
    protocols = list(dict.fromkeys(protocol for runs in curves.values() for run in runs for protocol in run))
    figure = new_figure(5 * len(protocols), 4)
    for axis, protocol in zip(figure.subplots(1, len(protocols), squeeze=False)[0], protocols, strict=True):
        for name, runs in curves.items():
            found = [run[protocol] for run in runs if protocol in run]
            if not found:
                continue
            x, errors = found[0]["severity"], 100 * np.array([one["error"] for one in found])
            (line,) = axis.plot(x, errors.mean(axis=0), marker=".", label=name)
            if len(found) > 1:
                low, high = (errors.mean(axis=0) + sign * errors.std(axis=0, ddof=1) for sign in (-1, 1))
                axis.fill_between(x, low, high, color=line.get_color(), alpha=0.15)
            axis.set_xlabel(found[0]["axis"])
        axis.set_title(protocol)
        axis.set_ylabel("test error %")
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend()
    return figure
