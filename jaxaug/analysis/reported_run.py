"""A run as a report needs it: finished, interrupted, or a search without a training of its own."""

from __future__ import annotations

import functools
import json
import pathlib
from typing import Any

import jax
import numpy as np

from jaxaug.analysis.aggregate import Run
from jaxaug.analysis.run_figures import RunFigures
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import instantiate
from jaxaug.core.sharding import replicated
from jaxaug.core.types import TrainState
from jaxaug.data.loader import Loader, RowSource
from jaxaug.runs.history import Record, read_history
from jaxaug.runs.results import summarize_history
from jaxaug.runs.workdir import METRICS, RESULT
from jaxaug.tasks.base import Task
from jaxaug.train.evaluator import Evaluator
from jaxaug.train.exports import judged
from jaxaug.train.step import batch_of


class ReportedRun(RunFigures):
    """Figures, records and judgements of a run; everything is read when it is first asked for.

    Args:
      folder: of the run.

    Raises:
      UsageError: at once if it is not the folder of a run, later for what the run lacks.
    """

    @property
    def title(self) -> str:
        """What a sweep calls it, and its seed."""
        return f"{Run(self.folder, {}, {}).variant}, seed {self.config.seed}"

    @functools.cached_property
    def task(self) -> Task:
        """What it is trained for."""
        return instantiate("task", self.config.task.to_dict())

    @functools.cached_property
    def history(self) -> list[Record]:
        """The records of its evaluated epochs."""
        file = self.folder / METRICS
        return read_history(file) if file.exists() else []

    @functools.cached_property
    def result(self) -> dict[str, Any]:
        """Its result; of a run that is not complete, the figures of its records so far."""
        file = self.folder / RESULT
        if file.exists():
            return read_object(file)
        return summarize_history(self.history, self.task.metric) if self.history else {}

    @property
    def complete(self) -> bool:
        """Whether it has its result."""
        return (self.folder / RESULT).exists()

    @functools.cached_property
    def diagrams(self) -> dict[str, Any]:
        """What figures of its test split draw, see `Task.diagrams`: of the result, else of the newest checkpoint."""
        if "reliability" in self.result or "class_iou" in self.result:
            return self.result
        return self.task.diagrams(Evaluator(self.experiment, self.experiment.data.test).totals(self.state))

    @functools.cached_property
    def judged(self) -> dict[str, np.ndarray]:
        """What its network says of each test row, [N] each: index, given, says, says_given, says_share."""
        experiment = self.experiment
        if self.has_maps:
            raise UsageError("its labels are maps, not one class for each row")

        def step(state: TrainState, rows: RowSource) -> dict[str, jax.Array]:
            batch = batch_of(*rows)
            return judged(experiment.predict(state, batch), batch)

        jitted, split = jax.jit(step, out_shardings=replicated(experiment.mesh)), experiment.data.test
        loader = Loader(split, experiment.mesh, experiment.config.place)
        parts = [jax.device_get(jitted(self.state, rows)) for rows in loader.whole(experiment.config.eval_batch_size)]
        return {name: np.concatenate([part[name] for part in parts])[: len(split)] for name in parts[0]}


def read_object(file: pathlib.Path) -> dict[str, Any]:
    """A JSON object that a run has left. Raises UsageError if it is damaged."""
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{file.name} cannot be read: {error}") from None
