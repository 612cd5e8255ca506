"""A run from a config: build, resume or begin, train, search, evaluate, save."""

from __future__ import annotations

import contextlib
import errno
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from jaxaug.core.errors import CannotGoOnError, Interrupted, UsageError
from jaxaug.core.registry import pick
from jaxaug.core.sharding import is_main_process
from jaxaug.core.types import TrainState
from jaxaug.data.loader import Loader, RowSource
from jaxaug.data.prefetch import prefetched
from jaxaug.runs.checkpoint import Checkpointer
from jaxaug.runs.fields import LAYOUT
from jaxaug.runs.results import summarize_history
from jaxaug.runs.signature import save_signature
from jaxaug.runs.workdir import SIGNATURE, Workdir, set_aside
from jaxaug.search.base import SearchRun
from jaxaug.train.config import complete
from jaxaug.train.experiment import Experiment, build_experiment, step_batches
from jaxaug.train.exports import export_per_example
from jaxaug.train.figures import save_evaluation_figures
from jaxaug.train.finished_run import load_network, signature_of
from jaxaug.train.hooks.checkpointing import CheckpointHook
from jaxaug.train.hooks.console import ProgressBar
from jaxaug.train.hooks.evaluation import EvaluationHook, Record
from jaxaug.train.hooks.preemption import StopSignal
from jaxaug.train.hooks.search import BilevelHook
from jaxaug.train.inputs import facts_of_inputs, inputs_of, read_inputs_of
from jaxaug.train.programs import train_program
from jaxaug.train.robustness_eval import evaluate_robustness
from jaxaug.viz.training_curves import training_curves

ON_CHANGE = ("refuse", "restart", "accept")
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def train_and_evaluate(
    config: ConfigDict,
    workdir: str | pathlib.Path,
    title: str = "",
    *,
    on_change: str = "refuse",
    build: Callable[[ConfigDict], Experiment] = build_experiment,
) -> dict[str, Any]:
    """Train as the config says, or go on with the run in `workdir`; its result, on the main process; {} on others.

    A complete run is not repeated, which is told. What a run has read is written down (`inputs.json`), so that neither
    goes unnoticed if it has changed since.

    Args:
      config: of the run.
      workdir: its folder.
      title: what it is called on the terminal.
      on_change: what to do if the folder holds a run that cannot go on: of another config, of other inputs, or damaged.
        "refuse" it; "restart": move it to `replaced/` beside the folder and start anew; "accept" other inputs.
      build: makes the experiment.

    Raises:
      UsageError: bad input, a loss that is not finite, or no room to save.
      CannotGoOnError: the folder's run cannot go on, with what differs.
      Interrupted: asked to stop by SIGTERM or Ctrl-C; everything is saved.
    """
    pick("on_change", on_change, dict.fromkeys(ON_CHANGE))
    config = complete(config)
    try:
        return _begun_or_resumed(config, workdir, title, on_change == "accept", build)
    except CannotGoOnError as error:
        if on_change != "restart":
            raise
        if is_main_process():
            print(f"{error}\nStarted anew; what was there is in {set_aside(workdir)}")
    return _begun_or_resumed(config, workdir, title, False, build)


def _begun_or_resumed(
    config: ConfigDict,
    workdir: str | pathlib.Path,
    title: str,
    accept: bool,
    build: Callable[[ConfigDict], Experiment],
) -> dict[str, Any]:
    """Resume the run of a folder from its newest checkpoint, or begin it; of a finished one, the result."""
    folder = Workdir(workdir, config.to_dict(), LAYOUT)
    try:
        if folder.complete():
            return _returned_again(config, folder, title, accept)
        experiment = build(config)
        pool = experiment.search.pool_rows if experiment.search else None
        folder.check_inputs(lambda: inputs_of(config, experiment.data, pool), accept)
        with StopSignal() as stop:
            return _run(experiment, folder, stop, title or experiment.data.name)
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        raise UsageError(
            f"{folder.path}: {error}. Make room, or the folder writable; the same command goes on"
        ) from error
    finally:
        folder.close()


def _returned_again(config: ConfigDict, folder: Workdir, title: str, accept: bool) -> dict[str, Any]:
    """The result of a complete run, if what it has read is what is there now."""
    result, note = folder.result(), ""
    if folder.touched(facts_of_inputs(config)):
        try:
            folder.check_inputs(lambda: read_inputs_of(config), accept)
            folder.keep_inputs()
        except CannotGoOnError:
            raise
        except UsageError as error:
            note = f"\nWhether it would read the same today is not known: {error}"
    if is_main_process():
        print(f"{title or config.data.name}: finished before; nothing was trained ({folder.path}){note}")
    return result


def _run(experiment: Experiment, folder: Workdir, stop: StopSignal, title: str) -> dict[str, Any]:
    """Train, search, save; the result."""
    final: dict[str, Any] = {}
    if experiment.search is not None and experiment.search.network:
        state = load_network(experiment.search.network, experiment)
        folder.begin()
    else:
        state, final = _trained(experiment, folder, stop, title)
    if experiment.search is not None:
        run = _finished(experiment, state, folder, stop, title)
        final |= experiment.search.finish(run)
        experiment.search.export(run)
    if not is_main_process():
        return {}
    save_evaluation_figures(folder.path, {title: [final]})
    folder.finish(final)
    return final


