"""Implicit semantic data augmentation (Wang et al., NeurIPS 2019; T-PAMI 2021).

Augmenting the features f of an example of class y infinitely often with noise from N(0, lambda Sigma_y), and bounding
the expected cross-entropy from above, is cross-entropy on logits that are shifted (equation 7):

    augmented[j] = logits[j] + 1/2 sigma2[y, j],   sigma2[c, j] = lambda (w_j - w_c)^T Sigma_c (w_j - w_c)

w_j is row j of the classifier. sigma2 depends on an example only through its class. The gradient reaches the classifier
through both w_j and w_y, and the features only through the logits; Sigma is a running statistic without gradient.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.target import target
from jaxaug.core.types import LossInputs, LossTransform, MetaParams, ModelOutput
from jaxaug.losses._feature_statistics import (
    FeatureStatistics,
    gather_examples,
    init_statistics,
    present_classes,
    update_statistics,
)
from jaxaug.losses.base import check_choices, check_sizes, learned_factor

_matmul = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
CHOICES = {
    "covariance": ("full", "diagonal"),
    "schedule": ("epoch", "step", "constant"),
    "order": ("update_then_use", "use_then_update"),
    "labels": ("dominant", "expected"),
}


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
    axis_name: str = "",
) -> LossTransform:
    """The ISDA loss as a transform of the logits, which needs features and kernel. Its state is `FeatureStatistics`.

    Args:
      strength: lambda_0, at least 0; the papers use 0.25 or 0.5 with the full covariance (CIFAR), 1 to 10 with the
        diagonal.
      covariance: "full", K D^2 numbers, for few classes; "diagonal", K D numbers (ImageNet, segmentation).
      schedule: lambda is strength times the share of the training that is done, counted in completed epochs ("epoch",
        as released for classification) or steps ("step"); or strength throughout ("constant").
      order: "update_then_use" adds the batch to the statistics first (as released), "use_then_update" afterwards.
      keep: what the old counts are multiplied by at each update, in (0, 1]; 1 averages over all examples since step 0
        (as released), less forgets with a memory of about 1 / (1 - keep) steps.
      labels: the class of an example with a soft target, "dominant" the largest; "expected" takes the mean of sigma2
        over the target instead. The statistics use the largest always.
      learned: a search may change lambda_0 to strength * exp(shared["strength"]), which starts at 0; strength above 0.
      axis_name: inside `jax.shard_map` or `vmap` the axis over whose shards the statistics are taken together; "" takes
        those of each shard alone. Under jit with sharded arrays they are of all devices without it.

    Raises:
      UsageError: an option is out of range; when used, arrays are missing or the state is that of other sizes.
    """
    check_choices("isda", CHOICES, covariance=covariance, schedule=schedule, order=order, labels=labels)
    if not 0 <= strength < math.inf or not 0 < keep <= 1:
        raise UsageError(f"isda: strength must be >= 0 and keep in (0, 1], got {strength} and {keep}")
    if learned and strength == 0:
        raise UsageError("isda: with learned=True strength must be above 0: a search multiplies it")

    def init(num_classes: int, num_features: int, **extras: Any) -> FeatureStatistics:
        check_sizes("isda", num_classes, num_features, least_features=1)
        return init_statistics(num_classes, num_features, full=covariance == "full")

    def meta(num_classes: int) -> MetaParams:
        return MetaParams(shared={"strength": jnp.zeros(())} if learned else {})

    def apply(state: FeatureStatistics, inputs: LossInputs) -> tuple[FeatureStatistics, LossInputs]:
        _check(state, inputs, covariance)
        if not len(inputs.logits):
            return state, inputs
        dominant = jnp.where(inputs.batch.labelled, jnp.argmax(inputs.targets, axis=-1), -1)
        counted = gather_examples(axis_name, inputs.output.features, dominant)
        after = update_statistics(state, *counted, keep)
        used = after if order == "update_then_use" else state
        done = _share_done(inputs, schedule)
        soft = inputs.targets if labels == "expected" else None
        if learned:
            done = done * learned_factor(inputs, "strength")
        return after, inputs.replace(logits=augmented_logits(inputs, used, dominant, strength * done, soft))

    reads = {"features", "kernel", "progress", "logits", "dominant"} | ({"targets"} if labels == "expected" else set())
    return LossTransform(init, apply, meta, "isda", reads=frozenset(reads), writes=frozenset({"logits"}))


def _check(state: FeatureStatistics, inputs: LossInputs, covariance: str) -> None:
    """Raises UsageError, when traced, if features or kernel are missing or the statistics are of other sizes."""
    out = inputs.output
    if out.features is None or out.kernel is None:
        raise UsageError("isda: needs features [... D] and the kernel [D K] of the classifier besides the logits")
    if not isinstance(state, FeatureStatistics):
        raise UsageError(f"isda: its state must be the FeatureStatistics of its init, got {type(state).__name__}")
    depth, classes = out.kernel.shape
    if state.mean.shape != (classes, depth):
        raise UsageError(
            f"isda: the statistics are of init(num_classes={state.mean.shape[0]}, num_features={state.mean.shape[1]}), "
            f"but there are {classes} classes and {depth} features"
        )
    if state.covariance.ndim != (3 if covariance == "full" else 2):
        raise UsageError(f"isda: covariance is {covariance!r}, but the statistics were begun with the other form")


def _share_done(inputs: LossInputs, schedule: str) -> jax.Array:
    """The share [] of the training that is done, as a schedule counts it."""
    if schedule == "constant":
        return jnp.ones(())
    if inputs.progress is None:
        raise UsageError(f"isda: schedule={schedule!r} needs progress, the share of the training that is done")
    return getattr(inputs.progress, schedule)


def augmented_logits(
    inputs: LossInputs, statistics: FeatureStatistics, labels: jax.Array, strength: jax.Array, soft: jax.Array | None
) -> jax.Array:
    """logits + 1/2 sigma2, in the precision of the logits.

    The form is chosen by shape: a table [K K] where that is smaller (K <= B), or one of the batch's classes where the
    covariance is full; else two products of [B D] and [D K], which is all that ISDA adds to a step (three where the
    bias is not known). No [B K D] array and no [D D] gather for each example is made.

    Args:
      inputs: logits [B K], features [B D], kernel [D K], and the bias [K] or None. A bias promises that
        logits = features @ kernel + bias, up to what earlier transforms have added.
      statistics: of K classes and D features.
      labels: [B] int; the logits of -1 stay as they are.
      strength: [] lambda; may be traced.
      soft: [B K] to take the mean of sigma2 over, or None for that of the label.

    Returns:
      [B K].
    """
    out, known = inputs.output, labels >= 0
    rows, columns = out.logits.shape
    dtype = inputs.logits.dtype
    strength, given = jnp.asarray(strength, dtype), jax.lax.stop_gradient(statistics.covariance).astype(dtype)
    # sigma2 does not change when every w_j moves by the same vector. Taking out the mean keeps the expanded
    # square exact in float32 when the rows are close together or share an offset.
    center = jax.lax.stop_gradient(jnp.mean(out.kernel, axis=1))
    weights = out.kernel - center[:, None]
    if given.ndim == 2 and columns > rows:
        scale, cross, constant = _diagonal_factors(given, weights, labels, strength * known[:, None], soft)
        second = 0.5 * (_matmul(scale, weights**2) + constant)
        if out.bias is None:
            return inputs.logits - _matmul(cross, weights) + second
        logits = _fused(out, weights, center, cross, second)
        # The fused form starts from the features; it must not undo a transform that came before it.
        return logits if inputs.logits is out.logits else logits + (inputs.logits - out.logits)
    if given.ndim == 2:
        table, row_of = _diagonal_table(weights.T, given), labels
    else:
        mass = jnp.zeros(columns, dtype).at[labels].add(known)
        classes, number = present_classes(mass if soft is None else jnp.ones(columns))
        classes = classes if soft is not None else classes[: min(rows, columns)]
        # Keeping the products of K classes takes K x K x D numbers: only where that is less than B x K x D.
        # As far as shard_map knows this zero differs between shards. So do all numbers in the loop then, and their
        # derivatives are summed over the shards after it, not in a branch that some of them do not take.
        zero = (0 * jnp.sum(labels)).astype(dtype)
        table = _full_table(columns < rows, weights.T + zero, given, classes, number)
        place = jnp.arange(len(classes), dtype=jnp.int32)
        row_of = jnp.zeros(columns, jnp.int32).at[classes].set(place)[labels]
    shift = table[row_of] if soft is None else _matmul(soft, table)
    return inputs.logits + 0.5 * strength * jnp.where(known[:, None], shift, 0.0)


def _diagonal_table(weights: jax.Array, covariance: jax.Array) -> jax.Array:
    """sigma2 / lambda [K K] for weights [K D] and a diagonal covariance [K D]."""
    cross = covariance * weights
    own = jnp.sum(cross * weights, axis=-1, keepdims=True)
    table = _matmul(covariance, (weights**2).T) - 2.0 * _matmul(cross, weights.T) + own
    return jnp.where(jnp.eye(len(table), dtype=bool), 0.0, table)


def _diagonal_factors(
    covariance: jax.Array, weights: jax.Array, labels: jax.Array, strength: jax.Array, soft: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(s [B D], s w_y [B D], s w_y^2 summed [B 1]) of the expanded square, s = lambda Sigma_y.

    covariance [K D], weights [D K], strength [B 1]: 0 for an example that is not augmented.
    """
    if soft is None:
        scale, own = strength * covariance[labels], _columns(weights, labels)
        return scale, scale * own, jnp.sum(scale * own**2, axis=-1, keepdims=True)
    scale, cross = strength * _matmul(soft, covariance), strength * _matmul(soft, covariance * weights.T)
    constant = strength * _matmul(soft, jnp.sum(covariance * weights.T**2, axis=-1, keepdims=True))
    return scale, cross, constant


