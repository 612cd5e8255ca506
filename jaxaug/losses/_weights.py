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

    The gradient flows through the weight, as in the paper.

    Args:
      gamma: how fast a sure example loses weight, at least 0; 0 changes nothing.

    Raises:
      UsageError: gamma is out of range.
    """
    if not gamma >= 0:
        raise UsageError(f"focal: gamma must be at least 0, got {gamma}")

    def apply(inputs: LossInputs) -> LossInputs:
        if gamma == 0:
            return inputs
        probability = jnp.sum(inputs.targets * jax.nn.softmax(inputs.logits, axis=-1), axis=-1)
        # Rounding can leave p slightly above 1; (negative)^gamma would be NaN.
        miss = jnp.clip(1.0 - probability, jnp.finfo(probability.dtype).tiny, 1.0)
        return inputs.replace(weight=inputs.weight * miss**gamma)

    return stateless(apply, name="focal", reads={"targets", "logits", "weight"}, writes={"weight"})


@register("loss")
def learned_weights(normalize: str = "batch") -> LossTransform:
    """AutoDO's weight of every training row (Gudovskiy et al., CVPR 2021): weight *= softplus(raw) / log 2.

    raw is per_example["weight"], [], which a search changes; it starts at 0, where the weight is 1. Examples without a
    label stay 0. Before `mixed_targets` each label counts with the weight of its own row, after it a row's weight
    counts for both.

    Args:
      normalize: "batch" divides by the mean over the examples of the batch that have a label, through which the
        gradient flows: what would only scale all weights gets none, so that they cannot act as a learning rate; "none"
        leaves the weights (as released).

    Raises:
      UsageError: another normalize.
    """
    if normalize not in ("batch", "none"):
        raise UsageError(f"learned_weights: normalize must be 'batch' or 'none', got {normalize!r}")

    def meta(num_classes: int) -> MetaParams:
        return MetaParams(per_example={"weight": jnp.zeros(())})

    def apply(inputs: LossInputs) -> LossInputs:
        known = inputs.batch.labelled
        raw = learned_or_initial(inputs.batch.per_example, "weight", meta(inputs.targets.shape[-1]).per_example)
        w = jnp.where(known, learned_weight(jnp.where(known, raw, 0.0).astype(inputs.weight.dtype)), 0.0)
        if normalize == "batch":
            mean = jnp.sum(w) / jnp.maximum(jnp.sum(known), 1)
            # Where no row has a label, or all weigh nothing, the quotient would have no finite derivative.
            w = w / jnp.where(mean > 1e-12, mean, 1.0)
        return inputs.replace(weight=inputs.weight * w)

    def results(meta: MetaParams, labels: jax.Array, num_classes: int) -> dict[str, jax.Array]:
        """{"weight": [B]}, 1 at the start, not normalised."""
        raw = meta.per_example.get("weight")
        return {} if raw is None else {"weight": learned_weight(raw)}

    return stateless(apply, meta, name="learned_weights", results=results, reads={"label", "weight"}, writes={"weight"})


def learned_weight(raw: jax.Array) -> jax.Array:
    """softplus(raw) / softplus(0): a weight above 0, and 1 at 0; any shape, kept.

    The released code writes 1.4427 for 1 / log 2, which makes its weights larger by a factor of 1 + 3.4e-6.
    """
    return jax.nn.softplus(raw) / math.log(2.0)
