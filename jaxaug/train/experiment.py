"""A config made into functions: everything that can be wrong with it shows here, before anything is compiled."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from jaxaug import data as data_sets
from jaxaug import losses, models, optim, robustness
from jaxaug.augment.compose import build_pipeline, learned_transform_of
from jaxaug.augment.transform import LearnedTransform
from jaxaug.bilevel.per_example import gather_rows
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import instantiate
from jaxaug.core.sharding import make_mesh, sharded_along, shardings_of
from jaxaug.core.target import traced_for
from jaxaug.core.totals import Totals, empty_totals, totals_of
from jaxaug.core.types import Batch, LossTransform, MetaParams, ModelOutput, TrainState, merge_meta_params
from jaxaug.data.dataset import Dataset, class_counts_of
from jaxaug.data.loader import check_placement
from jaxaug.models.api import init_model, without_norms
from jaxaug.models.precision import check_precision
from jaxaug.models.weights import Fitted
from jaxaug.optim.schedules import Schedule
from jaxaug.robustness.base import Protocol
from jaxaug.search.base import SearchContext, SearchMethod
from jaxaug.tasks.base import Task
from jaxaug.train.config import NO_SEARCH, complete
from jaxaug.train.contradictions import check_average, check_parts, check_search, check_state
from jaxaug.train.initial_weights import initial_weights
from jaxaug.train.objective import HEAD, Parts, make_bilevel_problem, make_objective, make_per_example_inputs
from jaxaug.train.step import init_state, make_predict, make_train_step
from jaxaug.train.streams import Streams, streams_of


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config made into functions; nothing is compiled or trained yet.

    config: with every option of every component. learned: the transform whose policy a search may change.
    search_totals: shapes of what a search step reports (None: the search takes no steps beside the training).
    streams: which rows are in a step. initial: weights that the network begins with (None: random ones).
    """

    config: ConfigDict
    data: Dataset
    mesh: jax.sharding.Mesh
    task: Task
    chain: LossTransform
    streams: Streams
    schedule: Schedule
    init: Callable[..., TrainState]
    train_step: Callable
    predict: Callable[[TrainState, Batch], ModelOutput]
    protocols: Mapping[str, Protocol]
    search: SearchMethod | None = None
    learned: LearnedTransform | None = None
    search_totals: Any = None
    initial: Fitted | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Of the stream that epochs are counted on."""
        return self.streams.steps_per_epoch

    @property
    def total_steps(self) -> int:
        """Of the whole training."""
        return self.steps_per_epoch * self.config.epochs

    @property
    def key(self) -> jax.Array:
        """What `init` takes."""
        return jax.random.key(self.config.seed)

    @property
    def about(self) -> dict[str, str]:
        """What a checkpoint must have been made with."""
        return {"data": self.config.data.name, "model": self.config.model.name}

    def shardings(self) -> TrainState:
        """Where the state lies: what belongs to training rows is spread over the devices, the rest as rules say."""
        spread, state = sharded_along(self.mesh, 0), jax.eval_shape(self.init, self.key)
        with at("config.sharding"):
            whole = shardings_of(state, self.mesh, self.config.sharding)
        per_example = jax.tree.map(lambda x: spread, state.meta.per_example)
        search = state.search_state
        if hasattr(search, "moments"):
            of_rows = {name: getattr(search, name) for name in ("ids", "last_step", "moments")}
            whole = whole.replace(search_state=whole.search_state.replace(**jax.tree.map(lambda x: spread, of_rows)))
        if isinstance(state.task_state, Mapping) and "per_example" in state.task_state:
            of_task = jax.tree.map(lambda x: spread, state.task_state["per_example"])
            whole = whole.replace(task_state={**whole.task_state, "per_example": of_task})
        return whole.replace(meta=whole.meta.replace(per_example=per_example))

    def begin(self) -> TrainState:
        """The state before the first step, on the devices."""
        # Arguments rather than constants, so that all seeds share one compilation.
        weights = None if self.initial is None else (self.initial.params, self.initial.model_state)
        return jax.jit(self.init, out_shardings=self.shardings())(self.key, weights)

    def abstract_state(self) -> TrainState:
        """Shapes, dtypes and shardings of the state: what `Checkpointer.restore` is given. Computes nothing."""

        def one(x: jax.Array, sharding: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

        return jax.tree.map(one, jax.eval_shape(self.init, self.key), self.shardings())


def build_experiment(
    config: ConfigDict,
    load: Callable[[ConfigDict], Dataset] | None = None,
    devices: Sequence[jax.Device] | None = None,
) -> Experiment:
    """Read the data and build every part. Raises UsageError for whatever is wrong with the config.

    load: gives the data set of a config with every option (None: it is read). devices: that the steps are for, which
    need not be here (None: all of this run's).
    """
    config = complete(config)
    with at("config.mesh"):
        mesh = make_mesh(config.mesh.to_dict(), devices)
    _check_sizes(config, mesh.size)
    search, data = search_and_data(config, load or _loaded)
    task = _task(config, data)
    streams = streams_of(config, data, task, mesh.size)
    counts = {"steps_per_epoch": streams.steps_per_epoch, "epochs": config.epochs}
    parts, learned, meta = _parts(config, data, task, counts)
    with at("config.optim"):
        tx, schedule = optim.create(**config.optim.to_dict(), **counts)
    with at("config.robustness"):
        protocols = robustness.create(config.robustness, data, directory=config.data.directory)
    if search is not None:
        with at("config.search"):
            search.setup(_context(parts, data, mesh, config.seed, meta))
    method = search or SearchMethod()
    step = make_train_step(make_objective(parts), tx, method.rule, parts.task, config.average_decay)
    experiment = Experiment(
        config=config,
        data=data,
        mesh=mesh,
        task=parts.task,
        chain=parts.chain,
        schedule=schedule,
        init=_initializer(config, data, parts, tx, lambda: method.init(meta, data.train.index, mesh.size)),
        train_step=traced_for(mesh, step),
        streams=streams,
        predict=traced_for(mesh, make_predict(parts)),
        protocols=protocols,
        search=search,
        learned=learned,
        initial=_initial(config, data, parts),
    )
    return dataclasses.replace(experiment, search_totals=_trace(experiment, parts))


def load_dataset(config: ConfigDict) -> Dataset:
    """The data set as the config wants it: cut, thinned out, corrupted."""
    return _loaded(complete(config))


def _loaded(config: ConfigDict) -> Dataset:
    options = config.data.to_dict()
    if options["seed"] < 0:
        options["seed"] = config.seed
    return data_sets.load(**options)


@contextlib.contextmanager
def at(address: str) -> Iterator[None]:
    """A mistake that shows in the block is told with the field of the config it belongs to."""
    try:
        yield
    except UsageError as error:
        if str(error).startswith("config."):  # the innermost address says most
            raise
        raise UsageError(f"{address}: {error}") from error


def search_and_data(
    config: ConfigDict, load: Callable[[ConfigDict], Dataset] = _loaded
) -> tuple[SearchMethod | None, Dataset]:
    """(the search, None for none; the rows that are left for the training) of a config with every option."""
    search = None
    if config.search.name != NO_SEARCH:
        with at("config.search"):
            search = instantiate("search", config.search.to_dict())
    with at("config.data"):
        data = load(config)
    if search is not None:
        with at("config.search"):
            data = search.prepare_data(data, config.seed)
    pool = None if search is None else search.pool_rows
    with at("config.place"):
        check_placement(data, data.train if pool is None else pool, config.place)
    if not len(data.test):
        raise UsageError(f"{data.name} has no test rows, so that no figure could be reported")
    return search, data


def _parts(
    config: ConfigDict, data: Dataset, task: Task, counts: dict[str, int]
) -> tuple[Parts, LearnedTransform | None, MetaParams]:
    """(what the training is made of, the learned transform, what may be learned as it begins)."""
    with at("config.precision"):
        check_precision(config.precision)
    with at("config.model"):
        model = models.create(**config.model.to_dict(), num_classes=data.num_classes, precision=config.precision)
    transforms: dict[str, Any] = {}
    for stage in ("train", "after", "strong"):
        with at(f"config.augment.{stage}"):
            transforms[stage] = [instantiate("augment", slot) for slot in config.augment[stage]]
    with at("config.augment"):
        size, views = config.augment.size, config.augment.views
        strong, common = transforms.pop("strong"), dict[str, Any](mean=data.mean, std=data.std, size=size)
        augment, learned_meta = build_pipeline(**transforms, **common, views=views)
        learned = learned_transform_of([*transforms["train"], *transforms["after"]])
        _check_strong(config, task)
        of_strong = build_pipeline([*transforms["train"], *strong], transforms["after"], **common)[0]
    with at("config.loss"):
        chain = losses.create(config.loss)
        meta = chain.meta(data.num_classes) if chain.meta else MetaParams()
    check_parts([*transforms["train"], *strong, *transforms["after"]], chain, task)
    groups = (views if config.augment.views_apart else 1) * config.batch_norm_groups
    sizes: dict[str, Any] = {"groups": groups, "labelled": config.batch_size, "accumulate": config.accumulate}
    frozen = optim.frozen_by(config.optim.rates)
    parts = Parts(task, model, augment, chain, **counts, **sizes, strong=of_strong, frozen=frozen)
    return parts, learned, merge_meta_params([learned_meta, meta])


def _task(config: ConfigDict, data: Dataset) -> Task:
    with at("config.task"):
        task = instantiate("task", config.task.to_dict())
        task.check(data)
    return task


def _check_strong(config: ConfigDict, task: Task) -> None:
    wanted, name = getattr(task, "strong_views", False), config.task.name
    if wanted and not config.augment.strong:
        raise UsageError(f'strong: {name!r} needs strong views: set it, for example to ({{"name": "policy", ...}},)')
    if config.augment.strong and not wanted:
        raise UsageError(f"strong: {name!r} has no strong views: leave it out")


def _context(parts: Parts, data: Dataset, mesh: jax.sharding.Mesh, seed: int, meta: MetaParams) -> SearchContext:
    return SearchContext(
        data=data,
        mesh=mesh,
        seed=seed,
        steps_per_epoch=parts.steps_per_epoch,
        epochs=parts.epochs,
        meta=meta,
        problem=lambda part: make_bilevel_problem(parts, part),
        train_inputs=make_per_example_inputs(parts, parts.chain),
        val_inputs=make_per_example_inputs(parts, None),
    )


def _initial(config: ConfigDict, data: Dataset, parts: Parts) -> Fitted | None:
    """The weights to begin with; what does not fit them shows here."""
    with at("config.init_from"):
        if not config.init_from.path:
            return None
        if getattr(config.search, "network", ""):
            raise UsageError("the network is that of config.search.network: leave one of the two out")
        shape = _model_shape(config, data)
        expected = jax.eval_shape(lambda key: init_model(parts.model, key, shape), jax.random.key(0))
        return initial_weights(**config.init_from.to_dict(), expected=expected)


def _initializer(
    config: ConfigDict,
    data: Dataset,
    parts: Parts,
    tx: optax.GradientTransformation,
    begin: Callable[[], tuple[MetaParams, Any]],
) -> Callable[..., TrainState]:
    """init(key, weights=None) -> the state before the first step. begin: gives what a search begins with."""
    shape, class_counts = _model_shape(config, data), jnp.asarray(class_counts_of(data), jnp.float32)

    def init(key: jax.Array, weights: Any = None) -> TrainState:
        with at("config.optim"):  # where rates of parts that are not there show
            return init_state(key, parts, tx, *begin(), shape, class_counts, weights, config.average_decay)

    return init


def _model_shape(config: ConfigDict, data: Dataset) -> tuple[int, ...]:
    side = config.augment.size
    return (side, side, data.image_shape[2]) if side else data.image_shape


def _trace(experiment: Experiment, parts: Parts) -> Any:
    """Transforms in an order that cannot be, or that do not take such images, say so here. Computes nothing.

    Returns the shapes of what a search step reports, None if none is taken.
    """
    data, search = experiment.data, experiment.search

    def batch_of(size: int) -> Batch:
        zeros = jnp.zeros(size, jnp.int32)
        label = jnp.zeros((size, *data.train.label.shape[1:]), jnp.int32)
        return Batch(jnp.zeros((size, *data.image_shape), data.train.image.dtype), label, zeros)

    def one_batch(state: TrainState) -> Batch:
        batch = batch_of(experiment.config.batch_size)
        meta = gather_rows(None, state.meta, state.search_state, batch.index)[0]
        batch = batch.replace(per_example=meta.per_example)
        return parts.augment(batch, meta.shared, state.key, parts.progress(state.step), train=True)

    with at("config.model"):
        state = experiment.abstract_state()  # a model that cannot take such images says so here
    check_state(state, data)
    with at("config.augment"):
        jax.eval_shape(one_batch, state)
    with at("config.average_decay"):
        check_average(experiment.config.average_decay, parts.task, state)
    if experiment.config.accumulate > 1:  # a task may give the model other numbers of rows
        rows = experiment.config.batch_size + experiment.streams.unlabelled_batch_size
        jax.eval_shape(experiment.train_step, state, batch_of(rows))
    if search is None:
        return None
    with at("config.search"):
        without_norms(state.params, tuple(search.part))
        if not search.due(experiment.total_steps - 1):
            return None
        check_search(parts.task)
        chosen, validation = search.rows(0)
        return jax.eval_shape(search.step, state, batch_of(len(chosen)), batch_of(len(validation)))[1]


def _check_sizes(config: ConfigDict, size: int) -> None:
    if config.seed >= 2**32:
        raise UsageError(f"config.seed must be below 2**32, got {config.seed}")
    sizes = ("epochs", "batch_size", "accumulate", "batch_norm_groups", "eval_batch_size", "steps_per_dispatch")
    counts = (*sizes, "log_every", "eval_every", "save_every", "prefetch")
    for name, least in [("seed", 0), *((name, 1) for name in counts)]:
        if config[name] < least:
            raise UsageError(f"config.{name} must be at least {least}, got {config[name]}")
    least = size * config.accumulate
    if not config.batch_size % size and config.batch_size % least:
        raise UsageError(
            f"config.accumulate: {config.accumulate} micro-batches of as many rows on each of {size} devices cannot be "
            f"made of config.batch_size {config.batch_size}: let it be a multiple of {least}"
        )
    if config.batch_size % (config.batch_norm_groups * config.accumulate):
        raise UsageError(f"config.batch_norm_groups: {config.batch_norm_groups} groups do not divide the batch")
    if config.batch_size % size:
        raise UsageError(
            f"config.batch_size {config.batch_size} cannot be divided among {size} devices: "
            f"use {config.batch_size // size * size or size} or {(config.batch_size // size + 1) * size}"
        )


def empty_training_totals(experiment: Experiment) -> Totals:
    """The totals that those of training steps are added to."""
    kernel = experiment.abstract_state().params[HEAD]["kernel"]
    shape, num_classes = experiment.data.train.label.shape[1:], kernel.shape[1]
    label = jax.ShapeDtypeStruct((1, *shape), jnp.int32)

    def sums(kernel: jax.Array, label: jax.Array) -> Any:
        logits = jnp.zeros((*label.shape, num_classes))
        output = ModelOutput(jnp.zeros((*label.shape, len(kernel))), logits, kernel, jnp.zeros(num_classes))
        batch = Batch(jnp.zeros((1, *experiment.data.image_shape)), label, jnp.zeros(1, jnp.int32))
        return totals_of({"loss": (jnp.zeros(()), jnp.zeros(())), **experiment.task.train_sums(output, batch)})

    return empty_totals(jax.eval_shape(sums, kernel, label))


def step_batches(experiment: Experiment, from_step: int) -> Iterator[tuple[int, np.ndarray]]:
    """(step, rows [n B]) to the end of the training, n = steps_per_dispatch, less where an epoch or the search asks."""
    config, due = experiment.config, (experiment.search or SearchMethod()).due
    waiting: list[np.ndarray] = []
    for step, chosen in experiment.streams.batches(config.seed, from_step):
        if step == experiment.total_steps:
            return
        waiting.append(chosen)
        # Search steps are taken between dispatches.
        ends = (step + 1) % experiment.steps_per_epoch == 0 or due(step + 1) > due(step)
        if ends or len(waiting) == config.steps_per_dispatch:
            yield step + 1 - len(waiting), np.stack(waiting)
            waiting = []


def with_seed(config: ConfigDict, seed: int) -> ConfigDict:
    """The config with another seed."""
    found = copy.deepcopy(config)
    found.seed = seed
    return found
