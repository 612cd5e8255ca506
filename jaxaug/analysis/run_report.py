"""A page of one run, or of all runs of a sweep, in one file that needs nothing else: `report.html`."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping

from jaxaug import viz
from jaxaug.analysis.report_sections import SECTIONS
from jaxaug.analysis.reported_run import ReportedRun
from jaxaug.analysis.table_formats import cells_of
from jaxaug.core.atomic_io import write_text
from jaxaug.core.errors import UsageError
from jaxaug.runs.mirror import REPLACED
from jaxaug.runs.workdir import CONFIG
from jaxaug.train.hooks.console import variants_table
from jaxaug.viz import page

PAGE = "report.html"
MOST_RUNS = 4  # of a sweep that are shown in full, one of each variant


def write_report(folder: str | pathlib.Path, out: str | pathlib.Path = "") -> pathlib.Path:
    """Write the page of a run, or of the runs of a sweep.

    What a run lacks, since it was interrupted or its data are gone, is left out and said at the page's end.

    Args:
      folder: of a run; or of a sweep, with `<variant>/seed_<n>` in it.
      out: the file; "" for `report.html` in the folder.

    Returns:
      The file.

    Raises:
      UsageError: there is no run, or the file cannot be written.
    """
    folder = pathlib.Path(folder).expanduser()
    file = pathlib.Path(out) if out else folder / PAGE
    text = run_page(folder) if (folder / CONFIG).exists() else sweep_page(folder)
    try:
        write_text(file, text)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from None
    return file


def run_page(folder: pathlib.Path) -> str:
    """The page of a run. Raises UsageError if the folder is not that of one."""
    run = ReportedRun(folder)
    parts, anchors = _sections(run, 2, "")
    return page.page(_heading(run), page.paragraph(_state(run)), page.links(anchors), *parts)


def sweep_page(folder: pathlib.Path) -> str:
    """The page of the runs below a folder: all in one table, and the first of each variant in full; of one its own.

    Raises:
      UsageError: there are none.
    """
    files = [path for path in sorted(folder.glob(f"*/seed_*/{CONFIG}")) if REPLACED not in path.parts]
    if not files:
        raise UsageError(f"{folder} is neither the folder of a run, nor one with runs in <variant>/seed_<n>")
    if len(files) == 1:
        return run_page(files[0].parent)
    runs: dict[str, list[ReportedRun]] = {}
    for run in sorted(map(ReportedRun, (path.parent for path in files)), key=lambda run: run.config.seed):
        runs.setdefault(run.folder.resolve().parent.name, []).append(run)
    anchors, parts = [("all", "All runs")], [page.heading("All runs", 2, "all"), *_summary(runs)]
    for number, (first, *_) in enumerate(runs.values()):
        if number == MOST_RUNS:
            others = ", ".join(list(runs)[MOST_RUNS:])
            parts.append(
                page.paragraph(f"Not shown in full: {others}. jaxaug report of the run's folder writes its page.")
            )
            break
        anchor = f"run-{number}"
        anchors.append((anchor, first.title))
        sections, of_run = _sections(first, 3, f"{anchor}-")
        parts += [page.heading(first.title, 2, anchor), page.paragraph(_state(first)), page.links(of_run), *sections]
    title = f"{folder.resolve().name}: {sum(map(len, runs.values()))} runs"
    return page.page(title, page.links(anchors), *parts)


def _summary(runs: Mapping[str, list[ReportedRun]]) -> Iterator[str]:
    """What all runs of a sweep are worth, side by side."""
    first = next(iter(runs.values()))[0]
    metric, key = first.task.metric, f"test_{first.task.metric}"
    results = {name: [run.result for run in some if key in run.result] for name, some in runs.items()}
    results = {name: some for name, some in results.items() if some}
    if results:
        yield page.table(*cells_of(variants_table("", results, first.task.shown_metrics)))
    waiting = [run.title for some in runs.values() for run in some if not run.complete]
    if waiting:
        yield page.paragraph(f"Not complete, counted as far as they are: {', '.join(waiting)}.")
    histories = {name: [run.history for run in some if run.history] for name, some in runs.items()}
    histories = {name: some for name, some in histories.items() if some}
    if histories:
        yield page.picture(viz.training_curves(histories, metric), "training loss and test error by epoch")
    drawn = []
    for what, draw in (
        ("reliability", viz.reliability_diagram),
        ("robustness", viz.robustness_curves),
        ("class_iou", viz.class_iou),
    ):
        curves = {name: [one[what] for one in some if one.get(what)] for name, some in results.items()}
        curves = {name: some for name, some in curves.items() if some}
        if curves:
            drawn.append(page.picture(draw(curves), what.replace("_", " ")))
    yield page.beside(*drawn)


def _sections(run: ReportedRun, level: int, prefix: str) -> tuple[list[str], list[tuple[str, str]]]:
    """(the HTML of all sections for which the run has what it takes, their anchors and titles)."""
    parts, anchors, missing = [], [], []
    for title, make in SECTIONS.items():
        try:
            made = list(make(run))
        except UsageError as error:
            missing.append(f"{title}: {error}")
            continue
        anchor = prefix + title.lower().replace(" ", "-")
        anchors.append((anchor, title))
        parts += [page.heading(title, level, anchor), *made]
    if missing:
        parts.append(page.folded(f"Not shown ({len(missing)})", page.listing(missing)))
    return parts, anchors


def _heading(run: ReportedRun) -> str:
    return f"{run.config.data.name}, {run.config.model.name}: {run.title}"


def _state(run: ReportedRun) -> str:
    """How far it is, in words."""
    if run.complete:
        told = f"complete, {run.config.epochs} epochs" if run.history else "complete, nothing was trained in it"
    elif run.history:
        told = f"not complete: evaluated until epoch {run.history[-1]['epoch']:.0f} of {run.config.epochs}"
    else:
        told = f"not complete: no epoch of {run.config.epochs} has been evaluated yet"
    return f"{run.folder.resolve()}: {told}."
