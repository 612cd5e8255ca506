"""Transforms of the weights: how much each example counts."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaug.errors import UsageError
from jaxaug.losses import stateless
from jaxaug.types import LossTransform, Terms


def focal(gamma: float = 2.0) -> LossTransform:
    """Focal loss: weight *= (1 - p)^gamma, p = sum_k targets_k softmax(logits)_k (Lin et al. 2017, equation 4).

    gamma >= 0; 0 changes nothing. The gradient flows through the weight, as in the paper.
    """
    if gamma < 0:
        raise UsageError(f"losses 'weights.focal': gamma must be at least 0, got {gamma}")

    def apply(terms: Terms) -> Terms:
        if gamma == 0:
            return terms
        probability = jnp.sum(terms.targets * jax.nn.softmax(terms.logits, axis=-1), axis=-1)
        # Rounding can leave p slightly above 1; (negative)^gamma would be NaN.
        miss = jnp.clip(1.0 - probability, jnp.finfo(probability.dtype).tiny, 1.0)
        return terms.replace(weight=terms.weight * miss**gamma)

    return stateless(apply)
