"""A run from a config: build, restore, train, evaluate, save."""

from __future__ import annotations

import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxaug.core.errors import UsageError
from jaxaug.core.sharding import any_process, is_main_process, replicated
from jaxaug.core.types import TrainState
from jaxaug.data.corruption import same_rows, save_rows
from jaxaug.data.loader import Loader
from jaxaug.runs.checkpoint import BEST, Checkpointer, all_finite
from jaxaug.runs.results import summarize_history
from jaxaug.runs.workdir import Workdir
from jaxaug.train import metrics
from jaxaug.train.evaluator import Evaluator
from jaxaug.train.experiment import Experiment, build_experiment, step_batches
from jaxaug.train.exports import export_per_example
from jaxaug.train.hooks.console import ProgressBar
from jaxaug.train.hooks.preemption import Interrupted, StopSignal
from jaxaug.train.hooks.search import BilevelHook
from jaxaug.train.policy_search import search
from jaxaug.train.restore import load_network
from jaxaug.train.robustness_eval import evaluate_robustness
from jaxaug.train.step import make_train_dispatch
from jaxaug.viz.evaluation import save_figures
from jaxaug.viz.training_curves import training_curves


def train_and_evaluate(config: ConfigDict, workdir: str | pathlib.Path, title: str = "") -> dict[str, Any]:
    """Train as the config says, or go on with the run in `workdir`; returns the figures (`report.result_of`,
    `stress.examine`), on the main process; {} on others.

    A complete run is not repeated. Raises UsageError (bad input, a non-finite loss) and Interrupted (saved, after
    SIGTERM or Ctrl-C).
    """
    folder = Workdir(workdir, config)
    if folder.complete():
        return folder.result()
    job = build_experiment(config)
    title = title or job.data.name
    final: dict[str, Any] = {}
    try:
        with StopSignal() as requests:
            _keep_rows(job, folder)
            if config.search.checkpoint:
                net = load_network(config.search.checkpoint, job)
                folder.begin()
            else:
                net, final = _trained(job, folder, requests, title)
            if job.plan is not None:
                final |= search(job, net, folder, requests, title)
    finally:
        folder.close()
    if not is_main_process():
        return {}
    save_figures(folder.path, {title: [final]})
    folder.finish(final)
    return final


def _trained(job: Experiment, folder: Workdir, requests: StopSignal, title: str) -> tuple[TrainState, dict[str, Any]]:
    """(the state at the end of the training, its figures)."""
    store = Checkpointer(folder.checkpoints, {"data": job.config.data.name, "model": job.config.model.name})
    try:
        training = Trainer(job, folder, store, requests, title)
        folder.begin()
        history = training.run()
    finally:
        store.close()
    found = evaluate_robustness(job, training.state, training.evaluators["test"], folder, requests, title)
    export_per_example(job, training.state, training.feed, folder)
    if not is_main_process():
        return training.state, {}
    training_curves(folder.path / "curves.png", {title: [history]})
    return training.state, summarize_history(history) | found


def _keep_rows(job: Experiment, folder: Workdir) -> None:
    """Write down which rows and labels the run has, or refuse to go on with others."""
    if not is_main_process() or (job.search is None and job.data.clean_label is None):
        return
    path = folder.path / "rows.npz"
    if not path.exists():
        save_rows(path, job.data)
    elif not same_rows(path, job.data):
        raise UsageError(f"{path} says that this run has other rows or labels: use another --workdir")


