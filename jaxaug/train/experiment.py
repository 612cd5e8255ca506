"""A config made into functions: everything that can be wrong with it shows here, before anything is compiled."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxaug import losses, robustness
from jaxaug.augment import compose
from jaxaug.bilevel.per_example import gather_rows, init_per_example
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import pick, resolve
from jaxaug.core.sharding import make_mesh, replicated, sharded_along
from jaxaug.core.types import Batch, MetaParams, ModelOutput, Progress, TrainState, merge_meta_params
from jaxaug.data.corruption import corrupt
from jaxaug.data.dataset import Dataset, Split
from jaxaug.data.loader import check_placement
from jaxaug.data.sampler import training_rows
from jaxaug.data.splits import subset_rows
from jaxaug.models.api import create, without_norms
from jaxaug.optim import optimizers
from jaxaug.optim.schedules import Schedule
from jaxaug.search import autodo, dada
from jaxaug.search.deepaa.plan import DeepAASearch, build, cut_pool
from jaxaug.train.objective import make_bilevel_problem, make_objective, make_per_example_inputs
from jaxaug.train.step import init_state, make_predict, make_search_step, make_train_step

AFTERWARDS = "deepaa"  # the search that begins where the training ends


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config made into functions; nothing is compiled or trained yet."""

    config: ConfigDict
    data: Dataset
    mesh: jax.sharding.Mesh
    steps_per_epoch: int
    schedule: Schedule
    init: Callable[[jax.Array], TrainState]
    train_step: Callable
    predict: Callable[[TrainState, Batch], ModelOutput]
    protocols: Mapping[str, robustness.Protocol]
    search: autodo.BilevelSearch | None = None
    search_step: Callable | None = None
    plan: DeepAASearch | None = None

    @property
    def total_steps(self) -> int:
        return self.steps_per_epoch * self.config.epochs

    @property
    def key(self) -> jax.Array:
        """What `init` takes: an argument rather than a constant, so that all seeds share one compilation."""
        return jax.random.key(self.config.seed)

    def shardings(self) -> TrainState:
        """Where the state lies: what belongs to training rows is spread over the devices, the rest is on all."""
        everywhere, spread = replicated(self.mesh), sharded_along(self.mesh, 0)
        state = jax.tree.map(lambda x: everywhere, jax.eval_shape(self.init, self.key))
        of_rows = {name: getattr(state.search, name) for name in ("ids", "seen", "moments")}
        own, of_rows = jax.tree.map(lambda x: spread, (state.meta.per_example, of_rows))
        return state.replace(meta=state.meta.replace(per_example=own), search=state.search.replace(**of_rows))

    def abstract_state(self) -> TrainState:
        """Shapes, dtypes and shardings of the state: what `Store.restore` is given. Computes nothing."""

        def one(x: jax.Array, sharding: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

        return jax.tree.map(one, jax.eval_shape(self.init, self.key), self.shardings())


def build_experiment(config: ConfigDict) -> Experiment:
    """Read the data and build every part. Raises UsageError for whatever is wrong with the config."""
    mesh = make_mesh()
    _check_sizes(config, mesh.size)
    data, pool = cut_pool(load_dataset(config), config.search.pool, config.seed)
    check_placement(data, pool, config.data.place)
    counts = {"steps_per_epoch": len(data.train) // config.batch_size, "epochs": config.epochs}
    _check_rows(config, data)
    model = create(config.model, data.num_classes)
    side = config.augment.size
    shape = (side, side, data.image_shape[2]) if side else data.image_shape
    augment, augment_key = compose.build_pipeline(config.augment, data.mean, data.std)
    chain = losses.build_chain(config.loss)
    tx, schedule = optimizers.create(config.optim, **counts)
    meta = merge_meta_params([augment_key, chain.meta(data.num_classes) if chain.meta else MetaParams()])
    search = _search(config, data, meta, {**counts, "devices": mesh.size})

    def init(key: jax.Array) -> TrainState:
        of_shared = search.tx.init(meta.shared) if search else ()
        count = search.rule.moments if search else 0
        begun = init_per_example(meta, data.train.index, count, of_shared, mesh.size)
        return init_state(key, model, chain, tx, *begun, shape)

    rule = search.rule if search else None
    train_step = make_train_step(make_objective(model, augment, chain, **counts), tx, rule)
    search_step = None
    if search:
        stages = make_bilevel_problem(model, augment, chain, search.part, **counts)
        search_step = make_search_step(
            stages, search.rule, search.tx, search.direction, part=search.part, fisher=search.fisher
        )
    predict, protocols = make_predict(model, augment), robustness.build(config, data)
    plan = _plan(config, data, pool, (model, augment, chain), counts, mesh)
    functions = (init, train_step, predict, protocols, search, search_step, plan)
    job = Experiment(config, data, mesh, counts["steps_per_epoch"], schedule, *functions)
    _trace(job, augment)
    return job


def load_dataset(config: ConfigDict) -> Dataset:
    """The data set as the config wants it: cut, thinned out, distorted."""
    seed, config = config.seed, copy.deepcopy(config.data)
    config.seed = seed if config.seed < 0 else config.seed
    return corrupt(subset_rows(resolve("data", config.name).load(config), config.train_size, config.seed), config)


def _search(config: ConfigDict, data: Dataset, meta: MetaParams, counts: dict[str, int]) -> autodo.BilevelSearch | None:
    if config.search.name in ("", AFTERWARDS):
        return None
    if not (meta.per_example or meta.shared):
        raise UsageError(
            "config.search has nothing to learn: add 'targets.learned_targets' or 'weights.learned_weights' to "
            "config.loss.chain, or set `learned` of config.augment.policy, config.loss.soften or config.loss.isda"
        )
    build = pick("config.search.name", config.search.name, {"autodo": autodo.build, "dada": dada.build})
    trusted = len(data.validation.label)
    return build(config.search, size=len(data.train.label), trusted=trusted, seed=config.seed, **counts)


def _plan(
    config: ConfigDict, data: Dataset, pool: Split, parts: tuple, counts: dict[str, int], mesh: jax.sharding.Mesh
) -> DeepAASearch | None:
    if config.search.name != AFTERWARDS:
        if config.search.pool or config.search.checkpoint:
            raise UsageError(f"config.search.pool and checkpoint are for config.search.name={AFTERWARDS!r}")
        return None
    model, augment, chain = parts
    train, trust = (make_per_example_inputs(model, augment, one, **counts) for one in (chain, None))
    return build(config.search, train=train, trust=trust, data=data, pool=pool, seed=config.seed, mesh=mesh)


def _check_rows(config: ConfigDict, data: Dataset) -> None:
    if not len(data.test):
        raise UsageError(f"{data.name} has no test rows, so that no figure could be reported")
    if config.batch_size > len(data.train):
        raise UsageError(
            f"config.batch_size is {config.batch_size}, but {data.name} has {len(data.train)} training rows"
        )


def _trace(job: Experiment, augment: Callable) -> None:
    """Parts in an order that cannot be, or that do not take such images, say so here. Computes nothing."""

    def batch_of(size: int) -> Batch:
        zeros = jnp.zeros(size, jnp.int32)
        return Batch(jnp.zeros((size, *job.data.image_shape), job.data.train.image.dtype), zeros, zeros)

    def one_batch(state: TrainState) -> Batch:
        batch, share = batch_of(job.config.batch_size), jnp.zeros(())
        meta = gather_rows(None, state.meta, state.search, batch.index)[0]
        return augment(
            batch.replace(per_example=meta.per_example), meta.shared, state.key, Progress(share, share), train=True
        )

    state = job.abstract_state()  # a model that cannot take such images says so here
    jax.eval_shape(one_batch, state)
    if job.plan is not None:
        without_norms(state.params, tuple(job.config.search.part))
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


def step_batches(job: Experiment, from_step: int) -> Iterator[tuple[int, np.ndarray]]:
    """(step, rows [n B]) to the end of the training, n = steps_per_dispatch, less where an epoch ends."""
    config, waiting = job.config, []
    for step, chosen in training_rows(len(job.data.train.label), config.batch_size, config.seed, from_step):
        if step == job.total_steps:
            return
        waiting.append(chosen)
        if len(waiting) == config.steps_per_dispatch or (step + 1) % job.steps_per_epoch == 0:
            yield step + 1 - len(waiting), np.stack(waiting)
            waiting = []
