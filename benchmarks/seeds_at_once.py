"""Several seeds of one config trained as one vmapped program: for small models, where a step is mostly overhead.

Every seed has its own validation cut, corruption, initial state and order of rows (config.seed and config.data.seed are
the seed); what is shared is the normalisation, which is that of the first seed's rows.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxaug.core.types import TrainState
from jaxaug.data import Split, training_rows
from jaxaug.train import Experiment, build_experiment
from jaxaug.train.step import batch_of


@dataclasses.dataclass
class Seeds:
    """The experiments of all seeds, and their final state with a leading axis of seeds."""

    experiments: list[Experiment]
    state: TrainState
    accuracy: np.ndarray  # [evaluations, seeds], test top-1
    epochs: list[int]

    def per_example(self, name: str) -> np.ndarray:
        """[seeds, N]: the numbers of that name, in the order of each seed's training rows."""
        ids, values = np.asarray(self.state.search_state.ids), np.asarray(self.state.meta.per_example[name])
        order = [np.searchsorted(i, one.data.train.index) for i, one in zip(ids, self.experiments, strict=True)]
        return np.stack([v[o] for v, o in zip(values, order, strict=True)])


def run(config: ConfigDict, seeds: int, evaluate_every: int = 10) -> Seeds:
    """Train seeds 0..seeds-1 of a config together."""
    experiments = [_of_seed(config, seed) for seed in range(seeds)]
    first = experiments[0]
    search = first.search
    state = _stacked([jax.jit(one.init)(one.key) for one in experiments])
    source, validation, test = (
        _stacked([jax.tree.map(jnp.asarray, getattr(one.data, name)) for one in experiments])
        for name in ("train", "validation", "test")
    )
    train = jax.jit(jax.vmap(lambda s, source, rows: first.train_step(s, batch_of(source, rows))[0]))
    evaluate = jax.jit(jax.vmap(lambda s, test: _top1(first, s, test)))
    searching = search is not None and jax.jit(
        jax.vmap(lambda s, a, i, b, k: search.step(s, batch_of(a, i), batch_of(b, k))[0])
    )
    orders = [training_rows(len(one.data.train), config.batch_size, one.config.seed) for one in experiments]
    taken, accuracy, epochs = 0, [], []
    for step in range(first.total_steps):
        while search is not None and taken < search.due(step):
            chosen, few = (np.stack(x) for x in zip(*(one.search.rows(taken) for one in experiments), strict=True))
            state, taken = searching(state, source, chosen, validation, few), taken + 1
        state = train(state, source, np.stack([next(order)[1] for order in orders]))
        epoch, rest = divmod(step + 1, first.steps_per_epoch)
        if rest == 0 and (epoch % evaluate_every == 0 or epoch == config.epochs):
            accuracy.append(evaluate(state, test))
            epochs.append(epoch)
    return Seeds(experiments, jax.device_get(state), np.asarray(accuracy), epochs)


def _of_seed(config: ConfigDict, seed: int) -> Experiment:
    one = copy.deepcopy(config)
    one.seed = one.data.seed = seed
    return build_experiment(one)


def _stacked(trees: list) -> Any:
    return jax.tree.map(lambda *x: jnp.stack(x), *trees)


def _top1(first: Experiment, state: TrainState, test: Split) -> jax.Array:
    batch = batch_of(test, jnp.arange(len(test.label)))
    hit, count = first.task.eval_sums(first.predict(state, batch), batch)["top1"]
    return hit / count
