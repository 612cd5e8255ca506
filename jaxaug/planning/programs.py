"""The steps of an experiment with what they are called with, as shapes: nothing is computed, no data are read."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.random import DeviceStream
from jaxaug.core.sharding import replicated, sharded_along
from jaxaug.core.totals import empty_totals
from jaxaug.data.dataset import Split
from jaxaug.data.loader import RowSource, is_sent
from jaxaug.data.sampler import flattened
from jaxaug.search.deepaa.plan import DeepAASearch
from jaxaug.search.deepaa.update import ItemIndices
from jaxaug.train.evaluator import evaluation_program
from jaxaug.train.experiment import Experiment, empty_training_totals
from jaxaug.train.programs import search_program, train_program

STEPS = ("train", "evaluate", "search")


class Program(NamedTuple):
    """A jitted function, what it is called with, and how many rows of data that is."""

    jitted: Any
    arguments: tuple[Any, ...]
    rows: int


def programs_of(experiment: Experiment, steps: tuple[str, ...] = STEPS) -> dict[str, Program]:
    """{"train", "evaluate", "search"}: those of the steps that the experiment has.

    A search after the training has a step for each of its stages, "search first" and so on.
    """
    made = {"train": _train, "evaluate": _evaluate, "search": _search}
    return {name: program for step in steps for name, program in made[step](experiment).items()}


def _train(experiment: Experiment) -> dict[str, Program]:
    rows = experiment.config.batch_size + experiment.streams.unlabelled_batch_size
    totals = _everywhere(experiment, jax.eval_shape(lambda: empty_training_totals(experiment)))
    given = _rows(experiment, experiment.data.train, (1, rows))
    return {"train": Program(train_program(experiment), (experiment.abstract_state(), totals, given), rows)}


def _evaluate(experiment: Experiment) -> dict[str, Program]:
    split, size = experiment.data.test, experiment.mesh.size
    rows = -(-min(experiment.config.eval_batch_size, len(split)) // size) * size
    arguments = (experiment.abstract_state(), _rows(experiment, split, (rows,)), ())
    return {"evaluate": Program(evaluation_program(experiment), arguments, rows)}


def _search(experiment: Experiment) -> dict[str, Program]:
    if isinstance(experiment.search, DeepAASearch):
        return _deepaa(experiment, experiment.search)
    if experiment.search is None or experiment.search_totals is None:
        return {}
    totals = _everywhere(experiment, jax.eval_shape(lambda: empty_totals(experiment.search_totals)))
    splits, chosen = (experiment.data.train, experiment.data.validation), experiment.search.rows(0)
    given = [_rows(experiment, split, rows.shape) for split, rows in zip(splits, chosen, strict=True)]
    arguments = (experiment.abstract_state(), totals, *given)
    return {"search": Program(search_program(experiment), arguments, sum(map(len, chosen)))}


def _deepaa(experiment: Experiment, search: DeepAASearch) -> dict[str, Program]:
    begin: Any = search.begin
    state = jax.eval_shape(begin, jax.random.fold_in(experiment.key, int(DeviceStream.POLICY_SEARCH)))
    net = experiment.abstract_state().replace(opt_state=())
    chosen, layer = search.chosen(0), jnp.zeros((), jnp.int32)
    splits = (search.item_rows, search.validation_rows)
    rows, few = (_rows(experiment, split, x.shape, 0) for split, x in zip(splits, chosen, strict=True))
    items, count = ItemIndices(rows.chosen, few.chosen), sum(x.size for x in chosen)
    arguments = (_everywhere(experiment, state), layer, net, rows.source, few.source, items)
    wanted = {"first": True, "later": search.num_layers > 1, "all": search.refine > 0}
    return {
        f"search {stage}": Program(update, arguments, count)
        for stage, update in search.update_functions.items()
        if wanted[stage] and hasattr(update, "trace")
    }


def _rows(experiment: Experiment, split: Split, shape: tuple[int, ...], axis: int = -1) -> RowSource:
    """What a loader gives for rows of this shape, of which one axis is spread over the devices."""
    sharding = sharded_along(experiment.mesh, axis % len(shape))

    def spread(inner: tuple[int, ...], dtype: Any) -> Any:
        return jax.ShapeDtypeStruct((*shape, *inner), dtype, sharding=sharding)

    if not is_sent(split, experiment.config.place):
        return RowSource(_everywhere(experiment, jax.eval_shape(flattened, split)), spread((), np.int32))
    image, label = split.image, split.label
    labels = spread(tuple(label.shape[1:]), np.int32)
    return RowSource(None, Split(spread(tuple(image.shape[1:]), image.dtype), labels, spread((), np.int32)))


def _everywhere(experiment: Experiment, tree: Any) -> Any:
    sharding = replicated(experiment.mesh)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)
