"""What a training knows of itself: the record of an epoch, with the metrics of every split."""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp

from jaxaug.core.errors import UsageError
from jaxaug.core.sharding import replicated
from jaxaug.core.totals import NEVER, Totals
from jaxaug.core.types import TrainState
from jaxaug.data.lazy_images import count_unreadable
from jaxaug.runs.checkpoint import Checkpointer
from jaxaug.runs.workdir import Workdir
from jaxaug.train.evaluator import Evaluator
from jaxaug.train.experiment import Experiment, empty_training_totals
from jaxaug.train.hooks.search import BilevelHook
from jaxaug.train.neighbours import neighbours_of
from jaxaug.train.step import averaged

Record = dict[str, float]


class EvaluationHook:
    """The sums of the training since the last record, and the records: metrics of training, search, and all splits.

    totals: what the training steps are counted in. history: the records so far.
    """

    totals: Totals
    _seen: int
    _began: float

    def __init__(self, experiment: Experiment, workdir: Workdir, checkpointer: Checkpointer, step: int):
        self._experiment, self._workdir, self._checkpointer = experiment, workdir, checkpointer
        self._zeros = jax.jit(lambda: empty_training_totals(experiment), out_shardings=replicated(experiment.mesh))
        data = experiment.data
        self.evaluators = {
            name: Evaluator(experiment, split)
            for name, split in (("test", data.test), ("validation", data.validation))
            if len(split.label) and (name == "test" or split is not data.test)
        }
        if experiment.config.eval_train:
            self.evaluators["unaugmented_train"] = Evaluator(experiment, data.train)
        self._neighbours = neighbours_of(experiment)
        self.history = workdir.history(until_step=step)
        self.begin_record()

    def begin_record(self) -> None:
        """Count from here."""
        self.totals, self._seen, self._began = self._zeros(), 0, time.perf_counter()

    def count(self, totals: Totals, rows: int) -> None:
        """Take over what the training steps on so many rows added up to."""
        self.totals, self._seen = totals, self._seen + rows

    def metrics(self) -> Record:
        """Training metrics since the last record. Raises UsageError if a loss was not finite."""
        bad = int(self.totals.first_bad)
        if bad != NEVER:
            kept = self._checkpointer.latest
            raise UsageError(
                f"the loss is not finite at step {bad} (epoch {bad // self._experiment.steps_per_epoch}). "
                + (f"The last good checkpoint, step {kept}, is kept. " if kept else "No checkpoint was due yet. ")
                + "Lower config.optim.learning_rate or config.loss.isda.strength, or set config.optim.clip, and "
                "use another --workdir."
            )
        speed = self._seen / (time.perf_counter() - self._began)
        return {**self.totals.means(), "images_per_second": speed}

    def record(self, state: TrainState, step: int, search: BilevelHook | None) -> Record:
        """Evaluate and log, at the end of an epoch."""
        experiment, metrics = self._experiment, self.metrics()
        record: Record = {"step": step, "epoch": step // experiment.steps_per_epoch}
        record["learning_rate"] = float(experiment.schedule(jnp.asarray(step - 1)))
        record["images_per_second"] = metrics.pop("images_per_second")
        record |= {f"train_{name}": value for name, value in metrics.items()}
        record |= search.metrics() if search is not None else {}
        for name, evaluator in self.evaluators.items():
            record |= {f"{name}_{metric}": value for metric, value in evaluator(state).items()}
            if state.average:
                record |= {f"averaged_{name}_{metric}": value for metric, value in evaluator(averaged(state)).items()}
        if self._neighbours is not None:
            record |= self._neighbours(state)
        unreadable = count_unreadable(split.image for split in experiment.data.splits().values())
        record |= {} if unreadable is None else {"unreadable_images": unreadable}
        record["seconds"] = time.perf_counter() - self._began
        self._workdir.log(record)
        self.history.append(record)
        self.begin_record()
        if search is not None:
            search.begin_record()
        return record
