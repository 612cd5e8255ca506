"""The table of many runs: mean +- standard deviation over seeds, for people, documents and programs."""

from __future__ import annotations

import csv
import io
import json
import pathlib
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jaxaug.analysis.aggregate import Group, Run, RunTable, aggregate
from jaxaug.analysis.table_formats import as_latex, as_markdown
from jaxaug.core.atomic_io import write_text
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import pick
from jaxaug.runs.results import EVALUATIONS, SHOWN_METRICS, format_mean_std
from jaxaug.train.hooks.console import print_to_terminal, reported_split

MOST_NAMES = 10  # of runs that are left out
ACCURACY = "test_top1"  # of which "test_error" is what it lacks to 1
TEXT, WIDTH = "text", 110  # what is for terminals, and how wide it is in a file
STYLES = {TEXT: ".txt", "markdown": ".md", "csv": ".csv", "latex": ".tex", "json": ".json"}  # with their endings
CLASS_IOU = "class_iou"  # of runs with label maps, by class


class Column(NamedTuple):
    """A metric of a run: its key in `result.json`, its title, by what it is multiplied for people, its digits."""

    key: str
    title: str
    scale: float
    digits: int


def show(
    folders: Sequence[str | pathlib.Path],
    metric: str = "",
    style: str = "",
    out: str | pathlib.Path = "",
    *,
    quiet: bool = False,
) -> None:
    """Print the table of all runs below some folders, or write it into a file.

    Args:
      folders: runs are looked for in them and below.
      metric: one of `result.json`; "" for the main one of the runs.
      style: one of `STYLES`; "" for that of the file's ending, or text. CSV and JSON are unscaled; JSON has every run.
      out: the file; "" to print.
      quiet: whether to say nothing of runs that are left out.

    Raises:
      UsageError: what `aggregate` refuses, an unknown metric or style, or a file that cannot be written.
    """
    style = style or _style_of(out)
    pick("format", style, STYLES)
    found = aggregate(folders)
    chosen = columns(found.groups, metric)
    if out:
        try:
            write_text(pathlib.Path(out), rendered(found, chosen, style))
        except OSError as error:
            raise UsageError(f"cannot write {out}: {error.strerror}") from None
    elif style == TEXT:
        for drawn in tables(found, chosen):
            print_to_terminal(drawn)
    else:
        print(rendered(found, chosen, style), end="")
    for why, left_out in () if quiet else found.left_out.items():
        names = [str(folder) for folder in left_out[:MOST_NAMES]]
        more = [f"and {len(left_out) - MOST_NAMES} more"] if len(left_out) > MOST_NAMES else []
        told = f"not counted, {len(left_out)} {why}: {', '.join([*names, *more])}"
        print(told, file=sys.stdout if style == TEXT or out else sys.stderr)


def _style_of(out: str | pathlib.Path) -> str:
    """The style that a file's ending names."""
    ending = pathlib.Path(out).suffix.lower() if out else STYLES[TEXT]
    if ending not in STYLES.values():
        endings = ", ".join(STYLES.values())
        raise UsageError(f"{out}: a table is written to a file that ends in {endings}, unless --format says what it is")
    return next(name for name, one in STYLES.items() if one == ending)


def tables(found: RunTable, columns: Sequence[Column]) -> list[Table]:
    """What is told to people: the table of all groups, of label maps each class, and what was evaluated later."""
    drawn = [table(found.groups, columns), *class_tables(found.groups)]
    evaluated = evaluations(found.groups)
    return [*drawn, evaluations_table(evaluated)] if evaluated else drawn


def rendered(found: RunTable, columns: Sequence[Column], style: str) -> str:
    """The tables in one of `STYLES`."""
    if style == "csv":
        return as_csv(found, columns)
    if style == "json":
        return as_json(found, columns) + "\n"
    if style == TEXT:
        console = Console(width=WIDTH, file=io.StringIO(), record=True)
        console.print(*tables(found, columns))
        return console.export_text()
    made = [(" ".join(str(one.title).split()), one) for one in tables(found, columns)]
    if style == "latex":
        return "\n".join(f"% {title}\n{as_latex(one)}" for title, one in made)
    return "\n".join(f"**{title}**\n\n{as_markdown(one)}" for title, one in made)


