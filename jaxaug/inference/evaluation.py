"""A trained network on rows that it need not have been trained on: any split, data set or robustness protocol."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable
from typing import Any

import jax
from ml_collections import ConfigDict

from jaxaug import robustness
from jaxaug.core.atomic_io import write_text
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import Slot, pick
from jaxaug.core.sharding import is_main_process
from jaxaug.core.types import Batch, ModelOutput, TrainState
from jaxaug.data.dataset import Dataset
from jaxaug.data.loader import check_placement
from jaxaug.inference.trained_run import TrainedRun
from jaxaug.runs.results import EVALUATIONS
from jaxaug.runs.workdir import fingerprint
from jaxaug.tasks.base import Task
from jaxaug.train.config import complete
from jaxaug.train.evaluator import Evaluator
from jaxaug.train.experiment import at, load_dataset, search_and_data
from jaxaug.train.hooks.console import ProgressBar
from jaxaug.train.hooks.preemption import StopSignal
from jaxaug.train.robustness_eval import measure, summarize_measured

SPLITS = ("test", "validation", "train")


@dataclasses.dataclass(frozen=True)
class _Network:
    """A run's network, as `Evaluator` takes it."""

    config: ConfigDict
    mesh: jax.sharding.Mesh
    task: Task
    predict: Callable[[TrainState, Batch], ModelOutput]


def evaluate(
    run: TrainedRun,
    data: Dataset,
    split: str = "test",
    protocols: Slot | Iterable[Slot] = (),
    *,
    directory: str = "",
    config: ConfigDict | None = None,
) -> dict[str, Any]:
    """The metrics of a run's network on the rows of a split; nothing is trained.

    Args:
      run: as `load` gives it.
      data: any set with images of the run's shape and with its classes; images are normalised as in the training.
      split: "test", "validation" or "train".
      protocols: slots of robustness protocols that the rows are put to.
      directory: the folder of data sets, for protocols that read published files.
      config: whose eval_batch_size and place count; None for the run's own.

    Returns:
      "rows"; each metric of the run's task, such as "top1"; what its pictures draw, such as "reliability"; and with
      protocols "robustness" and the metric of each, as in a run's result.

    Raises:
      UsageError: other classes or images, a split without rows, an eval_batch_size below 1, or a protocol that does
        not take the data.
    """
    pick("split", split, dict.fromkeys(SPLITS))
    _check_fit(run, data)
    rows = data.splits()[split]
    if not len(rows):
        raise UsageError(f"{data.name} has no {split} rows: choose another split, or set data.validation_size")
    data = dataclasses.replace(data, test=rows, mean=run.signature.mean, std=run.signature.std)
    chosen = robustness.create(protocols, data, directory=directory)
    config = run.config if config is None else config
    if config.eval_batch_size < 1:
        raise UsageError(f"eval_batch_size must be at least 1, got {config.eval_batch_size}")
    network = _Network(config, run.mesh, run.task, run.predict_batch)
    evaluator = Evaluator(network, rows)
    batches = -(-len(rows) // min(config.eval_batch_size, len(rows)))
    bar = ProgressBar(f"{data.name}, {split}", batches, 0, visible=is_main_process())
    try:
        totals = evaluator.totals(run.state, told=lambda batch: bar.update(batch, {}))
    finally:
        bar.close()
    metrics = {"rows": len(rows), **run.task.summarize(totals), **run.task.diagrams(totals)}
    with StopSignal() as stop:
        measured = {name: measure(network, rows, run.state, one, stop, name) for name, one in chosen.items()}
    return {**metrics, **(summarize_measured(measured) if measured else {})}


def evaluate_run(
    run: TrainedRun, split: str = "test", config: ConfigDict | None = None, name: str = ""
) -> dict[str, Any]:
    """Evaluate a run's network as a config says, and keep it beside the run in `evaluations/<name>.json`.

    Args:
      run: as `load` gives it.
      split: "test", "validation" or "train".
      config: the run's own with other `data`, `robustness`, `eval_batch_size` or `place`; None for its own, whose
        splits are those of the run.
      name: of the file; "" for one that tells data, split, checkpoint and protocols.

    Returns:
      What the file has: "name", "data", "split", "checkpoint", "step", and what `evaluate` returns.

    Raises:
      UsageError: what `evaluate` refuses, or data that cannot be read.
    """
    config = complete(run.config if config is None else config)
    own = config.data.to_dict() == run.config.data.to_dict()
    with at("data"):
        data = search_and_data(config)[1] if own else load_dataset(config)
        check_placement(data, data.train, config.place)
    slots = config.robustness
    metrics = evaluate(run, data, split, slots, directory=config.data.directory, config=config)
    name = name or _name(run, config, split, own)
    about = {"name": name, "data": config.data.to_dict(), "split": split, "checkpoint": run.checkpoint}
    found = {**about, "step": run.step, **metrics}
    if is_main_process():
        folder = run.folder / EVALUATIONS
        try:
            folder.mkdir(exist_ok=True)
            write_text(folder / f"{name}.json", json.dumps(found, indent=1))
        except OSError as error:
            raise UsageError(f"cannot write {folder / name}.json: {error.strerror}") from None
    return found


def _name(run: TrainedRun, config: ConfigDict, split: str, own: bool) -> str:
    """Words that differ between evaluations."""
    words = [] if own else [config.data.name.replace(".", "_"), fingerprint(config.data.to_dict())]
    words += [split, *([] if run.checkpoint == "last" else [run.checkpoint])]
    protocols = [slot["name"].split(".")[-1] for slot in config.robustness]
    options = [fingerprint({"slots": list(config.robustness)})] if protocols else []
    return "-".join([*words, *protocols, *options])


def _check_fit(run: TrainedRun, data: Dataset) -> None:
    """Refuses data that the run's network cannot be judged on."""
    signature = run.signature
    if data.num_classes != signature.num_classes:
        raise UsageError(
            f"{data.name} has {data.num_classes} classes, the run in {run.folder} tells {signature.num_classes} apart: "
            "use data with the same classes"
        )
    if data.image_shape != signature.image_shape:
        raise UsageError(
            f"{data.name} has images of {_size(data.image_shape)}, the run in {run.folder} takes "
            f"{_size(signature.image_shape)}: use data of that size, or options of the set that make it so"
        )
    names = zip(signature.class_names, data.class_names, strict=True)
    other = [f"{there!r} is {here!r} in {data.name}" for there, here in names if there != here]
    if other and set(signature.class_names) & set(data.class_names):
        raise UsageError(f"the classes of the run in {run.folder} are others, or in another order: {other[0]}")
    run.task.check(data)


def _size(shape: tuple[int, int, int]) -> str:
    return " x ".join(map(str, shape))
