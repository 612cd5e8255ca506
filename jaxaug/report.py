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

# Seconds between plain lines where there is no terminal to draw a bar on.
PLAIN_INTERVAL = 15.0

LAST_EPOCHS = 10


class Bar:
    """A progress bar over steps with loss, accuracy, images/s and time left; plain lines if not on a terminal."""

    def __init__(self, title: str, total: int, completed: int, *, visible: bool):
        self._title, self._total, self._visible = title, total, visible
        self._told = self._began = time.monotonic()
        self._from = completed
        self._bar: Progress | None = None
        if visible and sys.stdout.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=12),
                MofNCompleteColumn(),
                TextColumn("{task.fields[figures]}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, transient=True)
            self._task = self._bar.add_task(title, total=total, completed=completed, figures="")
            self._bar.start()

    def update(self, step: int, figures: Mapping[str, float]) -> None:
        """figures: name -> value, shown in order."""
        text = "  ".join(
            f"{name} {value:.3f}" if value < 100 else f"{name} {value:.0f}" for name, value in figures.items()
        )
        if self._bar is not None:
            self._bar.update(self._task, completed=step, figures=text)
        elif self._visible and time.monotonic() - self._told > PLAIN_INTERVAL:
            self._told = time.monotonic()
            left = (self._told - self._began) / max(step - self._from, 1) * (self._total - step)
            print(f"{self._title}: step {step} of {self._total}  {text}  {left:.0f} s left", flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def result_of(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
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


ROWS = (
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


def table(title: str, results: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """One line for each figure, one column for each variant: mean +- standard deviation over its seeds."""
    drawn = Table(title=title)
    drawn.add_column("test set, final epoch unless said")
    for name, runs in results.items():
        drawn.add_column(f"{name} (n={len(runs)})", justify="right")
    # What a robustness protocol sums up to is told by its name's end.
    errors = dict.fromkeys(key for runs in results.values() for r in runs for key in r if key.endswith("_error"))
    for label, key, scale, digits in (*ROWS, *((f"{key.replace('_', ' ')} %", key, 100, 2) for key in errors)):
        cells = [spread([scale * r[key] for r in runs if key in r], digits) for runs in results.values()]
        if any(cells):
            drawn.add_row(label, *cells)
    return drawn


def spread(values: Sequence[float], digits: int) -> str:
    """'mean +- std' with the sample standard deviation, the mean alone for one value, '' for none."""
    if not values:
        return ""
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def show(thing: Any) -> None:
    """Print to the terminal, or plainly where there is none."""
    Console(width=None if sys.stdout.isatty() else 110).print(thing)


History = Sequence[Mapping[str, float]]


def curves(path: pathlib.Path, histories: Mapping[str, Sequence[History]]) -> None:
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
