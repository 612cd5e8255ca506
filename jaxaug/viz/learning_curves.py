"""The course of a training and of the search beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxaug.viz.figure import new_figure

# panel -> ((key of a record, what it is called, is it an accuracy to be drawn as an error), ...)
PANELS: dict[str, tuple[tuple[str, str, bool], ...]] = {
    "loss": (
        ("train_loss", "training", False),
        ("test_nll", "test", False),
        ("validation_nll", "validation", False),
        ("search_loss", "trusted rows, in the search", False),
    ),
    "error %": (
        ("train_top1", "training, labels as given", True),
        ("test_top1", "test", True),
        ("validation_top1", "validation", True),
    ),
    "search": (
        ("search_residual", "residual of its solver", False),
        ("search_indefinite", "share of steps without positive curvature", False),
    ),
}


def learning_curves(history: Sequence[Mapping[str, float]]) -> Any:
    """The Figure of a run's records (`metrics.jsonl`) by epoch: losses, errors and, if there was one, its search."""
    panels = {name: [line for line in lines if any(line[0] in r for r in history)] for name, lines in PANELS.items()}
    panels = {name: lines for name, lines in panels.items() if lines}
    figure = new_figure(5 * len(panels), 4)
    for axis, (name, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for key, label, accuracy in lines:
            found = [(r["epoch"], r[key]) for r in history if key in r]
            epochs, values = zip(*found, strict=True)
            marker = "." if len(found) < 30 else ""
            axis.plot(epochs, [100 * (1 - v) for v in values] if accuracy else values, label=label, marker=marker)
        axis.set_xlabel("epoch")
        axis.set_ylabel(name)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    return figure
