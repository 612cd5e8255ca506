"""FixMatch (Sohn et al., NeurIPS 2020, equations 3 and 4).

    loss = 1/B sum_b H(y_b, p(weak x_b)) + weight * 1/(mu B) sum_b 1(max q_b >= threshold) H(argmax q_b, p(strong u_b))

q_b = p(weak u_b), without a gradient. Both sums go through the chain of losses, so that ISDA, or Soft Augmentation's
softening by what the strong view hides, are those of the pseudo-label. The average of the weights keeps
min(1 - 1/(t + 1), decay) of itself in step t.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxaug.core.registry import register
from jaxaug.core.types import TrainState, Tree
from jaxaug.optim.averaging import copied
from jaxaug.tasks.averaged import Averaged
from jaxaug.tasks.semi_supervised.base import (
    SemiSupervised,
    Terms,
    TrainingStep,
    head_of,
    joined,
    rows_of,
    tail_of,
    with_pseudo_labels,
)


@register("task", "fixmatch")
@dataclasses.dataclass(eq=False)
class FixMatch(Averaged, SemiSupervised):
    """A strong view should be given the class that the weak view is sure of; the average of the weights is evaluated.

    `config.augment.train` makes the weak views, and `config.augment.strong` what comes behind it in strong ones.

    Args:
      unlabelled_batch_size: rows without a label in a step, beside the `batch_size` labelled ones (paper: 7 to 1).
      epoch_of: the stream whose rows an epoch goes through once, "unlabelled" or "labelled".
      weight: of the unlabelled rows, 0 or more.
      threshold: how sure the weak view has to be, in [0, 1].
      decay: the share of the average of the parameters that a step keeps, in [0, 1).
    """

    strong_views = True

    weight: float = 1.0
    threshold: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.weight >= 0, "weight must be at least 0")
        self._require(0 <= self.threshold <= 1, "threshold must be in [0, 1]")

    def weights(self, step: TrainingStep) -> tuple[float, float, jax.Array | float]:
        """1 for the labelled rows, `weight` for the others."""
        return 1.0, self.weight, 0.0

    def init_state(self, params: Tree, model_state: Tree) -> Tree:
        """The average of the parameters, which begins as they do."""
        return {"params": copied(params)}

    def network(self, state: TrainState) -> tuple[Tree, Tree]:
        """The averaged parameters, with the statistics of the network that is trained."""
        return state.task_state["params"], state.model_state

    def sure(self, probability: jax.Array, task_state: Tree) -> jax.Array:
        """[U] bool: which pseudo-labels are used, by the probabilities [U K] of the weak views."""
        return jnp.max(probability, axis=-1) >= self.threshold

    def noted(self, probability: jax.Array, index: jax.Array, task_state: Tree) -> Tree:
        """The state after such probabilities [U K] of the rows with these indices [U]."""
        return task_state

    def terms(self, step: TrainingStep) -> Terms:
        """All views go through the network at once, so that BatchNorm sees them together, as released."""
        start = step.labelled
        weak = step.view(0, step.batch)
        strong = step.view(1, tail_of(step.batch, start), strong=True)
        everything = jnp.concatenate([weak.image, strong.image])
        output, model_state = step.student(everything)
        logits = output.logits[start : len(weak.image)]
        probability = jax.lax.stop_gradient(jax.nn.softmax(logits.astype(jnp.float32), axis=-1))
        used = self.sure(probability, step.state.task_state)
        label = jnp.where(used, jnp.argmax(probability, axis=-1), -1)
        seen = jnp.concatenate([jnp.arange(start), jnp.arange(len(weak.image), len(everything))])
        batch = with_pseudo_labels(joined(head_of(weak, start), strong), start, label)
        after = self.noted(probability, strong.index, step.state.task_state)
        return Terms(rows_of(output, seen), batch, model_state, jnp.zeros(()), after)
