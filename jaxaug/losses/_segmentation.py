"""Losses of label maps: every pixel is an example, and ISDA's statistics are those of the coarse maps.

A task for label maps hands over pixels as rows [P] = [B H W], logits brought to the size of the images, while
`LossInputs.output` keeps the maps [B h w ...] as the network made them, and `LossInputs.batch.image` says B, H and W.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.maps import resize_bilinear, resize_nearest
from jaxaug.core.registry import Slot, register
from jaxaug.core.types import LossInputs, LossTransform, ModelOutput
from jaxaug.losses._feature_statistics import FeatureStatistics, init_statistics, update_statistics
from jaxaug.losses._isda import augmented_logits
from jaxaug.losses.base import at_least_float32, check_choices, check_sizes, create, stateless

CHOICES = {
    "covariance": ("diagonal", "full"),
    "resolution": ("low", "full"),
    "order": ("update_then_use", "use_then_update"),
}


@register("loss")
def pixel_isda(
    strength: float = 7.5,
    covariance: str = "diagonal",
    *,
    resolution: str = "low",
    power: float = 1.0,
    order: str = "update_then_use",
    keep: float = 1.0,
) -> LossTransform:
    """The ISDA loss of label maps (Wang et al., T-PAMI 2021, and its code). Its state is `FeatureStatistics`.

    Statistics are those of the network's coarse maps, with the label maps brought to their size (nearest). Pixels
    without a label count in none, and their logits stay. lambda is strength * (the share of the steps that is
    done)^power.

    Args:
      strength: lambda_0, at least 0; 7.5 for Cityscapes.
      covariance: "diagonal" (as released), K D numbers; or "full", K D^2.
      resolution: "low" adds 1/2 sigma2 to the coarse logits, before they are brought to the size of the image (as
        released): near an edge a pixel then gets some of its neighbour's. "full" adds that of each pixel's own label.
      power: how lambda grows with the steps, above 0; 1 is a straight line (as released).
      order: "update_then_use" adds the batch to the statistics first (as released), "use_then_update" afterwards.
      keep: what the old counts are multiplied by at each step, in (0, 1]; 1 averages over all pixels ever seen.

    Raises:
      UsageError: an option is out of range; when used, images without label maps.
    """
    check_choices("pixel_isda", CHOICES, covariance=covariance, resolution=resolution, order=order)
    if not strength >= 0 or not power > 0 or not 0 < keep <= 1:
        raise UsageError(
            f"pixel_isda: strength must be at least 0, power above 0, keep in (0, 1], got {strength}, {power}, {keep}"
        )

    def init(num_classes: int, num_features: int, **extras: Any) -> FeatureStatistics:
        check_sizes("pixel_isda", num_classes, num_features, least_features=1)
        return init_statistics(num_classes, num_features, full=covariance == "full")

    def apply(state: FeatureStatistics, inputs: LossInputs) -> tuple[FeatureStatistics, LossInputs]:
        label, out = _label_maps("pixel_isda", inputs), inputs.output
        coarse = resize_nearest(label, out.features.shape[1:3])
        features = out.features.reshape(-1, out.features.shape[-1])
        after = update_statistics(state, features, coarse.reshape(-1), keep)
        used = after if order == "update_then_use" else state
        if inputs.progress is None:
            raise UsageError("pixel_isda: needs progress, the share of the training that is done")
        amount = strength * inputs.progress.step**power
        if resolution == "full":
            shift = _shift(inputs, used, label.reshape(-1), amount)
        else:
            shift = _shift(inputs, used, coarse.reshape(-1), amount).reshape(*coarse.shape, -1)
            shift = resize_bilinear(shift, label.shape[1:3]).reshape(inputs.logits.shape)
        return after, inputs.replace(logits=inputs.logits + shift)

    reads = frozenset({"features", "kernel", "progress", "logits", "label"})
    return LossTransform(init, apply, name="pixel_isda", reads=reads, writes=frozenset({"logits"}))


def _shift(inputs: LossInputs, statistics: FeatureStatistics, label: jax.Array, amount: jax.Array) -> jax.Array:
    """1/2 sigma2 [M K] of pixels with these labels [M], 0 for -1."""
    kernel, dtype = inputs.output.kernel, inputs.logits.dtype
    none = jnp.zeros((len(label), kernel.shape[1]), dtype)
    no_bias: Any = None
    output = ModelOutput(jnp.zeros((len(label), 0), dtype), none, kernel, no_bias)
    rows = inputs.replace(logits=none, output=output)
    return augmented_logits(rows, statistics, label, amount, None)


def _label_maps(name: str, inputs: LossInputs) -> jax.Array:
    """The labels [B H W] of the pixels.

    Raises:
      UsageError: rows are no pixels.
    """
    features, shape = inputs.output.features, inputs.batch.image.shape[:3]
    if features is None or features.ndim != 4 or inputs.batch.label.shape != (shape[0] * shape[1] * shape[2],):
        raise UsageError(f"{name}: is for label maps: use task 'segmentation' and a network such as 'fcn'")
    return inputs.batch.label.reshape(shape)


@register("loss")
def auxiliary(weight: float = 0.4, loss: Slot | tuple[Slot, ...] = ()) -> LossTransform:
    """Adds weight times the loss of the network's second head, for label maps; the last one of a chain.

    The second head has transforms of its own, with their own state: ISDA's statistics are those of its features.
    Without a second head, and in evaluations, nothing is added.

    Args:
      weight: at least 0; PSPNet's 0.4 (Zhao et al., CVPR 2017).
      loss: slots of its transforms, in order, such as ({"name": "pixel_isda"},).

    Raises:
      UsageError: a negative weight, or what `create` refuses.
    """
    if not weight >= 0:
        raise UsageError(f"auxiliary: weight must be at least 0, got {weight}")
    inner = create(loss)

    def init(num_classes: int, num_features: int, *, auxiliary_features: int = 0, **extras: Any) -> Any:
        return inner.init(num_classes, auxiliary_features or num_features, **extras)

    def apply(state: Any, inputs: LossInputs) -> tuple[Any, LossInputs]:
        second = inputs.output.auxiliary
        if second is None:
            return state, inputs
        shape = inputs.batch.image.shape[:3]
        logits = resize_bilinear(second.logits, shape[1:]).reshape(-1, second.logits.shape[-1])
        known = inputs.batch.labelled.astype(logits.dtype)
        targets = jax.nn.one_hot(inputs.batch.label, logits.shape[-1], dtype=logits.dtype)
        own = inputs.replace(
            logits=logits, targets=targets, weight=known, extra=jnp.zeros_like(known), output=at_least_float32(second)
        )
        state, own = inner.apply(state, own)
        # As further rows, so that what was done to the weights of the first head leaves the second alone. Their labels
        # are none, by which the divisor stays the number of pixels.
        joined = {
            name: jnp.concatenate([getattr(inputs, name), getattr(own, name)])
            for name in ("logits", "targets", "extra")
        }
        none = jnp.full_like(inputs.batch.label, -1)
        batch = inputs.batch.replace(label=jnp.concatenate([inputs.batch.label, none]))
        return state, inputs.replace(
            **joined, weight=jnp.concatenate([inputs.weight, weight * own.weight]), batch=batch
        )

    return LossTransform(init, apply, name="auxiliary", reads=inner.reads, writes=frozenset())


@register("loss")
def ohem(threshold: float = 0.6, least: float = 200_000) -> LossTransform:
    """Online hard example mining: the loss of those pixels alone whose class has a probability up to a threshold.

    Shrivastava et al., CVPR 2016, as segmentation code has it. The divisor becomes the number of pixels that count.

    Args:
      threshold: of the probability of a pixel's class, in (0, 1].
      least: so many pixels of the batch count at least, the hardest; below 1 a share of those with a label.

    Raises:
      UsageError: numbers out of range.
    """
    if not 0 < threshold <= 1 or not (0 <= least < 1 or least == int(least) > 0):
        raise UsageError(
            f"ohem: threshold must be in (0, 1], least a share below 1 or a number of pixels, got {threshold}, {least}"
        )

    def apply(inputs: LossInputs) -> LossInputs:
        known = inputs.batch.labelled
        count = jnp.sum(known)
        probability = jnp.sum(inputs.targets * jax.nn.softmax(inputs.logits, axis=-1), axis=-1)
        probability = jax.lax.stop_gradient(jnp.where(known, probability, jnp.inf))
        wanted = jnp.ceil(least * count).astype(int) if least < 1 else jnp.asarray(int(least))
        place = jnp.clip(jnp.minimum(wanted, count) - 1, 0)
        hard = known & (probability <= jnp.maximum(jnp.sort(probability)[place], threshold))
        share = count / jnp.maximum(jnp.sum(hard), 1)
        return inputs.replace(weight=jnp.where(hard, inputs.weight * share, 0.0))

    return stateless(apply, name="ohem", reads={"label", "logits", "targets", "weight"}, writes={"weight"})


@register("loss")
def class_weights(
    weights: tuple[float, ...] = (), *, by: str = "median_frequency", normalize: bool = True
) -> LossTransform:
    """Each example counts with the weight of its class: weight *= sum_k targets_k weight_k.

    Args:
      weights: K numbers, at least 0; () takes them from the training data, as `by` says.
      by: "median_frequency", the median share of a class over its own (after Eigen and Fergus 2015); or "inverse_log",
        1 / log(1.02 + its share) (ENet, Paszke et al. 2016).
      normalize: divide by the mean over the examples with a label, as PyTorch's weighted cross-entropy does.

    Raises:
      UsageError: a negative weight or another word; at init another number of weights, or no class_counts.
    """
    if by not in _SHARES:
        raise UsageError(f"class_weights: by must be one of {tuple(_SHARES)}, got {by!r}")
    weights = tuple(np.asarray(weights, np.float64).ravel().tolist())
    if not all(0 <= weight < math.inf for weight in weights):
        raise UsageError(f"class_weights: weights must be finite and at least 0, got {weights}")

    def init(num_classes: int, num_features: int = 0, *, class_counts: Any = None, **extras: Any) -> jax.Array:
        if weights:
            if len(weights) != num_classes:
                raise UsageError(f"class_weights: {num_classes} classes need as many weights, got {len(weights)}")
            return jnp.asarray(weights, float)
        if class_counts is None:
            raise UsageError("class_weights: give weights, or init(..., class_counts=...)")
        count = jnp.asarray(class_counts, float)
        return jnp.where(count > 0, _SHARES[by](count / jnp.maximum(jnp.sum(count), 1)), 0.0)

    def apply(state: jax.Array, inputs: LossInputs) -> tuple[jax.Array, LossInputs]:
        own = jnp.sum(inputs.targets * state.astype(inputs.targets.dtype), axis=-1)
        if normalize:
            known = inputs.batch.labelled
            mean = jnp.sum(jnp.where(known, own, 0.0)) / jnp.maximum(jnp.sum(known), 1)
            own = own / jnp.where(mean > 0, mean, 1.0)
        return state, inputs.replace(weight=inputs.weight * own)

    reads = frozenset({"targets", "weight", "label"})
    return LossTransform(init, apply, name="class_weights", reads=reads, writes=frozenset({"weight"}))


def _median_frequency(share: jax.Array) -> jax.Array:
    return jnp.nanmedian(jnp.where(share > 0, share, jnp.nan)) / jnp.where(share > 0, share, 1.0)


_SHARES = {"median_frequency": _median_frequency, "inverse_log": lambda share: 1.0 / jnp.log(1.02 + share)}


@register("loss")
def lovasz(factor: float = 1.0) -> LossTransform:
    """Adds factor times the Lovasz-softmax loss of the batch, a surrogate of 1 - mIoU (Berman et al., CVPR 2018).

    The mean over the classes that the batch has, equation 9 there; pixels without a label count nowhere.

    Args:
      factor: what the loss is multiplied by before it is added, at least 0.

    Raises:
      UsageError: a negative factor.
    """
    if not factor >= 0:
        raise UsageError(f"lovasz: factor must be at least 0, got {factor}")

    def apply(inputs: LossInputs) -> LossInputs:
        known, classes = inputs.batch.labelled, inputs.logits.shape[-1]
        probability = jax.nn.softmax(inputs.logits, axis=-1)

        def of_class(k: jax.Array) -> tuple[jax.Array, jax.Array]:
            own = known & (inputs.batch.label == k)
            error = jnp.where(known, jnp.abs(own - jnp.take(probability, k, axis=-1)), 0.0)
            order = jnp.argsort(-jax.lax.stop_gradient(error))
            return jnp.sum(error[order] * _jaccard_steps(own[order], known[order])), jnp.any(own)

        # One class at a time, for sorting all of them needs [P K] numbers several times over.
        values, present = jax.lax.map(jax.checkpoint(of_class), jnp.arange(classes))
        value = jnp.sum(jnp.where(present, values, 0.0)) / jnp.maximum(jnp.sum(present), 1)
        return inputs.replace(extra=inputs.extra + jnp.where(known, factor * value, 0.0))

    return stateless(apply, name="lovasz", reads={"label", "logits", "extra"}, writes={"extra"})


def _jaccard_steps(own: jax.Array, known: jax.Array) -> jax.Array:
    """What each pixel adds to 1 - IoU when the pixels [P], from the largest error on, become wrong one by one."""
    size = jnp.sum(own).astype(float)
    intersection = size - jnp.cumsum(own)
    union = size + jnp.cumsum(known & ~own)
    index = 1.0 - intersection / jnp.maximum(union, 1.0)
    return jnp.diff(index, prepend=0.0)