def _columns(weights: jax.Array, labels: jax.Array) -> jax.Array:
    """Columns of weights [D K] as rows [B D], one for each of labels [B].

    The derivative of such a gather fills [K D], which XLA's CPU backend then adds to a gradient [D K] across the
    memory, as slowly as it takes a product. There it is made in the gradient's own order instead.
    """
    on_one_cpu = target().platform == "cpu" and target().devices == 1
    return _columns_gathered_back(weights, labels) if on_one_cpu else weights.T[labels]


@jax.custom_jvp
def _columns_gathered_back(weights: jax.Array, labels: jax.Array) -> jax.Array:
    return weights.T[labels]


@_columns_gathered_back.defjvp
def _columns_derivative(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, Any]
) -> tuple[jax.Array, jax.Array]:
    """Written as a scatter of columns [D B], since its transpose, of which gradients are made, is a gather [D K]."""
    weights, labels = primals
    depth, classes = weights.shape
    rows = len(labels)
    # The first row of each class, which stands for all of them; past the end for a class without.
    first = jnp.full(classes, rows, jnp.int32).at[labels].min(jnp.arange(rows, dtype=jnp.int32))
    columns = jnp.zeros((depth, rows), weights.dtype).at[:, first].add(tangents[0], mode="drop")
    # Without the barrier XLA would read the gradient's rows across the memory again.
    columns = jax.lax.optimization_barrier(columns)
    return _columns_gathered_back(weights, labels), columns.T[first[labels]]


