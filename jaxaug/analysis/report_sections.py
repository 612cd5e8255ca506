"""The sections of a run's page, each a function of the run that gives HTML, or says by UsageError what is missing."""

from __future__ import annotations

import functools
import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ml_collections import ConfigDict

from jaxaug import policies, viz
from jaxaug.analysis.aggregate import aggregate
from jaxaug.analysis.pipeline_figure import draw_pipeline
from jaxaug.analysis.reported_run import ReportedRun, read_object
from jaxaug.analysis.results_table import evaluations, evaluations_table
from jaxaug.analysis.table_formats import cells_of
from jaxaug.core.errors import UsageError
from jaxaug.data.dataset import Split
from jaxaug.runs.fields import fields_of
from jaxaug.runs.workdir import ENVIRONMENT, INPUTS, POLICY
from jaxaug.search.learned import FILE as LEARNED
from jaxaug.train.config import NO_SEARCH, SEQUENCES, SLOTS, complete, default_config
from jaxaug.train.hooks.console import variants_table
from jaxaug.viz import page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CLASSES = 40  # of a confusion matrix that can be read on a screen
PAIRS, PICTURES, SUSPECTS = 12, 24, 12  # confused pairs, wrong images, rows with the least weight
DIGEST = 16  # letters of a digest that are shown
Parts = Iterator[str]


def metrics(run: ReportedRun) -> Parts:
    """The table of its metrics, and what was evaluated later."""
    if f"test_{run.task.metric}" not in run.result:
        raise UsageError("no epoch has been evaluated")
    titles, rows = cells_of(variants_table("", {run.title: [run.result]}, run.task.shown_metrics))
    if not run.complete:
        titles[0] = f"test set, epoch {run.history[-1]['epoch']:.0f} of {run.config.epochs} unless said"
    yield page.table([titles[0], ""], rows)
    if run.complete:
        found = evaluations(aggregate([run.folder]).groups)
        if found:
            yield page.heading("Evaluated later", 4)
            yield page.table(*cells_of(evaluations_table(found)))


def curves(run: ReportedRun) -> Parts:
    """Losses, errors and the search by epoch."""
    yield page.picture(run.learning(), "losses and errors by epoch")


def calibration(run: ReportedRun) -> Parts:
    """The reliability diagram."""
    if run.has_maps or "reliability" not in run.diagrams:
        raise UsageError("its task tells nothing of it")
    yield page.picture(viz.reliability_diagram({run.title: [run.diagrams["reliability"]]}), "accuracy by confidence")


def robustness(run: ReportedRun) -> Parts:
    """The error under each protocol."""
    if not run.result.get("robustness"):
        raise UsageError("no protocol was asked for, or the run is not complete")
    yield page.picture(viz.robustness_curves({run.title: [run.result["robustness"]]}), "error by severity")


def confusion(run: ReportedRun) -> Parts:
    """The confusion matrix, of few enough classes, and the most confused pairs."""
    names = run.experiment.data.class_names
    if run.has_maps:
        counts, what = run.pixels, "pixels"
    else:
        known = run.judged["given"] >= 0
        given, says = (run.judged[name][known] for name in ("given", "says"))
        counts, what = np.zeros((len(names), len(names)), np.int64), "rows"
        np.add.at(counts, (given, says), 1)
    matrix = ""
    if len(names) <= MOST_CLASSES:
        drawn = viz.pixel_confusion(counts, names) if run.has_maps else viz.confusion_matrix(given, says, names)
        matrix = page.picture(drawn, "confusion matrix")
    yield page.beside(matrix, _most_confused(counts, names, what))


def classes(run: ReportedRun) -> Parts:
    """Of label maps the IoU of each class, and examples."""
    yield page.picture(run.class_iou(), "intersection over union of each class")
    yield page.picture(run.segmentation(), "images, labels and predictions")


def most_wrong(run: ReportedRun) -> Parts:
    """The test images of whose class the network was least expecting."""
    found, names = run.judged, run.experiment.data.class_names
    wrong = np.flatnonzero((found["says"] != found["given"]) & (found["given"] >= 0))
    if not len(wrong):
        yield page.paragraph("No test row is wrong.")
        return
    rows = wrong[np.argsort(found["says_given"][wrong], kind="stable")][:PICTURES]
    yield page.paragraph(
        f"{len(wrong)} of {len(found['says'])} test rows are wrong. True class → said class (its probability)."
    )
    told = [f"{names[found['given'][i]]} → {names[found['says'][i]]} ({found['says_share'][i]:.2f})" for i in rows]
    yield page.cards(_cards(run.experiment.data.test, rows, told, "test row"))


def learned(run: ReportedRun) -> Parts:
    """What a search has learned about the rows: weights, soft labels, augmentation, and the rows of least weight."""
    if run.config.search.name == NO_SEARCH:
        raise UsageError("there was no search")
    if run.complete and not (run.folder / LEARNED).exists():
        raise UsageError("the search learned nothing beside the training")
    missing = []
    for draw, words in (
        (run.weights, "learned weights"),
        (functools.partial(_soft_labels, run), "learned soft labels"),
        (run.augmentation, "learned augmentation"),
    ):
        try:
            yield page.picture(draw(), words)
        except UsageError as error:
            missing.append(str(error))
    if "weight" in _found(run):
        yield page.heading("Least weight", 4)
        yield _least_weight(run)
    if missing:
        yield page.paragraph(f"Not shown: {'; '.join(dict.fromkeys(missing))}.")


