"""The figures of what one run, or the runs of a sweep, are worth, as files."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from jaxaug import viz

DOTS = 120  # per inch


def save_evaluation_figures(folder: pathlib.Path, results: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write `reliability.png`, `robustness.png` and `class_iou.png`, each if the results hold what it shows.

    Args:
      folder: where they go.
      results: name of a variant -> the results of its seeds, with "reliability" and "robustness" as
        `evaluate_robustness` gives them, "class_iou" of a segmentation, or without.
    """
    drawings = (
        ("reliability", viz.reliability_diagram),
        ("robustness", viz.robustness_curves),
        ("class_iou", viz.class_iou),
    )
    for key, draw in drawings:
        curves = {name: [run[key] for run in runs if key in run] for name, runs in results.items()}
        curves = {name: runs for name, runs in curves.items() if runs}
        if curves:
            draw(curves).savefig(folder / f"{key}.png", dpi=DOTS)
