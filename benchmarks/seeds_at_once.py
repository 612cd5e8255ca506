"""Several seeds of one config trained as one vmapped program: for small models, where a step is mostly overhead.

Every seed has its own validation cut, distortion, initial state and order of rows (config.seed and config.data.seed are
the seed); what is shared is the normalisation, which is that of the first seed's rows.
"""

from __future__ import annotations

import copy
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.data.sampler import training_rows
from jaxaug.train import metrics
from jaxaug.train.experiment import build_experiment
from jaxaug.train.step import batch_of


@dataclasses.dataclass
class Seeds:
    """The jobs of all seeds, and their final state with a leading axis of seeds."""

    jobs: list
    state: object
    accuracy: np.ndarray  # [evaluations, seeds], test top-1
    epochs: list[int]

    def own(self, name: str) -> np.ndarray:
        """[seeds, N]: the numbers of that name, in the order of each seed's training rows."""
        ids, values = np.asarray(self.state.search.ids), np.asarray(self.state.meta.per_example[name])
        order = [np.searchsorted(i, j.data.train.index) for i, j in zip(ids, self.jobs, strict=True)]
        return np.stack([v[o] for v, o in zip(values, order, strict=True)])


def run(config, seeds: int, evaluate_every: int = 10) -> Seeds:
    """Train seeds 0..seeds-1 of a config together."""
    jobs = [_job_of(config, seed) for seed in range(seeds)]
    first = jobs[0]
    state = _stacked([jax.jit(one.init)(one.key) for one in jobs])
    source, trusted, test = (
        _stacked([jax.tree.map(jnp.asarray, getattr(one.data, name)) for one in jobs])
        for name in ("train", "validation", "test")
    )
    train = jax.jit(jax.vmap(lambda s, source, rows: first.train_step(s, batch_of(source, rows))[0]))
    evaluate = jax.jit(jax.vmap(lambda s, test: _top1(first, s, test)))
    searching = first.search is not None and jax.jit(
        jax.vmap(lambda s, a, i, b, k: first.search_step(s, batch_of(a, i), batch_of(b, k))[0])
    )
    orders = [training_rows(len(one.data.train.label), config.batch_size, one.config.seed) for one in jobs]
    taken, accuracy, epochs = 0, [], []
    for step in range(first.total_steps):
        while first.search is not None and taken < first.search.due(step):
            chosen, few = (np.stack(x) for x in zip(*(one.search.batch(taken) for one in jobs), strict=True))
            state, taken = searching(state, source, chosen, trusted, few), taken + 1
        state = train(state, source, np.stack([next(order)[1] for order in orders]))
        epoch, rest = divmod(step + 1, first.steps_per_epoch)
        if rest == 0 and (epoch % evaluate_every == 0 or epoch == config.epochs):
            accuracy.append(evaluate(state, test))
            epochs.append(epoch)
    return Seeds(jobs, jax.device_get(state), np.asarray(accuracy), epochs)


def _job_of(config, seed: int):
    one = copy.deepcopy(config)
    one.seed = one.data.seed = seed
    return build_experiment(one)


def _stacked(trees: list):
    return jax.tree.map(lambda *x: jnp.stack(x), *trees)


def _top1(first, state, test):
    rows = jnp.arange(len(test.label))
    batch = batch_of(test, rows)
    hit, count = metrics.evaluation_totals(first.predict(state, batch).logits, batch.label).sums["top1"]
    return hit / count
