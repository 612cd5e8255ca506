"""Virtual adversarial training (Miyato et al., T-PAMI 2019), with entropy minimisation (Grandvalet and Bengio 2004).

    loss = cross-entropy of labelled rows + weight * mean_B KL(p(x) || p(x + r)) + entropy * mean_B H(p(x))
    d <- unit(Hessian in r of KL(p(x) || p(x + r)) at r = 0, times d),   iterated from a random d;   r = epsilon d

p(x) in the divergence has no gradient. The paper takes the product from a difference over xi = 1e-6, which float32
images cannot resolve; here it is the derivative itself, its limit for xi -> 0.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxaug.core.registry import register
from jaxaug.tasks.semi_supervised.base import ConsistencyMethod, Terms, TrainingStep


@register("task", "vat")
@dataclasses.dataclass(eq=False)
class VirtualAdversarialTraining(ConsistencyMethod):
    """The probabilities of every row should not change in the direction in which they change the most.

    Args:
      unlabelled_batch_size: rows without a label in a step, beside the `batch_size` labelled ones.
      epoch_of: the stream whose rows an epoch goes through once, "unlabelled" or "labelled".
      weight: of the divergence and the entropy together, 0 or more (paper: 1).
      ramp_up: epochs in which the weight rises as exp(-5 (1 - t)^2); 0: it is full at once (paper).
      ramp_by: t counts completed epochs ("epoch") or their fractions ("step").
      supervised_over: the cross-entropy is divided by the "labelled" rows (paper), or by all of the "batch".
      pseudo_weight: of the chain of losses on unlabelled rows with their likeliest class, such as ISDA; 0 or more.
      isda_weight: of ISDA's consistency on unlabelled rows (`losses.isda_consistency`), which needs the loss "isda".
      isda_strength: lambda_0 of that; it grows with the steps.
      epsilon: length of the perturbation of the normalised image, above 0 (released for CIFAR-10: 8 with augmentation).
      iterations: of the power method, 1 or more.
      entropy: of the mean entropy, 0 or more; 1 for "VAT + EntMin".
    """

    supervised_over: str = "labelled"
    epsilon: float = 8.0
    iterations: int = 1
    entropy: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.epsilon > 0, "epsilon must be above 0")
        self._require(self.iterations >= 1, "iterations must be at least 1")
        self._require(self.entropy >= 0, "entropy must be at least 0")

    def terms(self, step: TrainingStep) -> Terms:
        """Every pass but the first leaves the network's statistics as they are, as released."""
        batch = step.view(0, step.batch)
        output, model_state = step.student(batch.image)
        log_p = jax.nn.log_softmax(output.logits, axis=-1)
        fixed = jax.lax.stop_gradient(log_p)

        def divergence(r: jax.Array) -> jax.Array:
            # The same dropout as before, or it would not be 0 for r = 0.
            q = jax.nn.log_softmax(step.student(batch.image + r)[0].logits, axis=-1)
            return jnp.sum(jnp.exp(fixed) * (fixed - q), axis=-1)

        d = unit(jax.random.normal(step.keys(1)[0], batch.image.shape, batch.image.dtype))
        gradient, here = jax.grad(lambda r: jnp.sum(divergence(r))), jnp.zeros_like(batch.image)
        for _ in range(self.iterations):
            d = unit(jax.jvp(gradient, (here,), (d,))[1])
        smooth = jnp.mean(divergence(self.epsilon * jax.lax.stop_gradient(d)))
        consistency = smooth - self.entropy * jnp.mean(jnp.sum(jnp.exp(log_p) * log_p, axis=-1))
        return Terms(
            output, self.pseudo_labelled(step, batch, jnp.exp(fixed)), model_state, consistency, step.state.task_state
        )


def unit(direction: jax.Array) -> jax.Array:
    """Each image [B H W C] divided by its length; zeros stay.

    The largest value is divided out first, so that gradients of 1e-30 do not vanish when squared.
    """
    axes = tuple(range(1, direction.ndim))
    largest = jnp.max(jnp.abs(direction), axis=axes, keepdims=True)
    scaled = direction / jnp.where(largest > 0, largest, 1.0)
    length = jnp.sqrt(jnp.sum(scaled**2, axis=axes, keepdims=True))
    return scaled / jnp.where(length > 0, length, 1.0)