def columns(groups: Sequence[Group], metric: str = "") -> tuple[Column, ...]:
    """The columns of a table: the test error, and of a metric what there may be.

    That is of the final epoch, of the epoch chosen on validation, and the best on test. Of runs without test rows all
    of it is of validation rows, and the titles say so.

    Raises:
      UsageError: a metric that no run has.
    """
    valid = {key: key for group in groups for run in group.runs for key, value in run.result.items() if _number(value)}
    metric = metric or _main_metric(groups, valid)
    pick("metric", metric, valid)
    known = {key: (title, scale, digits) for title, key, scale, digits in SHOWN_METRICS}
    percent = (f"{metric.replace('_', ' ')} %", 100, 2) if metric.endswith("_error") else (metric, 1, 4)
    title, scale, digits = known.get(metric, percent)
    name = metric.removeprefix("test_")
    words = {"test": "\nfinal", "best": "\nnot honest"}.get(metric.split("_")[0], "")
    split = reported_split(run.result for group in groups for run in group.runs)
    found = [Column("test_error", f"{split} error %", 100, 2)] * (ACCURACY in valid)
    found.append(Column(metric, title + words, scale, digits))
    if name != metric:
        found.append(Column(f"chosen_{name}", f"{title}\nchosen on\nvalidation", scale, digits))
        best = Column(f"best_on_test_{name}", f"{title}\nbest on {split}:\nnot honest", scale, digits)
        found += [best] * (best.key in valid)
    return tuple(found)


def _main_metric(groups: Sequence[Group], valid: Mapping[str, str]) -> str:
    """The accuracy where a run has it, else by what the first group's runs are compared."""
    best = (key for group in groups for key in group.runs[0].result if key.startswith("best_on_test_"))
    return ACCURACY if ACCURACY in valid else next(best, f"best_on_{ACCURACY}").removeprefix("best_on_")


def table(groups: Sequence[Group], columns: Sequence[Column]) -> Table:
    """One line for each group, a section for each data set and distortion."""
    drawn = Table(title="mean ± standard deviation over seeds")
    drawn.add_column("data IR-NR")
    drawn.add_column("method", overflow="fold")
    for title in ("n", *(column.title for column in columns)):
        drawn.add_column(title, justify="right")
    for i, group in enumerate(groups):
        task = group.runs[0].task
        first = i == 0 or groups[i - 1].runs[0].task != task
        last = i + 1 == len(groups) or groups[i + 1].runs[0].task != task
        cells = [_cell(group, column) for column in columns]
        begin = f"{task[0]} {group.distortion}" if first else ""
        drawn.add_row(escape(begin), escape(group.name), str(len(group.runs)), *cells, end_section=last)
    return drawn


def records(groups: Sequence[Group], columns: Sequence[Column]) -> list[dict[str, Any]]:
    """What the table says, unscaled: of each group its names and numbers, and of each column the mean and deviation.

    Returns:
      For each group "data", "imbalance", "noise", "method", "apart", "n", "seeds", and "<key>_mean" (None where no run
      has the metric) and "<key>_std" (None where fewer than two have) for each column.
    """
    found = []
    for group in groups:
        name, noise, imbalance = group.runs[0].task
        about: dict[str, Any] = {"data": name, "imbalance": imbalance, "noise": noise, "method": group.method}
        about |= {"apart": dict(group.apart), "n": len(group.runs), "seeds": [run.seeds[0] for run in group.runs]}
        for column in columns:
            values = values_of(group.runs, column.key)
            about[f"{column.key}_mean"] = statistics.fmean(values) if values else None
            about[f"{column.key}_std"] = statistics.stdev(values) if len(values) > 1 else None
        found.append(about)
    return found


def class_tables(groups: Sequence[Group]) -> list[Table]:
    """Of runs with label maps, for each data set and distortion: the IoU of each class, a column for each group."""
    by_task: dict[Any, list[Group]] = {}
    for group in groups:
        if group.runs[0].result.get(CLASS_IOU):
            by_task.setdefault(group.runs[0].task, []).append(group)
    tables = []
    for task, some in by_task.items():
        drawn = Table(title=escape(f"IoU % of each class, {task[0]} {some[0].distortion}, test\nfinal"))
        drawn.add_column("class")
        for group in some:
            drawn.add_column(escape(group.name), justify="right")
        values = [class_values(group.runs) for group in some]
        for name in dict.fromkeys(name for found in values for name in found):
            cells = (format_mean_std([100 * x for x in found.get(name, ())], 2) for found in values)
            drawn.add_row(escape(name), *cells)
        tables.append(drawn)
    return tables


