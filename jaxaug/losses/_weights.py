"""Transforms of the weights: how much each example counts."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.types import LossInputs, LossTransform, MetaParams
from jaxaug.losses.base import learned_or_initial, stateless


@register("loss")
def focal(gamma: float = 2.0) -> LossTransform:
    """Focal loss: weight *= (1 - p)^gamma, p = sum_k targets_k softmax(logits)_k (Lin et al. 2017, equation 4).

    gamma >= 0; 0 changes nothing. The gradient flows through the weight, as in the paper.
    """
    if gamma < 0:
        raise UsageError(f"focal: gamma must be at least 0, got {gamma}")

    def apply(inputs: LossInputs) -> LossInputs:
        if gamma == 0:
            return inputs
        probability = jnp.sum(inputs.targets * jax.nn.softmax(inputs.logits, axis=-1), axis=-1)
        # Rounding can leave p slightly above 1; (negative)^gamma would be NaN.
        miss = jnp.clip(1.0 - probability, jnp.finfo(probability.dtype).tiny, 1.0)
        return inputs.replace(weight=inputs.weight * miss**gamma)

    return stateless(apply)


@register("loss")
def learned_weights(normalise: str = "batch") -> LossTransform:
    """AutoDO's weight of every training row (Gudovskiy et al., CVPR 2021): weight *= `learned` of own["weight"] [].

    It starts at 0, which is w = 1. normalise="batch" divides w by its mean over the rows of the batch that have a
    label, and the gradient flows through the mean: what would only scale all weights gets none, so that they cannot
    act as a learning rate. "none" leaves w as it is (as released). Rows without a label stay 0. Before
    `targets.mixed` each label counts with the weight of its own row, after it a row's weight counts for both.
    Raises UsageError for another normalise.
    """
    if normalise not in ("batch", "none"):
        raise UsageError(f"learned_weights: normalise must be 'batch' or 'none', got {normalise!r}")

    def meta(num_classes: int) -> MetaParams:
        return MetaParams(per_example={"weight": jnp.zeros(())})

    def apply(inputs: LossInputs) -> LossInputs:
        known = inputs.batch.label >= 0
        raw = learned_or_initial(inputs.batch.per_example, "weight", meta(inputs.targets.shape[-1]).per_example)
        w = jnp.where(known, learned_weight(jnp.where(known, raw, 0.0).astype(inputs.weight.dtype)), 0.0)
        if normalise == "batch":
            mean = jnp.sum(w) / jnp.maximum(jnp.sum(known), 1)
            # Where no row has a label, or all weigh nothing, the quotient would have no finite derivative.
            w = w / jnp.where(mean > 1e-12, mean, 1.0)
        return inputs.replace(weight=inputs.weight * w)

    return stateless(apply, meta)


def learned_weight(raw: jax.Array) -> jax.Array:
    """softplus(raw) / softplus(0): a weight above 0, and 1 at 0; any shape, kept.

    The released code writes 1.4427 for 1 / log 2, which makes its weights larger by a factor of 1 + 3.4e-6.
    """
    return jax.nn.softplus(raw) / math.log(2.0)
