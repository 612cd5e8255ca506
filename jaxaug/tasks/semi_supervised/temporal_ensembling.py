"""Temporal ensembling (Laine and Aila, ICLR 2017, algorithm 2).

    loss = -1/|B| sum_{labelled} log z_i[y_i] + w(t) 1/(K |B|) sum_B |z_i - target_i|^2
    Z_i <- a Z_i + (1 - a) z_i,   target_i = Z_i / (1 - a^n)

n is how often the row was seen before, which is the number of epochs where each row is seen once in an epoch. A row
that was never seen has no target and adds nothing (w is 0 in the paper's first epoch).
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.registry import register
from jaxaug.core.types import Tree
from jaxaug.data.dataset import Dataset
from jaxaug.tasks.semi_supervised.base import (
    ROWS,
    ConsistencyMethod,
    Terms,
    TrainingStep,
    once,
    row_store,
    squared_distance,
)


@register("task", "temporal_ensembling")
@dataclasses.dataclass(eq=False)
class TemporalEnsembling(ConsistencyMethod):
    """Every row should be given the average of what was said of it before; K + 1 numbers a row are kept.

    Args:
      unlabelled_batch_size: rows without a label in a step, beside the `batch_size` labelled ones.
      epoch_of: the stream whose rows an epoch goes through once, "unlabelled" or "labelled".
      weight: w_max, of the consistency when it is full, 0 or more (paper: 30 times the share of labelled rows).
      ramp_up: epochs in which the weight rises as exp(-5 (1 - t)^2); 0: it is full at once.
      ramp_by: t counts completed epochs ("epoch", as released) or their fractions ("step").
      supervised_over: the cross-entropy is divided by all rows of the "batch" (paper), or by the "labelled" ones.
      pseudo_weight: of the chain of losses on unlabelled rows with the likeliest class of their average; 0 or more.
      isda_weight: of ISDA's consistency on unlabelled rows (`losses.isda_consistency`), which needs the loss "isda".
      isda_strength: lambda_0 of that; it grows with the steps.
      momentum: a, the share of the average that a look keeps, in [0, 1).
    """

    weight: float = 30.0
    ramp_up: float = 80.0
    momentum: float = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(0 <= self.momentum < 1, "momentum must be in [0, 1)")
        self._all = np.zeros(0, np.int32)

    def check(self, data: Dataset) -> None:
        """Raises UsageError for what no method takes."""
        super().check(data)
        self._all = data.train.index

    def init_state(self, params: Tree, model_state: Tree) -> Tree:
        """Z [N K] and n [N] of every training row."""
        return {ROWS: row_store(self._all, {"sum": jnp.zeros(self.num_classes), "seen": jnp.zeros((), jnp.int32)})}

    def terms(self, step: TrainingStep) -> Terms:
        """The target has no gradient; a row's average is that before this step."""
        batch = step.view(0, step.batch)
        output, model_state = step.student(batch.image)
        store = step.state.task_state[ROWS]
        at = jnp.searchsorted(store["ids"], batch.index)
        total, seen = store["sum"][at], store["seen"][at]
        known = seen > 0
        target = total / jnp.where(known, 1.0 - self.momentum ** seen.astype(jnp.float32), 1.0)[:, None]
        consistency = jnp.mean(jnp.where(known, squared_distance(output.logits, target), 0.0))
        said = jax.lax.stop_gradient(jax.nn.softmax(output.logits, axis=-1))
        place, after = once(at, len(store["ids"])), self.momentum * total + (1.0 - self.momentum) * said
        written = store | {
            "sum": store["sum"].at[place].set(after, mode="drop"),
            "seen": store["seen"].at[place].set(seen + 1, mode="drop"),
        }
        batch = self.pseudo_labelled(step, batch, jnp.where(known[:, None], target, said))
        return Terms(output, batch, model_state, consistency, {ROWS: written})
