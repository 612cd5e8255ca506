"""The Pi-model (Laine and Aila, ICLR 2017, algorithm 1).

    loss = -1/|B| sum_{labelled} log z_i[y_i] + w(t) 1/(K |B|) sum_B |z_i - z'_i|^2

z and z' are the probabilities of two views of the same row, each with its own augmentation and dropout.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxaug.core.registry import register
from jaxaug.tasks.semi_supervised.base import ConsistencyMethod, Terms, TrainingStep, squared_distance


@register("task", "pi_model")
@dataclasses.dataclass(eq=False)
class PiModel(ConsistencyMethod):
    """Two views of every row should be given the same probabilities.

    Args:
      unlabelled_batch_size: rows without a label in a step, beside the `batch_size` labelled ones.
      epoch_of: the stream whose rows an epoch goes through once, "unlabelled" or "labelled".
      weight: w_max, of the consistency when it is full, 0 or more (paper: 100 times the share of labelled rows).
      ramp_up: epochs in which the weight rises as exp(-5 (1 - t)^2); 0: it is full at once.
      ramp_by: t counts completed epochs ("epoch", as released) or their fractions ("step").
      supervised_over: the cross-entropy is divided by all rows of the "batch" (paper), or by the "labelled" ones.
      pseudo_weight: of the chain of losses on unlabelled rows with their likeliest class, such as ISDA; 0 or more.
      isda_weight: of ISDA's consistency on unlabelled rows (`losses.isda_consistency`), which needs the loss "isda".
      isda_strength: lambda_0 of that; it grows with the steps.
    """

    weight: float = 100.0
    ramp_up: float = 80.0

    def terms(self, step: TrainingStep) -> Terms:
        """Both views are differentiated, as in algorithm 1; the state of the network is that after the first."""
        batch = step.view(0, step.batch)
        output, model_state = step.student(batch.image)
        other = step.student(step.view(1, step.batch).image, 1)[0]
        target = jax.nn.softmax(other.logits, axis=-1)
        consistency = jnp.mean(squared_distance(output.logits, target))
        batch = self.pseudo_labelled(step, batch, jax.nn.softmax(output.logits, axis=-1))
        return Terms(output, batch, model_state, consistency, step.state.task_state)
