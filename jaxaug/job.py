"""A config made into functions: everything that can be wrong with it shows here, before anything is compiled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxaug import devices, losses, models, optim, robustness, steps
from jaxaug.augment import pipeline
from jaxaug.data import Data, fewer_rows
from jaxaug.data.batches import training_rows
from jaxaug.errors import UsageError
from jaxaug.find import find
from jaxaug.objective import make_objective
from jaxaug.types import Batch, Outputs, Progress, TrainState, Tree


@dataclasses.dataclass(frozen=True)
class Job:
    """A config made into functions; nothing is compiled or trained yet."""

    config: ConfigDict
    data: Data
    mesh: jax.sharding.Mesh
    steps_per_epoch: int
    schedule: optim.Schedule
    init: Callable[[jax.Array], TrainState]
    train_step: Callable
    predict: Callable[[TrainState, Batch], Outputs]
    protocols: Mapping[str, robustness.Protocol]

    @property
    def total_steps(self) -> int:
        return self.steps_per_epoch * self.config.epochs

    @property
    def key(self) -> jax.Array:
        """What `init` takes: an argument rather than a constant, so that all seeds share one compilation."""
        return jax.random.key(self.config.seed)

    def abstract_state(self) -> TrainState:
        """Shapes, dtypes and shardings of the state: what `Store.restore` is given. Computes nothing."""
        everywhere = devices.everywhere(self.mesh)
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere), jax.eval_shape(self.init, self.key)
        )


def prepare(config: ConfigDict) -> Job:
    """Read the data and build every part. Raises UsageError for whatever is wrong with the config."""
    mesh = devices.make_mesh()
    _check_sizes(config, mesh.size)
    data = fewer_rows(find("data", config.data.name).load(config.data), config.data.train_size, config.data.seed)
    rows = len(data.train.label)
    if not len(data.test.label):
        raise UsageError(f"{data.name} has no test rows, so that no figure could be reported")
    if config.batch_size > rows:
        raise UsageError(f"config.batch_size is {config.batch_size}, but {data.name} has {rows} training rows")
    counts = {"steps_per_epoch": rows // config.batch_size, "epochs": config.epochs}
    model = models.build(config.model, data.num_classes)
    augment, hyper = pipeline.build(config.augment, data.mean, data.std)
    chain = losses.build(config.loss)
    tx, schedule = optim.build(config.optim, **counts)
    objective = make_objective(model, augment, chain, **counts)

    def init(key: jax.Array) -> TrainState:
        return steps.init_state(key, model, chain, tx, hyper, data.image_shape)

    train_step, predict = steps.make_train_step(objective, tx), steps.make_predict(model, augment)
    protocols = robustness.build(config, data)
    job = Job(config, data, mesh, counts["steps_per_epoch"], schedule, init, train_step, predict, protocols)
    job.abstract_state()  # a model that cannot take such images says so here
    _trace_augmentation(config, data, augment, hyper)
    return job


def _trace_augmentation(config: ConfigDict, data: Data, augment: Callable, hyper: Tree) -> None:
    """Parts in an order that cannot be, or that do not take such images, say so here. Computes nothing."""

    def one_batch() -> Batch:
        rows, share = jnp.zeros(config.batch_size, jnp.int32), jnp.zeros(())
        image = jnp.zeros((config.batch_size, *data.image_shape), data.train.image.dtype)
        return augment(Batch(image, rows, rows), hyper, jax.random.key(0), Progress(share, share), train=True)

    jax.eval_shape(one_batch)


def _check_sizes(config: ConfigDict, size: int) -> None:
    sizes = ("epochs", "batch_size", "eval_batch_size", "steps_per_dispatch", "log_every", "eval_every", "save_every")
    for name, least in [("seed", 0), *((name, 1) for name in sizes)]:
        if config[name] < least:
            raise UsageError(f"config.{name} must be at least {least}, got {config[name]}")
    if config.batch_size % size:
        raise UsageError(
            f"config.batch_size {config.batch_size} cannot be divided among {size} devices: "
            f"use {config.batch_size // size * size or size} or {(config.batch_size // size + 1) * size}"
        )


def chunks(job: Job, from_step: int) -> Iterator[tuple[int, np.ndarray]]:
    """(step, rows [n B]) to the end of the training, n = steps_per_dispatch, less where an epoch ends."""
    config, waiting = job.config, []
    for step, rows in training_rows(len(job.data.train.label), config.batch_size, config.seed, from_step):
        if step == job.total_steps:
            return
        waiting.append(rows)
        if len(waiting) == config.steps_per_dispatch or (step + 1) % job.steps_per_epoch == 0:
            yield step + 1 - len(waiting), np.stack(waiting)
            waiting = []
