"""The metrics of a run from its records, and how those of several runs are told."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

LAST_EPOCHS = 10
EVALUATIONS = "evaluations"  # a folder beside a result: of the same weights, asked for later, one file each

# Title, key of a result, what it is multiplied by, digits after the point.
SHOWN_METRICS = (
    ("top-1 %", "test_top1", 100, 2),
    ("last 10 epochs %", "last10_top1", 100, 2),
    ("chosen on validation %", "chosen_top1", 100, 2),
    ("top-5 %", "test_top5", 100, 2),
    ("negative log-likelihood", "test_nll", 1, 4),
    ("ECE %", "test_ece", 100, 2),
    ("nearest neighbours %", "test_knn_top1", 100, 2),
    ("averaged weights %", "averaged_test_top1", 100, 2),
    ("best on test %", "best_on_test_top1", 100, 2),
    ("mIoU %", "test_miou", 100, 2),
    ("pixel accuracy %", "test_pixel_accuracy", 100, 2),
    ("mean class accuracy %", "test_class_accuracy", 100, 2),
    ("images/s", "images_per_second", 1, 0),
    ("seconds of training and evaluation", "seconds", 1, 0),
)


def summarize_history(history: Sequence[Mapping[str, float]], metric: str = "top1") -> dict[str, float]:
    """The metrics of a run from its records.

    Args:
      history: the records of its evaluated epochs, oldest first; one or more.
      metric: the task's main metric, by which epochs are compared; higher is better.

    Returns:
      test_<any metric>: of the final epoch.
      last10_<any metric>: mean over the last 10 evaluated epochs.
      chosen_<any metric>, chosen_epoch: of the epoch with the best validation <metric>, if there is a validation split.
      best_on_test_<metric>: the highest of any epoch, which no honest comparison uses; published tables sometimes do.
      averaged_test_<any metric>: of the averaged weights in the final epoch, if there are any.
      seconds, images_per_second: the sum and the median over the epochs.
    """
    final = history[-1]
    tests = [name for name in final if name.startswith("test_")]
    tail = history[-LAST_EPOCHS:]
    result = {name: final[name] for name in tests}
    result |= {name.replace("test_", "last10_"): statistics.fmean(r[name] for r in tail) for name in tests}
    if f"validation_{metric}" in final:
        chosen = max(history, key=lambda r: r[f"validation_{metric}"])
        result |= {name.replace("test_", "chosen_"): chosen[name] for name in tests}
        result["chosen_epoch"] = chosen["epoch"]
    result |= {name: value for name, value in final.items() if name.startswith("averaged_test_")}
    result[f"best_on_test_{metric}"] = max(r[f"test_{metric}"] for r in history)
    result["seconds"] = sum(r["seconds"] for r in history)
    result["images_per_second"] = statistics.median(r["images_per_second"] for r in history)
    return result


def format_mean_std(values: Sequence[float], digits: int) -> str:
    """'mean ± std' with the sample standard deviation, the mean alone for one value, '' for none."""
    if not values:
        return ""
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"
