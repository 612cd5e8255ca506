"""What a person sees of a run: the progress bar, the figures' table, the curves."""

from __future__ import annotations

import pathlib
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table


LAST_EPOCHS = 10




def summarize_history(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The figures of a run from its records, oldest first.

    `test_<metric>`: of the final epoch. `last10_<metric>`: mean over the last 10 evaluated epochs. `chosen_...`: of
    the epoch with the best validation top-1, if there is a validation split. `best_on_test_top1`: the highest test
    accuracy of any epoch, which no honest comparison uses; published tables sometimes do.
    """
    final = history[-1]
    tests = [name for name in final if name.startswith("test_")]
    tail = history[-LAST_EPOCHS:]
    result = {name: final[name] for name in tests}
    result |= {name.replace("test_", "last10_"): statistics.fmean(r[name] for r in tail) for name in tests}
    if "validation_top1" in final:
        chosen = max(history, key=lambda r: r["validation_top1"])
        result |= {name.replace("test_", "chosen_"): chosen[name] for name in tests}
        result["chosen_epoch"] = chosen["epoch"]
    result["best_on_test_top1"] = max(r["test_top1"] for r in history)
    result["seconds"] = sum(r["seconds"] for r in history)
    result["images_per_second"] = statistics.median(r["images_per_second"] for r in history)
    return result


FIGURES = (
    # title, key, scale, digits
    ("top-1 %", "test_top1", 100, 2),
    ("last 10 epochs %", "last10_top1", 100, 2),
    ("chosen on validation %", "chosen_top1", 100, 2),
    ("top-5 %", "test_top5", 100, 2),
    ("negative log-likelihood", "test_nll", 1, 4),
    ("ECE %", "test_ece", 100, 2),
    ("best on test %", "best_on_test_top1", 100, 2),
    ("images/s", "images_per_second", 1, 0),
    ("seconds of training and evaluation", "seconds", 1, 0),
)




def format_mean_std(values: Sequence[float], digits: int) -> str:
    """'mean +- std' with the sample standard deviation, the mean alone for one value, '' for none."""
    if not values:
        return ""
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"