def _fused(out: ModelOutput, weights: jax.Array, center: jax.Array, cross: jax.Array, second: jax.Array) -> jax.Array:
    """The augmented logits [B K] as (f - s w_y) W^T + 1/2 s (W * W)^T: the logits cost no product of their own.

    weights [D K] are the kernel less center [D]; cross [B D] and second [B K] are the factors of the expanded square.
    """
    first = _matmul(out.features - cross, weights)
    return first + second + _matmul(out.features, center)[:, None] + out.bias


def _full_table(
    kept: bool, weights: jax.Array, covariance: jax.Array, classes: jax.Array, number: jax.Array
) -> jax.Array:
    """sigma2 / lambda [P K] for weights [K D], covariance [K D D], in the order of classes [P]; 0 after their number.

    A loop over the classes does 2 K D^2 operations for each; differences are taken first, since the expanded square
    costs as much and cancels. kept: its P products [K D] are kept for the derivative, which otherwise repeats them.
    """

    def row(weights: jax.Array, c: jax.Array) -> jax.Array:
        return _squares(weights - weights[c], covariance[c])

    def absent(weights: jax.Array, c: jax.Array) -> jax.Array:
        return 0.0 * weights[:, 0]  # zeros of the same kind as those of `row`

    def one_class(weights: jax.Array, p: jax.Array) -> jax.Array:
        # The loop has a fixed length, as no derivative in reverse passes another; absent classes cost it nothing.
        return jax.lax.cond(p < number, row, absent, weights, classes[p])

    one_class = one_class if kept else jax.checkpoint(one_class)
    return jax.lax.map(lambda p: one_class(weights, p), jnp.arange(len(classes)))


@jax.custom_jvp
def _squares(difference: jax.Array, covariance: jax.Array) -> jax.Array:
    """d^T Sigma d [K] for each row d of difference [K D] and a symmetric covariance [D D], a constant."""
    return jnp.sum(difference * _matmul(difference, covariance), axis=-1)


@_squares.defjvp
def _squares_derivative(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """2 d^T Sigma dd: with the product that the value has taken already, so that the first derivative takes none."""
    difference, covariance = primals
    product = _matmul(difference, covariance)
    return jnp.sum(difference * product, axis=-1), 2.0 * jnp.sum(product * tangents[0], axis=-1)