def policy(run: ReportedRun) -> Parts:
    """The policy that was searched."""
    file = run.folder / POLICY
    if not file.exists():
        raise UsageError("no policy was searched, or the search is not complete")
    found = policies.load(file)
    yield page.picture(viz.plot_policy(found), "operations and levels of the policy")
    summary = run.folder / "policy.md"
    if summary.exists():
        yield page.folded("In words", page.preformatted(summary.read_text()))


def pipeline(run: ReportedRun) -> Parts:
    """Training images after each transform."""
    augment = run.config.augment
    if not (augment.train or augment.strong or augment.after):
        raise UsageError("its images are not augmented")
    yield page.picture(draw_pipeline(run.experiment), "training images after each transform")


def environment(run: ReportedRun) -> Parts:
    """What it ran on, by which command, and what it has read."""
    found = read_object(run.folder / ENVIRONMENT)
    rows = [
        (name, _told(found[name]))
        for name in ("code", "python", "platform", "cores", "devices", "processes")
        if name in found
    ]
    yield page.preformatted(shlex.join(map(str, found.get("command", []))))
    yield page.table((), [*rows, *found.get("packages", {}).items()], words=True)
    if (run.folder / INPUTS).exists():
        read = read_object(run.folder / INPUTS)
        if read.get("accepted"):
            yield page.paragraph("Inputs that changed, which was accepted:")
            yield page.listing(map(str, read["accepted"]))
        digests = [(name, str(digest)[:DIGEST]) for name, digest in read.get("inputs", {}).items()]
        yield page.folded(
            f"Digests of its {len(digests)} inputs", page.table(("input", "digest begins"), digests, words=True)
        )


def configuration(run: ReportedRun) -> Parts:
    """The components and options that are not as by default, and every field."""
    config = run.config.to_dict()
    usual, own = (dict(fields_of(_plain(one))) for one in (complete(default_config()).to_dict(), _by_default(config)))
    chosen = {*SEQUENCES, *(f"{slot}.name" for slot in SLOTS)}
    changed = [
        (name, json.dumps(value))
        for name, value in fields_of(_plain(config))
        if own.get(name) != value or (name in chosen and usual.get(name) != value)
    ]
    yield page.table(("other than by default", ""), changed, words=True)
    yield page.folded("Every field", page.preformatted(json.dumps(_plain(config), indent=1, sort_keys=True)))


SECTIONS: Mapping[str, Callable[[ReportedRun], Parts]] = {
    "Metrics": metrics,
    "Curves": curves,
    "Calibration": calibration,
    "Robustness": robustness,
    "Classes": classes,
    "Confusion": confusion,
    "Most wrong": most_wrong,
    "Learned": learned,
    "Policy": policy,
    "Augmentation": pipeline,
    "Environment": environment,
    "Configuration": configuration,
}


def _found(run: ReportedRun) -> Mapping[str, np.ndarray]:
    try:
        return run.found
    except UsageError:
        return {}


def _soft_labels(run: ReportedRun) -> Figure:
    figure = run.soft_labels()
    if np.array_equal(run.found["soft"], run.found["given"]):
        raise UsageError("no soft label has come to another class than the given one")
    return figure


def _least_weight(run: ReportedRun) -> str:
    found, names = run.found, run.experiment.data.class_names
    rows = np.argsort(found["weight"], kind="stable")[:SUSPECTS]
    told = [f"{names[found['given'][i]]} → {names[found['says'][i]]} (weight {found['weight'][i]:.2f})" for i in rows]
    return page.cards(_cards(run.experiment.data.train, rows, told, "training row"))


def _cards(split: Split, rows: np.ndarray, lines: list[str], what: str) -> Iterator[page.Card]:
    shown = split.at(rows)
    for image, index, line in zip(shown.image[:], shown.index, lines, strict=True):
        yield page.Card(page.pixels_of(image), line, f"{what} {index}")


def _most_confused(counts: np.ndarray, names: Sequence[str], what: str) -> str:
    """A table of the pairs of classes that are confused most often; "" if none is."""
    wrong = counts * (1 - np.eye(len(names), dtype=np.int64))
    order = [divmod(int(pair), len(names)) for pair in np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]]
    rows = [
        (f"{names[true]} → {names[said]}", f"{wrong[true, said]:,}", f"{wrong[true, said] / counts[true].sum():.1%}")
        for true, said in order
        if wrong[true, said]
    ]
    if not rows:
        return ""
    return page.heading("Most confused", 4) + page.table(("true class → said class", what, "of the true class"), rows)


def _by_default(config: Mapping[str, Any]) -> dict[str, Any]:
    """The default config with the components of another one, each with its own defaults."""
    found = default_config().to_dict()
    for slot in SLOTS:
        found[slot] = {"name": config[slot]["name"]}
    for sequence in SEQUENCES:
        *above, name = sequence.split(".")
        there, here = found, config
        for word in above:
            there, here = there[word], here[word]
        there[name] = tuple({"name": slot["name"]} for slot in here[name])
    return complete(ConfigDict(found)).to_dict()


def _told(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Lists for tuples, as a config that was written and read."""
    return json.loads(json.dumps(config))
