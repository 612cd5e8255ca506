"""What the final state of a run is worth, drawn: reliability diagram, error under disturbance."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from jaxaug.viz.figure import new_figure

Results = Mapping[str, Sequence[Mapping[str, Any]]]


def save_figures(folder: pathlib.Path, results: Results) -> None:
    """`reliability.png` and `robustness.png` in `folder`, each if the results hold what it shows.

    results: name of a variant -> the results of its seeds, with the entries that `stress.examine` makes.
    """
    for key, into in (("reliability", reliability_diagram), ("robustness", robustness_curves)):
        found = {name: [run[key] for run in runs if key in run] for name, runs in results.items()}
        found = {name: runs for name, runs in found.items() if runs}
        if found:
            into(folder / f"{key}.png", found)


def reliability_diagram(path: pathlib.Path, curves: Mapping[str, Sequence[Mapping[str, Sequence[float]]]]) -> None:
    """Accuracy against confidence, and the share of rows in each bin: the seeds of a variant are pooled.

    curves: variant -> for each seed what `metrics.reliability` gives.
    """
    import numpy as np

    figure = new_figure(5, 6)
    above, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    above.plot([0, 1], [0, 1], color="grey", linestyle=":", label="calibrated")
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
    figure.savefig(path, dpi=120)


def robustness_curves(path: pathlib.Path, curves: Mapping[str, Sequence[Mapping[str, Mapping[str, Any]]]]) -> None:
    """Test error against severity, a panel for each protocol: mean over the seeds of each variant, +- their standard
    deviation.

    curves: variant -> for each seed {protocol: {"axis", "severity", "error"}}.
    """
    import numpy as np

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
    figure.savefig(path, dpi=120)
