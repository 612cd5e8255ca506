"""The nearest training rows as a classifier: what features are worth where no head is trained (Wu et al., CVPR 2018).

score[i, k] = sum over the n nearest training rows j of class k of exp(cos(f_i, f_j) / temperature)
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.sharding import put_global, replicated
from jaxaug.core.types import TrainState
from jaxaug.data.loader import Loader, RowSource
from jaxaug.train.experiment import Experiment
from jaxaug.train.step import batch_of

LEAST = 1e-12  # of a norm that is divided by


class Neighbours:
    """neighbours(state) -> {"test_knn_top1": ..., "validation_knn_top1": ...} of the splits that are evaluated.

    Features are those of the head, as evaluated; rows without a label neither vote nor count.

    Args:
      experiment: whose task has a number `neighbours` and a `temperature`.
    """

    def __init__(self, experiment: Experiment):
        data, config, mesh = experiment.data, experiment.config, experiment.mesh
        task, self._everywhere, self._size = experiment.task, replicated(mesh), config.eval_batch_size
        splits = {"test": data.test} | ({} if data.validation is data.test else {"validation": data.validation})
        self._loaders = {name: Loader(split, mesh, config.place) for name, split in splits.items() if len(split)}
        self._bank = Loader(data.train, mesh, config.place)
        nearest: dict[str, Any] = {name: getattr(task, name) for name in ("neighbours", "temperature")}

        def features(state: TrainState, rows: RowSource) -> tuple[jax.Array, jax.Array]:
            batch = batch_of(*rows)
            found = experiment.predict(state, batch).features.astype(jnp.float32)
            return found * jax.lax.rsqrt(jnp.maximum(jnp.sum(found**2, -1, keepdims=True), LEAST)), batch.label

        def right(state: TrainState, rows: RowSource, bank: jax.Array, labels: jax.Array) -> jax.Array:
            found, label = features(state, rows)
            said = vote(found, bank, labels, data.num_classes, **nearest)
            return jnp.stack([jnp.sum((said == label) & (label >= 0)), jnp.sum(label >= 0)])

        self._features = jax.jit(features, out_shardings=self._everywhere)
        self._right = jax.jit(right, out_shardings=self._everywhere)

    def __call__(self, state: TrainState) -> dict[str, float]:
        found = [jax.device_get(self._features(state, rows)) for rows in self._bank.whole(self._size)]
        bank = [put_global(np.concatenate(parts), self._everywhere) for parts in zip(*found, strict=True)]
        shares = {}
        for name, loader in self._loaders.items():
            counts = [self._right(state, rows, *bank) for rows in loader.whole(self._size)]
            right, known = np.sum(jax.device_get(counts), axis=0)
            shares[f"{name}_knn_top1"] = float(right / max(known, 1))
        return shares


def neighbours_of(experiment: Experiment) -> Neighbours | None:
    """None where the task does not ask for them, or no training row has a label to vote for."""
    asked = getattr(experiment.task, "neighbours", 0) and (experiment.data.train.label >= 0).any()
    return Neighbours(experiment) if asked else None


def vote(
    features: jax.Array, bank: jax.Array, labels: jax.Array, num_classes: int, *, neighbours: int, temperature: float
) -> jax.Array:
    """The class that the nearest rows of a bank vote for -> [B] int.

    Args:
      features: [B D], of length 1.
      bank: [N D], of length 1.
      labels: [N] int, -1 for rows that do not vote.
      num_classes: K.
      neighbours: of the nearest rows, that vote; all of them where there are fewer.
      temperature: above 0.
    """
    alike = jnp.matmul(features, bank.T, precision=jax.lax.Precision.HIGHEST)
    alike, rows = jax.lax.top_k(jnp.where(labels >= 0, alike, -jnp.inf), min(neighbours, len(labels)))
    # A vote is at most 1, so that none overflows.
    weight = jnp.exp((alike - alike[:, :1]) / temperature)
    return jnp.argmax(jnp.einsum("bn,bnk->bk", weight, jax.nn.one_hot(labels[rows], num_classes)), axis=-1)
