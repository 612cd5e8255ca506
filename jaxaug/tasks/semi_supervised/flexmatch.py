"""FlexMatch (Zhang et al., NeurIPS 2021): FixMatch whose threshold is lower for classes that are learned more slowly.

    sigma(c) = rows whose last sure pseudo-label is c
    beta(c)  = sigma(c) / max(max_c sigma, N - sum_c sigma)          (equations 6 and 11)
    T(c)     = M(beta(c)) threshold,   M(x) = x / (2 - x)            (equations 7 and 12)

A row's pseudo-label is sure by `threshold` itself; a row counts by its last sure one.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxaug.core.registry import register
from jaxaug.core.types import Tree
from jaxaug.tasks.semi_supervised.base import ROWS, once, row_store
from jaxaug.tasks.semi_supervised.fixmatch import FixMatch


@register("task", "flexmatch")
@dataclasses.dataclass(eq=False)
class FlexMatch(FixMatch):
    """FixMatch with a threshold for each class; the last sure pseudo-label of each unlabelled row is kept.

    Args:
      unlabelled_batch_size: rows without a label in a step, beside the `batch_size` labelled ones (paper: 7 to 1).
      epoch_of: the stream whose rows an epoch goes through once, "unlabelled" or "labelled".
      weight: of the unlabelled rows, 0 or more.
      threshold: of the class that is learned best, in [0, 1].
      decay: the share of the average of the parameters that a step keeps, in [0, 1).
    """

    def init_state(self, params: Tree, model_state: Tree) -> Tree:
        """The average of the parameters, and -1, no pseudo-label yet, for every row without a label."""
        found = super().init_state(params, model_state)
        if not len(self.rows):
            return found
        return found | {ROWS: row_store(self.rows, {"label": jnp.full((), -1, jnp.int32)})}

    def sure(self, probability: jax.Array, task_state: Tree) -> jax.Array:
        """By the threshold of the likeliest class."""
        label = jnp.argmax(probability, axis=-1)
        share = self.learned(task_state)
        return jnp.max(probability, axis=-1) >= self.threshold * (share / (2.0 - share))[label]

    def learned(self, task_state: Tree) -> jax.Array:
        """beta [K]: how well each class is learned, to the best one's 1."""
        label = task_state[ROWS]["label"]
        counts = jnp.sum(label[:, None] == jnp.arange(self.num_classes), axis=0)
        none = len(self.rows) - jnp.sum(counts)
        return counts / jnp.maximum(jnp.maximum(jnp.max(counts), none), 1)

    def noted(self, probability: jax.Array, index: jax.Array, task_state: Tree) -> Tree:
        """Rows that the threshold itself is reached for get their pseudo-label."""
        store = task_state[ROWS]
        at = jnp.searchsorted(store["ids"], index)
        place = once(at, len(store["ids"]))
        sure = jnp.max(probability, axis=-1) >= self.threshold
        label = jnp.where(sure, jnp.argmax(probability, axis=-1).astype(jnp.int32), store["label"][at])
        return {**task_state, ROWS: store | {"label": store["label"].at[place].set(label, mode="drop")}}
