"""Implicit semantic data augmentation (Wang et al., NeurIPS 2019; T-PAMI 2021).

Augmenting the features f of a row of class y infinitely often with noise from N(0, lambda Sigma_y), and bounding
the expected cross-entropy from above, is cross-entropy on logits that are shifted (equation 7):

    augmented[j] = logits[j] + 1/2 sigma2[y, j],   sigma2[c, j] = lambda (w_j - w_c)^T Sigma_c (w_j - w_c)

w_j is row j of the classifier. sigma2 depends on a row only through its class. The gradient reaches the classifier
through both w_j and w_y, and the features only through the logits; Sigma is a running statistic without gradient.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.types import LossInputs, LossTransform, MetaParams, ModelOutput
from jaxaug.losses._feature_statistics import FeatureStatistics, init_statistics, present_classes, update_statistics
from jaxaug.losses.base import learned_factor

_matmul = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


@register("loss")
def isda(
    strength: float = 0.5,
    covariance: str = "full",
    *,
    schedule: str = "epoch",
    order: str = "update_then_use",
    keep: float = 1.0,
    labels: str = "dominant",
    learned: bool = False,
) -> LossTransform:
    """The ISDA loss as a transform of the logits. Its state is `ClassStatistics`.

    strength: lambda_0 >= 0. The papers use 0.25 or 0.5 with the full covariance (CIFAR), 1 to 10 with the diagonal.
    covariance: "full", K D^2 numbers, for few classes; "diagonal", K D numbers (ImageNet, segmentation).
    schedule: lambda = strength * the share of the training that is done, counted in completed epochs ("epoch", the
        released classification code) or steps ("step"), or lambda = strength throughout ("constant").
    order: "update_then_use" adds the batch to the statistics first (as released), "use_then_update" afterwards.
    keep: 1 averages over all rows since step 0 (as released); less forgets, see `class_statistics.update`.
    labels: where targets are soft (mixing, smoothing), a row's class is its largest target; "expected" instead
        takes the mean of sigma2 over the classes the targets name. The statistics use the largest target always.
    learned: a search may change lambda_0 to strength * exp(shared["strength"]), which starts at 0; strength > 0.
    """
    for what, value, valid in (
        ("covariance", covariance, ("full", "diagonal")),
        ("schedule", schedule, ("epoch", "step", "constant")),
        ("order", order, ("update_then_use", "use_then_update")),
        ("labels", labels, ("dominant", "expected")),
    ):
        if value not in valid:
            raise UsageError(f"isda: {what} must be one of {valid}, got {value!r}")
    if strength < 0 or not 0 < keep <= 1:
        raise UsageError(f"isda: strength must be >= 0 and keep in (0, 1], got {strength} and {keep}")
    if learned and strength == 0:
        raise UsageError("isda: with learned=True strength must be above 0: a search multiplies it")

    def init(num_classes: int, num_features: int) -> FeatureStatistics:
        return init_statistics(num_classes, num_features, full=covariance == "full")

    def meta(num_classes: int) -> MetaParams:
        return MetaParams(shared={"strength": jnp.zeros(())} if learned else {})

    def apply(state: FeatureStatistics, inputs: LossInputs) -> tuple[FeatureStatistics, LossInputs]:
        dominant = jnp.where(inputs.batch.label >= 0, jnp.argmax(inputs.targets, axis=-1), -1)
        after = update_statistics(state, inputs.output.features, dominant, keep)
        used = after if order == "update_then_use" else state
        done = jnp.ones(()) if schedule == "constant" else getattr(inputs.progress, schedule)
        soft = inputs.targets if labels == "expected" else None
        if learned:
            done = done * learned_factor(inputs, "strength")
        return after, inputs.replace(logits=augmented_logits(inputs, used, dominant, strength * done, soft))

    return LossTransform(init, apply, meta)


def augmented_logits(
    inputs: LossInputs, statistics: FeatureStatistics, labels: jax.Array, strength: jax.Array, soft: jax.Array | None
) -> jax.Array:
    """logits + 1/2 sigma2 [B K] for labels [B] (rows of -1 stay as they are), or the mean over `soft` [B K].

    The form is chosen by shape: a [K K] table where that is smaller (K <= B) or the covariance is full; else two
    products of [B D] and [D K], which is all that ISDA adds to a step. No [B K D] array and no
    per-row [D D] gather is made. strength may be traced.
    """
    out, known = inputs.output, labels >= 0
    rows, columns = out.logits.shape
    # sigma2 does not change when every w_j moves by the same vector. Taking out the mean keeps the expanded
    # square exact in float32 when the rows are close together or share an offset.
    centre = jax.lax.stop_gradient(jnp.mean(out.kernel, axis=1))
    weights = out.kernel - centre[:, None]
    if statistics.covariance.ndim == 2 and columns > rows:
        logits = _fused(out, statistics.covariance, weights, centre, labels, strength * known[:, None], soft)
        # The fused form starts from the features; it must not undo a transform that came before it.
        return logits if inputs.logits is out.logits else logits + (inputs.logits - out.logits)
    if statistics.covariance.ndim == 2:
        table = _diagonal_table(weights.T, statistics.covariance)
    else:
        mass = jax.ops.segment_sum(known.astype(weights.dtype), jnp.where(known, labels, columns), columns)
        classes, number = present_classes(mass if soft is None else jnp.ones(columns))
        classes = classes if soft is not None else classes[: min(rows, columns)]
        covariance = jax.lax.stop_gradient(statistics.covariance)
        # Keeping the products of K classes takes K x K x D numbers: only where that is less than B x K x D.
        table = _full_table(columns < rows, weights.T, covariance, classes, number)
    shift = table[labels] if soft is None else _matmul(soft, table)
    return inputs.logits + 0.5 * strength * jnp.where(known[:, None], shift, 0.0)


def _diagonal_table(weights: jax.Array, covariance: jax.Array) -> jax.Array:
    """sigma2 / lambda [K K] for weights [K D] and a diagonal covariance [K D]."""
    cross = covariance * weights
    own = jnp.sum(cross * weights, axis=-1, keepdims=True)
    table = _matmul(covariance, (weights**2).T) - 2.0 * _matmul(cross, weights.T) + own
    return jnp.where(jnp.eye(len(table), dtype=bool), 0.0, table)


def _fused(out: ModelOutput, covariance, weights, centre, labels, strength, soft) -> jax.Array:
    """The augmented logits [B K] in two products: (f - s w_y) W^T + 1/2 s (W * W)^T, with s = lambda Sigma_y [B D].

    weights [D K], strength [B 1]: 0 for a row that is not augmented.
    """
    if soft is None:
        scale, own = strength * covariance[labels], jnp.take(weights, labels, axis=1, mode="clip").T
        cross, constant = scale * own, jnp.sum(scale * own**2, axis=-1, keepdims=True)
    else:
        scale, cross = strength * _matmul(soft, covariance), strength * _matmul(soft, covariance * weights.T)
        constant = strength * _matmul(soft, jnp.sum(covariance * weights.T**2, axis=-1, keepdims=True))
    first = _matmul(out.features - cross, weights)
    second = _matmul(scale, weights**2)
    return first + 0.5 * (second + constant) + _matmul(out.features, centre)[:, None] + out.bias


def _full_table(kept: bool, weights, covariance, classes, number) -> jax.Array:
    """sigma2 / lambda [K K] for weights [K D], covariance [K D D]: rows classes[:number] of classes [P], others 0.

    A loop over the classes does 2 K D^2 operations for each; differences are taken first, since the expanded square
    costs as much and cancels. kept: its P products [K D] are kept for the derivative, which otherwise repeats them.
    """

    def row(weights, c):
        return _squares(weights - weights[c], covariance[c])

    def one_class(weights, p):
        # The loop has a fixed length, as no derivative in reverse passes another; absent classes cost it nothing.
        return jax.lax.cond(p < number, row, lambda weights, c: jnp.zeros_like(weights[:, 0]), weights, classes[p])

    one_class = one_class if kept else jax.checkpoint(one_class)
    size, columns = len(classes), len(weights)
    rows = jax.lax.map(lambda p: one_class(weights, p), jnp.arange(size))
    at = jnp.where(jnp.arange(size) < number, classes, columns)
    return jnp.zeros((columns, columns), weights.dtype).at[at].set(rows, mode="drop")


@jax.custom_jvp
def _squares(difference: jax.Array, covariance: jax.Array) -> jax.Array:
    """d^T Sigma d [K] for each row d of difference [K D] and a symmetric covariance [D D], a constant."""
    return jnp.sum(difference * _matmul(difference, covariance), axis=-1)


@_squares.defjvp
def _squares_derivative(primals, tangents):
    """2 d^T Sigma dd: with the product that the value has taken already, so that the first derivative takes none."""
    difference, covariance = primals
    product = _matmul(difference, covariance)
    return jnp.sum(difference * product, axis=-1), 2.0 * jnp.sum(product * tangents[0], axis=-1)