class Trainer:
    """A run in progress: the state on the devices and what is being counted since the last record."""

    _totals: metrics.Totals
    _seen: int
    _began: float

    def __init__(self, job: Experiment, folder: Workdir, store: Checkpointer, requests: StopSignal, title: str):
        self.job, self.folder, self.store, self.requests = job, folder, store, requests
        everywhere, shardings = replicated(job.mesh), job.shardings()
        restored = store.restore(job.abstract_state())
        self.state = jax.jit(job.init, out_shardings=shardings)(job.key) if restored is None else restored
        self.history = folder.history(until_step=int(self.state.step))
        self.feed = Loader(job.data.train, job.mesh, job.config.data.place)
        self._zeros = jax.jit(metrics.empty_training_totals, out_shardings=everywhere)
        self._dispatch = jax.jit(
            make_train_dispatch(job.train_step), donate_argnums=(0, 1), out_shardings=(shardings, everywhere)
        )
        self._searching = BilevelHook(job, self.feed, int(self.state.search.step)) if job.search else None
        self.evaluators = {
            name: Evaluator(job, split)
            for name, split in (("test", job.data.test), ("validation", job.data.validation))
            if len(split.label) and (name == "test" or split is not job.data.test)
        }
        self._bar = ProgressBar(title, job.total_steps, int(self.state.step), visible=is_main_process())
        self._begin_record()

    def run(self) -> list[dict[str, float]]:
        """Train to the end; the records of all evaluated epochs."""
        job = self.job
        try:
            for step, rows in step_batches(job, int(self.state.step)):
                self._search(step)
                fed = self.feed(rows)
                self.feed.wait_for(self._totals)
                self.state, self._totals = self._dispatch(self.state, self._totals, fed)
                self._seen += rows.size
                after = step + len(rows)
                checked = after % job.config.log_every < len(rows)
                if checked:
                    figures = self._figures()
                    figures["images/s"] = figures.pop("images_per_second")
                    self._bar.update(after, figures)
                record = self._record(after) if self._due(after, job.config.eval_every) else {}
                if self._due(after, job.config.save_every) or self._is_best(record):
                    self._save(record)
                # Several processes have to ask at the same step, and asking costs a synchronisation.
                if (checked or jax.process_count() == 1) and any_process(self.requests.stop):
                    self._stop(after)
        finally:
            self._bar.close()
        return self.history

    def _search(self, step: int) -> None:
        """Take the search steps that are due before training step `step`."""
        if self._searching is None:
            return
        for taken in self._searching.steps(step):
            self.state = self._searching.step(self.state)
            if taken % self.job.config.log_every == 0 and any_process(self.requests.stop):
                self._stop(step)

    def _due(self, step: int, every: int) -> bool:
        """Whether `step` ends an epoch whose number is a multiple of `every`, or the last one."""
        epoch, rest = divmod(step, self.job.steps_per_epoch)
        return rest == 0 and (epoch % every == 0 or epoch == self.job.config.epochs)

    def _begin_record(self) -> None:
        self._totals, self._seen, self._began = self._zeros(), 0, time.perf_counter()
        if self._searching is not None:
            self._searching.begin_record()

    def _figures(self) -> dict[str, float]:
        """Training figures since the last record. Raises UsageError if a loss was not finite."""
        bad = int(self._totals.first_bad)
        if bad != metrics.NEVER:
            kept = self.store.latest
            raise UsageError(
                f"the loss is not finite at step {bad} (epoch {bad // self.job.steps_per_epoch}). "
                + (f"The last good checkpoint, step {kept}, is kept. " if kept else "No checkpoint was due yet. ")
                + "Lower config.optim.learning_rate or config.loss.isda.strength, or set config.optim.clip, and "
                "use another --workdir."
            )
        speed = self._seen / (time.perf_counter() - self._began)
        return {**metrics.summary(self._totals), "images_per_second": speed}

    def _record(self, step: int) -> dict[str, float]:
        """Evaluate and log."""
        figures = self._figures()
        record: dict[str, float] = {"step": step, "epoch": step // self.job.steps_per_epoch}
        record["learning_rate"] = float(self.job.schedule(jnp.asarray(step - 1)))
        record["images_per_second"] = figures.pop("images_per_second")
        record |= {f"train_{name}": value for name, value in figures.items()}
        record |= self._searching.figures() if self._searching is not None else {}
        for name, evaluator in self.evaluators.items():
            record |= {f"{name}_{metric}": value for metric, value in evaluator(self.state).items()}
        record["seconds"] = time.perf_counter() - self._began
        self.folder.log(record)
        self.history.append(record)
        self._begin_record()
        return record

    def _is_best(self, record: dict[str, float]) -> bool:
        """Whether no epoch before this one was as good on validation."""
        if BEST not in record:
            return False
        before = max((r[BEST] for r in self.history[:-1]), default=-1.0)
        # Of a resumed run only the main process has the earlier records, and all of them must save together.
        return any_process(is_main_process() and record[BEST] > before)

    def _save(self, record: dict[str, float]) -> None:
        if not bool(all_finite((self.state.params, self.state.stats, self.state.loss, self.state.meta))):
            raise UsageError(
                f"parameters or statistics are not finite at step {int(self.state.step)}; nothing was saved over the "
                f"last good checkpoint (step {self.store.latest}). Lower config.optim.learning_rate or set "
                "config.optim.clip, and use another --workdir."
            )
        self.store.save(self.state, record)

    def _stop(self, step: int) -> None:
        self._figures()
        self._save({})
        raise Interrupted(f"stopped as asked after step {step} of {self.job.total_steps}; saved in {self.folder.path}")
