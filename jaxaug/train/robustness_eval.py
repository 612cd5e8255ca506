"""The final state of a run on the test split, left alone and disturbed: calibration, and the protocols asked for."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from typing import Any

from jaxaug.core.atomic_io import write_text
from jaxaug.core.errors import Interrupted
from jaxaug.core.sharding import any_process, is_main_process
from jaxaug.core.types import TrainState
from jaxaug.data.dataset import Split
from jaxaug.robustness.base import Protocol
from jaxaug.runs.workdir import Workdir
from jaxaug.train.evaluator import Evaluable, Evaluator
from jaxaug.train.experiment import Experiment
from jaxaug.train.hooks.console import ProgressBar
from jaxaug.train.hooks.preemption import StopSignal


def evaluate_robustness(
    experiment: Experiment, state: TrainState, test: Evaluator, folder: Workdir, stop: StopSignal, title: str
) -> dict[str, Any]:
    """What a run's result holds besides its records.

    What `Task.diagrams` makes of the test split. With protocols, "robustness": {protocol: {"axis",
    "severity", "error"}}, errors in 0..1, averaged where several lines share a severity; and each protocol's metric.
    Every level by itself goes to `robustness.json` in the folder as soon as its protocol is complete; what is there is
    not measured again. Raises Interrupted between two levels if asked to stop.
    """
    found: dict[str, Any] = experiment.task.diagrams(test.totals(state))
    path = folder.path / "robustness.json"
    measured = json.loads(path.read_text()) if is_main_process() and path.exists() else {}
    for name, protocol in experiment.protocols.items():
        # Only the main process reads the file, and all of them must evaluate together.
        if any_process(name in measured):
            continue
        measured[name] = measure(experiment, experiment.data.test, state, protocol, stop, f"{title}: {name}")
        if is_main_process():
            write_text(path, json.dumps(measured, indent=1))
    if experiment.protocols and is_main_process():
        found |= summarize_measured(measured)
    return found


def summarize_measured(measured: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """{"robustness": {protocol: its curve}, <metric>: its value} of what `measure` gave of each protocol."""
    metrics = {one["metric"]: one[one["metric"]] for one in measured.values()}
    return {"robustness": {name: _curve(one) for name, one in measured.items()}, **metrics}


def measure(
    experiment: Evaluable, split: Split, state: TrainState, protocol: Protocol, stop: StopSignal, title: str
) -> dict[str, Any]:
    """One protocol on the rows of a split.

    Returns:
      {"axis", "metric", <the metric>, "levels": [{"line", "severity", "error", ...}]}.

    Raises:
      Interrupted: between two levels, if asked to stop.
    """
    evaluator = Evaluator(experiment, split, protocol.perturb, protocol.seed)
    bar = ProgressBar(title, len(protocol.levels), 0, visible=is_main_process())
    levels: list[dict[str, Any]] = []
    try:
        for level in protocol.levels:
            if stop.asked():
                raise Interrupted(f"stopped as asked in {title}; the training is complete and saved")
            if level.split is not None:
                evaluator.use(level.split())
            metrics = evaluator(state, level.strength)
            error = 1 - metrics.pop(experiment.task.metric)
            levels.append({"line": level.line, "severity": float(level.severity), "error": error, **metrics})
            bar.update(len(levels), {"error": error})
    finally:
        bar.close()
    metric = statistics.fmean(level["error"] for level in levels if level["severity"] > 0)
    return {"axis": protocol.axis, "metric": protocol.metric, protocol.metric: metric, "levels": levels}


def _curve(measured: dict[str, Any]) -> dict[str, Any]:
    severities = sorted({level["severity"] for level in measured["levels"]})
    errors = [
        statistics.fmean(level["error"] for level in measured["levels"] if level["severity"] == severity)
        for severity in severities
    ]
    return {"axis": measured["axis"], "severity": severities, "error": errors}
