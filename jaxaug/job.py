"""A config made into functions: everything that can be wrong with it shows here, before anything is compiled."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxaug import devices, feed, losses, models, optim, robustness, steps
from jaxaug.augment import pipeline
from jaxaug.data import Data, Split, biased, fewer_rows
from jaxaug.data.batches import training_rows
from jaxaug.errors import UsageError
from jaxaug.find import choose, find
from jaxaug.objective import make_objective, make_row_terms, make_stages
from jaxaug.search import autodo, dada, plans, rows
from jaxaug.types import Batch, Hyper, Outputs, Progress, TrainState, united

AFTERWARDS = "deepaa"  # the search that begins where the training ends


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
    search: autodo.Search | None = None
    search_step: Callable | None = None
    plan: plans.Plan | None = None

    @property
    def total_steps(self) -> int:
        return self.steps_per_epoch * self.config.epochs

    @property
    def key(self) -> jax.Array:
        """What `init` takes: an argument rather than a constant, so that all seeds share one compilation."""
        return jax.random.key(self.config.seed)

    def shardings(self) -> TrainState:
        """Where the state lies: what belongs to training rows is spread over the devices, the rest is on all."""
        everywhere, spread = devices.everywhere(self.mesh), devices.along(self.mesh, 0)
        state = jax.tree.map(lambda x: everywhere, jax.eval_shape(self.init, self.key))
        of_rows = {name: getattr(state.search, name) for name in ("ids", "seen", "moments")}
        own, of_rows = jax.tree.map(lambda x: spread, (state.hyper.own, of_rows))
        return state.replace(hyper=state.hyper.replace(own=own), search=state.search.replace(**of_rows))

    def abstract_state(self) -> TrainState:
        """Shapes, dtypes and shardings of the state: what `Store.restore` is given. Computes nothing."""

        def one(x: jax.Array, sharding: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

        return jax.tree.map(one, jax.eval_shape(self.init, self.key), self.shardings())


def prepare(config: ConfigDict) -> Job:
    """Read the data and build every part. Raises UsageError for whatever is wrong with the config."""
    mesh = devices.make_mesh()
    _check_sizes(config, mesh.size)
    data, pool = plans.cut_pool(read(config), config.search.pool, config.seed)
    feed.check(data, pool, config.data.place)
    counts = {"steps_per_epoch": len(data.train) // config.batch_size, "epochs": config.epochs}
    _check_rows(config, data)
    model = models.build(config.model, data.num_classes)
    side = config.augment.size
    shape = (side, side, data.image_shape[2]) if side else data.image_shape
    augment, of_augment = pipeline.build(config.augment, data.mean, data.std)
    chain = losses.build(config.loss)
    tx, schedule = optim.build(config.optim, **counts)
    hyper = united([of_augment, chain.hyper(data.num_classes) if chain.hyper else Hyper()])
    search = _search(config, data, hyper, {**counts, "devices": mesh.size})

    def init(key: jax.Array) -> TrainState:
        of_shared = search.tx.init(hyper.shared) if search else ()
        count = search.rule.moments if search else 0
        begun = rows.begin(hyper, data.train.index, count, of_shared, mesh.size)
        return steps.init_state(key, model, chain, tx, *begun, shape)

    rule = search.rule if search else None
    train_step = steps.make_train_step(make_objective(model, augment, chain, **counts), tx, rule)
    search_step = None
    if search:
        stages = make_stages(model, augment, chain, search.part, **counts)
        search_step = steps.make_search_step(
            stages, search.rule, search.tx, search.direction, part=search.part, fisher=search.fisher
        )
    predict, protocols = steps.make_predict(model, augment), robustness.build(config, data)
    plan = _plan(config, data, pool, (model, augment, chain), counts, mesh)
    functions = (init, train_step, predict, protocols, search, search_step, plan)
    job = Job(config, data, mesh, counts["steps_per_epoch"], schedule, *functions)
    _trace(job, augment)
    return job


def read(config: ConfigDict) -> Data:
    """The data set as the config wants it: cut, thinned out, distorted."""
    seed, config = config.seed, copy.deepcopy(config.data)
    config.seed = seed if config.seed < 0 else config.seed
    return biased.distort(fewer_rows(find("data", config.name).load(config), config.train_size, config.seed), config)


def _search(config: ConfigDict, data: Data, hyper: Hyper, counts: dict[str, int]) -> autodo.Search | None:
    if config.search.name in ("", AFTERWARDS):
        return None
    if not (hyper.own or hyper.shared):
        raise UsageError(
            "config.search has nothing to learn: add 'targets.learned_targets' or 'weights.learned_weights' to "
            "config.loss.chain, or set `learned` of config.augment.policy, config.loss.soften or config.loss.isda"
        )
    build = choose("config.search.name", config.search.name, {"autodo": autodo.build, "dada": dada.build})
    trusted = len(data.validation.label)
    return build(config.search, size=len(data.train.label), trusted=trusted, seed=config.seed, **counts)


def _plan(
    config: ConfigDict, data: Data, pool: Split, parts: tuple, counts: dict[str, int], mesh: jax.sharding.Mesh
) -> plans.Plan | None:
    if config.search.name != AFTERWARDS:
        if config.search.pool or config.search.checkpoint:
            raise UsageError(f"config.search.pool and checkpoint are for config.search.name={AFTERWARDS!r}")
        return None
    model, augment, chain = parts
    train, trust = (make_row_terms(model, augment, one, **counts) for one in (chain, None))
    return plans.build(config.search, train=train, trust=trust, data=data, pool=pool, seed=config.seed, mesh=mesh)


def _check_rows(config: ConfigDict, data: Data) -> None:
    if not len(data.test):
        raise UsageError(f"{data.name} has no test rows, so that no figure could be reported")
    if config.batch_size > len(data.train):
        raise UsageError(
            f"config.batch_size is {config.batch_size}, but {data.name} has {len(data.train)} training rows"
        )


def _trace(job: Job, augment: Callable) -> None:
    """Parts in an order that cannot be, or that do not take such images, say so here. Computes nothing."""

    def batch_of(size: int) -> Batch:
        zeros = jnp.zeros(size, jnp.int32)
        return Batch(jnp.zeros((size, *job.data.image_shape), job.data.train.image.dtype), zeros, zeros)

    def one_batch(state: TrainState) -> Batch:
        batch, share = batch_of(job.config.batch_size), jnp.zeros(())
        hyper = rows.look(None, state.hyper, state.search, batch.index)[0]
        return augment(batch.replace(own=hyper.own), hyper.shared, state.key, Progress(share, share), train=True)

    state = job.abstract_state()  # a model that cannot take such images says so here
    jax.eval_shape(one_batch, state)
    if job.plan is not None:
        models.without_norms(state.params, tuple(job.config.search.part))
    if job.search is not None and job.search_step is not None:
        chosen, trusted = job.search.batch(0)
        jax.eval_shape(job.search_step, state, batch_of(len(chosen)), batch_of(len(trusted)))


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
    for step, chosen in training_rows(len(job.data.train.label), config.batch_size, config.seed, from_step):
        if step == job.total_steps:
            return
        waiting.append(chosen)
        if len(waiting) == config.steps_per_dispatch or (step + 1) % job.steps_per_epoch == 0:
            yield step + 1 - len(waiting), np.stack(waiting)
            waiting = []