def class_values(runs: Sequence[Run]) -> dict[str, list[float]]:
    """class -> its IoU in each run with label maps that has it."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for name, value in run.result.get(CLASS_IOU, {}).items():
            found.setdefault(name, []).extend([value] if _number(value) else [])
    return found


def evaluations(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """What `jaxaug evaluate` has left beside runs, put together over their seeds.

    Returns:
      For each group and name of an evaluation "method", "name", "n", and "<metric>_mean" and "<metric>_std" (None where
      there are fewer than two) of its metrics, unscaled.
    """
    told = []
    for group in groups:
        by_name: dict[str, list[dict[str, Any]]] = {}
        for run in group.runs:
            for file in sorted((run.folder / EVALUATIONS).glob("*.json")):
                by_name.setdefault(file.stem, []).append(_read_evaluation(file))
        for name, found in by_name.items():
            about: dict[str, Any] = {"method": group.method, "name": name, "n": len(found)}
            for key in [key for key, value in found[0].items() if isinstance(value, float) or key == "rows"]:
                values = [one[key] for one in found if _number(one.get(key))]
                about[f"{key}_mean"] = statistics.fmean(values)
                about[f"{key}_std"] = statistics.stdev(values) if len(values) > 1 else None
            told.append(about)
    return told


def evaluations_table(evaluated: Sequence[dict[str, Any]]) -> Table:
    """One line for each evaluation: its metrics, errors and accuracies in percent."""
    titles = {key.removeprefix("test_"): (title, scale, digits) for title, key, scale, digits in SHOWN_METRICS}
    drawn = Table(title="evaluated later, mean ± standard deviation over seeds")
    for title in ("method", "evaluation", "n", "rows"):
        drawn.add_column(title, overflow="fold")
    keys = [key.removesuffix("_mean") for one in evaluated for key in one if key.endswith("_mean")]
    shown = [key for key in dict.fromkeys(keys) if key != "rows"]
    about = [titles.get(key, (f"{key.replace('_', ' ')} %", 100, 2)) for key in shown]
    for title, _, _ in about:
        drawn.add_column(title, justify="right")
    for one in evaluated:
        cells = []
        for key, (_, scale, digits) in zip(shown, about, strict=True):
            mean, spread = one.get(f"{key}_mean"), one.get(f"{key}_std")
            told = "" if mean is None else f"{scale * mean:.{digits}f}"
            cells.append(told if spread is None else f"{told} ± {scale * spread:.{digits}f}")
        words = (one["method"], one["name"], str(one["n"]), f"{one['rows_mean']:.0f}")
        drawn.add_row(*(escape(word) for word in words), *cells)
    return drawn


def _read_evaluation(file: pathlib.Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{file} is damaged: {error}. Remove it, and evaluate again.") from None


def values_of(runs: Sequence[Run], key: str) -> list[float]:
    """The metric of each run that has it; "test_error" is 1 - test_top1."""
    if key == "test_error":
        return [1 - value for value in values_of(runs, ACCURACY)]
    return [run.result[key] for run in runs if _number(run.result.get(key))]


def as_csv(found: RunTable, columns: Sequence[Column]) -> str:
    """`records` as CSV: one line for each group, fields and seeds as words."""
    lines = records(found.groups, columns)
    for line in lines:
        line["apart"] = " ".join(f"{field}={json.dumps(value)}" for field, value in line["apart"].items())
        line["seeds"] = " ".join(map(str, line["seeds"]))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def as_json(found: RunTable, columns: Sequence[Column]) -> str:
    """`records` as JSON, with the folder and the metrics of each run, and the runs that are left out."""
    lines = records(found.groups, columns)
    for line, group in zip(lines, found.groups, strict=True):
        line["runs"] = [
            {"folder": str(run.folder)} | {c.key: next(iter(values_of([run], c.key)), None) for c in columns}
            for run in group.runs
        ]
        if classes := class_values(group.runs):
            line[f"{CLASS_IOU}_mean"] = {name: statistics.fmean(x) if x else None for name, x in classes.items()}
            line[f"{CLASS_IOU}_std"] = {n: statistics.stdev(x) if len(x) > 1 else None for n, x in classes.items()}
    left_out = {why: [str(folder) for folder in folders] for why, folders in found.left_out.items()}
    found_later = evaluations(found.groups)
    return json.dumps({"groups": lines, "evaluations": found_later, "not_counted": left_out}, indent=1)


def _cell(group: Group, column: Column) -> str:
    values = [column.scale * value for value in values_of(group.runs, column.key)]
    some = f" (n={len(values)})" if 0 < len(values) < len(group.runs) else ""
    return format_mean_std(values, column.digits) + some


def _number(value: Any) -> bool:
    return isinstance(value, int | float)