def _trained(
    experiment: Experiment, folder: Workdir, stop: StopSignal, title: str
) -> tuple[TrainState, dict[str, Any]]:
    """(the state at the end of the training, its result)."""
    metric = experiment.task.metric
    checkpointer = Checkpointer(folder.checkpoints, experiment.about, best=f"validation_{metric}")
    try:
        trainer = Trainer(experiment, folder, checkpointer, stop, title)
        folder.begin()
        if is_main_process():
            print(_first_line(title, int(trainer.state.step), experiment.total_steps, folder.path))
        if is_main_process():
            save_signature(folder.path / SIGNATURE, signature_of(experiment.data))
        history = trainer.run()
    finally:
        checkpointer.close()
    found = evaluate_robustness(experiment, trainer.state, trainer.evaluation.evaluators["test"], folder, stop, title)
    export_per_example(experiment, trainer.state, trainer.loader, folder)
    if not is_main_process():
        return trainer.state, {}
    training_curves({title: [history]}, metric).savefig(folder.path / "curves.png", dpi=120)
    if experiment.data.test is experiment.data.validation:
        found["reported_on"] = "validation"  # what is called test in the figures
    return trainer.state, summarize_history(history, metric) | found


def _first_line(title: str, step: int, total: int, path: pathlib.Path) -> str:
    """Whether a training begins or goes on."""
    if not step:
        return f"{title}: begins, {total} steps ({path})"
    return f"{title}: goes on from step {step} of {total} ({path})"


def _finished(experiment: Experiment, state: TrainState, folder: Workdir, stop: StopSignal, title: str) -> SearchRun:
    return SearchRun(
        state=state,
        path=folder.path,
        title=title,
        key=experiment.key,
        about=experiment.about,
        place=experiment.config.place,
        log_every=experiment.config.log_every,
        stop=stop.asked,
        progress=functools.partial(ProgressBar, visible=is_main_process()),
        learned=experiment.learned,
    )


class Trainer:
    """A run in progress: the state on the devices, and the hooks beside it."""

    def __init__(
        self, experiment: Experiment, folder: Workdir, checkpointer: Checkpointer, stop: StopSignal, title: str
    ):
        self.experiment, self._folder, self._stop = experiment, folder, stop
        restored = checkpointer.restore(experiment.abstract_state())
        if restored is None and experiment.initial is not None and is_main_process():
            print(f"{title}: {experiment.initial.told}")
        self.state: TrainState = experiment.begin() if restored is None else restored
        config = experiment.config
        self.loader = Loader(experiment.data.train, experiment.mesh, config.place, config.seed)
        self._dispatch = train_program(experiment)
        begun = int(self.state.step)
        self.evaluation = EvaluationHook(experiment, folder, checkpointer, begun)
        self.checkpointing = CheckpointHook(checkpointer, f"validation_{experiment.task.metric}")
        self.search = None
        if experiment.search_totals is not None:
            self.search = BilevelHook(experiment, self.loader, int(self.state.search_state.step))
        self._bar = ProgressBar(title, experiment.total_steps, begun, visible=is_main_process())

    def run(self) -> list[Record]:
        """Train to the end; the records of all evaluated epochs."""
        asked = step_batches(self.experiment, int(self.state.step))
        try:
            with contextlib.closing(prefetched(asked, self._load, self.experiment.config.prefetch)) as batches:
                for (step, rows), batch in batches:
                    self._search_before(step)
                    self.loader.wait_for(self.evaluation.totals)
                    self.state, totals = self._dispatch(self.state, self.evaluation.totals, batch)
                    self.evaluation.count(totals, rows.size)
                    self._after(step + len(rows), checked=(step + len(rows)) % self._log_every < len(rows))
        finally:
            self._bar.close()
        return self.evaluation.history

    def _load(self, asked: tuple[int, np.ndarray]) -> RowSource:
        return self.loader.of_steps(*asked)

    def _after(self, step: int, checked: bool) -> None:
        """What is due after so many steps. checked: the metrics are to be looked at and shown."""
        if checked:
            metrics = self.evaluation.metrics()
            metrics["images/s"] = metrics.pop("images_per_second")
            self._bar.update(step, metrics)
        config, record = self.experiment.config, Record()
        if self._ends_epoch(step, config.eval_every):
            record = self.evaluation.record(self.state, step, self.search)
        best = bool(record) and self.checkpointing.is_best(self.evaluation.history)
        if self._ends_epoch(step, config.save_every) or best:
            self.checkpointing.save(self.state, record)
        if self._stop.asked(checked):
            self._stop_after(step)

    def _search_before(self, step: int) -> None:
        """Take the search steps that are due before training step `step`."""
        if self.search is None:
            return
        for taken in self.search.steps_before(step):
            self.state = self.search.take(self.state)
            if self._stop.asked(taken % self._log_every == 0):
                self._stop_after(step)

    @property
    def _log_every(self) -> int:
        return self.experiment.config.log_every

    def _ends_epoch(self, step: int, every: int) -> bool:
        """Whether `step` ends an epoch whose number is a multiple of `every`, or the last one."""
        epoch, rest = divmod(step, self.experiment.steps_per_epoch)
        return rest == 0 and (epoch % every == 0 or epoch == self.experiment.config.epochs)

    def _stop_after(self, step: int) -> None:
        self.evaluation.metrics()
        self.checkpointing.save(self.state, {})
        total, path = self.experiment.total_steps, self._folder.path
        raise Interrupted(f"stopped as asked after step {step} of {total}; saved in {path}")
