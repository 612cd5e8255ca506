"""What a person sees of a run: the progress bar and the table of its variants."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from jaxaug.runs.results import format_mean_std

if TYPE_CHECKING:  # a table of results should not wait for JAX
    from jaxaug.tasks.base import ShownMetric

# Seconds between plain lines where there is no terminal to draw a bar on.
PLAIN_INTERVAL = 15.0


class ProgressBar:
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
                TextColumn("{task.fields[metrics]}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, transient=True)
            self._task = self._bar.add_task(title, total=total, completed=completed, metrics="")
            self._bar.start()

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """metrics: name -> value, shown in order."""
        text = "  ".join(
            f"{name} {value:.3f}" if value < 100 else f"{name} {value:.0f}" for name, value in metrics.items()
        )
        if self._bar is not None:
            self._bar.update(self._task, completed=step, metrics=text)
        elif self._visible and time.monotonic() - self._told > PLAIN_INTERVAL:
            self._told = time.monotonic()
            left = (self._told - self._began) / max(step - self._from, 1) * (self._total - step)
            print(f"{self._title}: step {step} of {self._total}  {text}  {left:.0f} s left", flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def variants_table(
    title: str, results: Mapping[str, Sequence[Mapping[str, Any]]], metrics: Sequence[ShownMetric]
) -> Table:
    """One line for each metric, one column for each variant: mean +- standard deviation over its seeds.

    Args:
      results: variant -> the results of its seeds.
      metrics: of the task, the main metric first.
    """
    drawn = Table(title=title)
    split = reported_split(r for runs in results.values() for r in runs)
    none = "" if split in ("", "test") else ", where there is no test set"
    drawn.add_column(f"{split} set{none}, final epoch unless said")
    for name, runs in results.items():
        drawn.add_column(f"{name} (n={len(runs)})", justify="right")
    # What a robustness protocol sums up to is told by its name's end.
    errors = dict.fromkeys(key for runs in results.values() for r in runs for key in r if key.endswith("_error"))
    of_errors = [(f"{key.replace('_', ' ')} %", key, 100.0, 2) for key in errors]
    for label, key, scale, digits in (*_lines(metrics, split), *of_errors):
        cells = [format_mean_std([scale * r[key] for r in runs if key in r], digits) for runs in results.values()]
        if any(cells):
            drawn.add_row(label, *cells)
    return drawn


def reported_split(results: Iterable[Mapping[str, Any]]) -> str:
    """The rows that what is called test in results is of: "test", "validation" without test rows, or both in words."""
    return " or ".join(sorted({result.get("reported_on", "test") for result in results}))


def _lines(metrics: Sequence[ShownMetric], split: str) -> list[tuple[str, str, float, int]]:
    """(title, key of a result, scale, digits) of each line."""
    main, *others = metrics
    unit = " %" if main.title.endswith("%") else ""
    return [
        (main.title, f"test_{main.metric}", main.scale, main.digits),
        (f"last 10 epochs{unit}", f"last10_{main.metric}", main.scale, main.digits),
        (f"chosen on validation{unit}", f"chosen_{main.metric}", main.scale, main.digits),
        *((one.title, f"test_{one.metric}", one.scale, one.digits) for one in others),
        (f"best on {split}{unit}", f"best_on_test_{main.metric}", main.scale, main.digits),
        ("images/s", "images_per_second", 1, 0),
        ("seconds of training and evaluation", "seconds", 1, 0),
    ]


def print_to_terminal(thing: Any) -> None:
    """Print to the terminal, or plainly where there is none."""
    Console(width=None if sys.stdout.isatty() else 110).print(thing)
