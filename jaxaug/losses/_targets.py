"""Transforms of the targets: what the model is asked to say."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.types import LossInputs, LossTransform, MetaParams
from jaxaug.losses._soft_labels import describe_soft_labels, learned_soft_labels, low_rank_basis
from jaxaug.losses.base import finite_where_unused, learned_factor, learned_or_initial, stateless

# KL(softmax || targets) takes the logarithm of no less: it has to be finite for targets of 0, and float32 must hold it
# without cutting the way back of a learned label that has become small.
LEAST = 1e-30


@register("loss")
def learned_targets(smoothing: float = 0.1, rank: int = 0) -> LossTransform:
    """AutoDO's soft label of every training row (Gudovskiy et al., CVPR 2021), see `learned_soft_labels`.

    A search changes per_example["soft"], which begins at 0. The transform reads the labels and replaces the targets,
    so it comes first in a chain. Examples without a label stay 0.

    Args:
      smoothing: it begins as label smoothing by this, s / K to every class, in (0, 1): 0.1 in the paper, 0.05 as
        released.
      rank: 0 adds per_example["soft"], [K], to a row's logits; r in 1..K adds per_example["soft"], [r], times
        shared["soft_basis"], [r K], r numbers a row instead of K (ImageNet, r = 16: 82 MB instead of 5.1 GB).

    Raises:
      UsageError: an option is out of range.
    """
    if not 0.0 < smoothing < 1.0 or rank < 0:
        raise UsageError(
            "learned_targets: smoothing must be in (0, 1) and rank at least 0 (0: all classes), "
            f"got {smoothing} and {rank}"
        )

    def meta(num_classes: int) -> MetaParams:
        if rank > num_classes:
            raise UsageError(
                f"learned_targets: rank is {rank}, but there are {num_classes} classes; "
                "rank=0 changes each of them freely"
            )
        if rank:
            return MetaParams({"soft": jnp.zeros(rank)}, {"soft_basis": low_rank_basis(rank, num_classes)})
        return MetaParams({"soft": jnp.zeros(num_classes)})

    def apply(inputs: LossInputs) -> LossInputs:
        num_classes, dtype = inputs.targets.shape[-1], inputs.targets.dtype
        initial = meta(num_classes)
        own = learned_or_initial(inputs.batch.per_example, "soft", initial.per_example).astype(dtype)
        basis = learned_or_initial(inputs.meta, "soft_basis", initial.shared).astype(dtype) if rank else None
        return inputs.replace(targets=learned_soft_labels(own, inputs.batch.label, num_classes, smoothing, basis))

    def results(meta: MetaParams, labels: jax.Array, num_classes: int) -> dict[str, jax.Array]:
        """{"soft": the largest class [B], "soft_given", "soft_share": the shares of the given and of that class}."""
        own = meta.per_example.get("soft")
        if own is None:
            return {}
        soft = learned_soft_labels(own, labels, num_classes, smoothing, meta.shared.get("soft_basis"))
        return describe_soft_labels("soft", soft, labels)

    return stateless(
        apply, meta, name="learned_targets", results=results, reads={"label"}, writes={"targets", "dominant"}
    )


@register("loss")
def label_smoothing(amount: float = 0.1, *, over: str = "all") -> LossTransform:
    """Label smoothing: move a part of each target away from what it says now. Examples without a label stay 0.

    Args:
      amount: the part of a target that is moved, in [0, 1).
      over: "all" moves it to every class, the own included, amount / K each (Szegedy et al. 2016; PyTorch); "others" to
        the other classes only, amount / (K - 1) each, so that a one-hot target ends at exactly 1 - amount (the form in
        Soft Augmentation's released code).

    Raises:
      UsageError: an option is out of range.
    """
    if over not in ("all", "others") or not 0.0 <= amount < 1.0:
        raise UsageError(
            f"label_smoothing: amount must be in [0, 1) and over 'all' or 'others', got {amount}, {over!r}"
        )

    def apply(inputs: LossInputs) -> LossInputs:
        spread = jnp.mean(inputs.targets, axis=-1, keepdims=True) if over == "all" else _others(inputs.targets)
        return inputs.replace(targets=(1.0 - amount) * inputs.targets + amount * spread)

    return stateless(apply, name="label_smoothing", reads={"targets"}, writes={"targets"})


@register("loss")
def soft_targets(
    power: float = 2.0,
    threshold: float = 1.0,
    top: float = 1.0,
    floor: float = -1.0,
    share: str = "fraction",
    target: bool = True,
    weight: str = "sample",
    learned: bool = False,
) -> LossTransform:
    """Soft Augmentation (Liu et al., CVPR 2023): be as sure of an example as the visible part of its image allows.

    p = `confidence` of the visible share, which `soft_crop` and other transforms with `soften` leave in the batch.
    Examples without a label stay 0.

    Args:
      power: the exponent k of the paper's curve, above 0.
      threshold: the visible share from which on nothing is softened, at least 0.
      top: p of an image that is seen whole, in (0, 1].
      floor: p of an image of which nothing is seen, at most 1; below 0 it is chance, 1 / K.
      share: "fraction" takes the visible share as it is, "iou" the overlap of two boxes of which it is common.
      target: each class keeps p of its target, the rest goes to the other classes in equal parts: a one-hot target
        ends at p and (1 - p) / (K - 1).
      weight: "sample" multiplies an example's weight by its own p (the paper), "batch" all weights by the mean of p
        over the examples with a label (what the released code computes), "none" leaves them.
      learned: a search may change the power to power * exp(shared["softening"]), which starts at 0.

    Raises:
      UsageError: an option is out of range.
    """
    if share not in ("fraction", "iou") or weight not in ("sample", "batch", "none"):
        raise UsageError(
            "soft_targets: share must be 'fraction' or 'iou' and weight 'sample', 'batch' or 'none', "
            f"got {share!r} and {weight!r}"
        )
    if power <= 0 or threshold < 0 or not 0 < top <= 1 or floor > 1:
        raise UsageError(
            "soft_targets: power must be above 0, threshold at least 0, top in (0, 1] and floor at most 1 "
            f"(below 0: chance), got {power}, {threshold}, {top} and {floor}"
        )

    def meta(num_classes: int) -> MetaParams:
        return MetaParams(shared={"softening": jnp.zeros(())} if learned else {})

    def apply(inputs: LossInputs) -> LossInputs:
        known = inputs.batch.labelled
        seen = inputs.batch.visible_fraction.astype(inputs.targets.dtype)
        num_classes = inputs.targets.shape[-1]
        steep = power * learned_factor(inputs, "softening") if learned else power
        p = confidence(seen, num_classes, power=steep, threshold=threshold, top=top, floor=floor, share=share)
        factor = {
            "sample": p,
            "batch": jnp.sum(jnp.where(known, p, 0.0)) / jnp.maximum(jnp.sum(known), 1),
            "none": jnp.ones((), p.dtype),
        }[weight]
        targets = p[:, None] * inputs.targets + (1.0 - p[:, None]) * _others(inputs.targets)
        return inputs.replace(targets=targets if target else inputs.targets, weight=inputs.weight * factor)

    changed = {field for field, done in (("targets", target), ("weight", weight != "none")) if done}
    return stateless(apply, meta, name="soft_targets", reads={"visibility", *changed}, writes=changed)


def confidence(
    visible: jax.Array,
    num_classes: int,
    *,
    power: float | jax.Array = 2.0,
    threshold: float = 1.0,
    top: float = 1.0,
    floor: float = -1.0,
    share: str = "fraction",
) -> jax.Array:
    """How sure one may be of an image that is partly hidden.

    p = top - (top - floor) * ((threshold - v) / threshold)^power where v < threshold, else top. With
    threshold = top = 1 that is the paper's 1 - (1 - 1 / K) (1 - v)^k.

    Args:
      visible: the share in 0..1 of the image that is seen; any shape, kept.
      num_classes: K.
      power: above 0; may be traced.
      threshold: at least 0; 0 asks for a step there.
      top: in (0, 1]; at least floor is taken.
      floor: at most 1; below 0 it is chance, 1 / K.
      share: "fraction" takes v = visible; "iou" the overlap of two boxes of which this share is common,
        v = visible / (2 - visible).
    """
    v = visible / (2.0 - visible) if share == "iou" else visible
    floor = 1.0 / num_classes if floor < 0 else floor
    top = max(top, floor)
    # A threshold of 0 asks for a step there; 1e-10 is the released code's.
    threshold = max(threshold, 1e-10)
    return top - (top - floor) * jnp.clip((threshold - v) / threshold, 0.0, 1.0) ** power


@register("loss")
def mixed_targets() -> LossTransform:
    """Mix each row's targets and weight with those of the row before it, as `Batch.mix_ratio` says the images were.

    The row's loss becomes ratio * its own + (1 - ratio) * the other's, weights included (Zhang et al. 2018), so
    softening and smoothing come before this. A partner without a label gives no target and no weight; a row without one
    stays 0. Nothing happens if no transform mixed.
    """

    def apply(inputs: LossInputs) -> LossInputs:
        mix = inputs.batch.mix_ratio
        if mix is None:
            return inputs
        mix = mix.astype(inputs.weight.dtype)
        own, other = mix * inputs.weight, (1.0 - mix) * jnp.roll(inputs.weight, 1)
        weight = own + other
        # Targets mix in the ratio of the weighted shares, so that each label counts with the weight of its own row.
        part = jnp.where(weight > 0, own / jnp.where(weight > 0, weight, 1.0), mix)[:, None]
        targets = part * inputs.targets + (1.0 - part) * jnp.roll(inputs.targets, 1, axis=0)
        known = inputs.batch.labelled
        return inputs.replace(targets=jnp.where(known[:, None], targets, 0.0), weight=jnp.where(known, weight, 0.0))

    return stateless(
        apply,
        name="mixed_targets",
        reads={"mix_ratio", "targets", "weight"},
        writes={"targets", "dominant", "weight"},
    )


@register("loss")
def kl_divergence(symmetric: bool = False) -> LossTransform:
    """Report KL(s || p) instead of the cross-entropy, s = targets and p = softmax(logits): 0 for a perfect answer.

    That is the cross-entropy less the targets' entropy (0 log 0 = 0), so that the gradients of the logits stay as they
    are (Soft Augmentation's code). It comes after the other transforms of targets, the symmetric form after those of
    logits too. Examples without a label stay 0.

    Args:
      symmetric: 1/2 KL(s || p) + 1/2 KL(p || s) instead, with other gradients (AutoDO's paper; its code where labels
        are noisy or rare). KL(p || s) is infinite where a class has no target: log s counts as log 1e-30 there. A logit
        of -inf costs nothing in a class without a target, and infinitely much in one with a target, in both forms.
    """

    def apply(inputs: LossInputs) -> LossInputs:
        s = inputs.targets
        # The inner `where` keeps the derivative of log finite at 0.
        extra = jnp.sum(s * jnp.log(jnp.where(s > 0, s, 1.0)), axis=-1)
        if symmetric:
            log_p = jax.nn.log_softmax(inputs.logits, axis=-1)
            p = jnp.exp(log_p)
            other = jnp.sum(p * (finite_where_unused(log_p, p) - jnp.log(jnp.maximum(s, LEAST))), axis=-1)
            # The cross-entropy is added later: half of it has to go; of an infinite one nothing, for inf - inf is NaN.
            asked = jnp.where(jnp.isneginf(log_p), 0.0, log_p)
            extra = 0.5 * (extra + jnp.sum(s * asked, axis=-1) + other)
            extra = jnp.where(inputs.batch.labelled, extra, 0.0)
        return inputs.replace(extra=inputs.extra + extra)

    reads = {"targets", "extra", "logits"} if symmetric else {"targets", "extra"}
    return stateless(apply, name="kl_divergence", reads=reads, writes={"extra"})


def _others(targets: jax.Array) -> jax.Array:
    """[B K]: for each class the mean target of the other classes of its row; 0 if there is only one."""
    total = jnp.sum(targets, axis=-1, keepdims=True)
    return (total - targets) / max(targets.shape[-1] - 1, 1)
