"""The losses on plain arrays: what a training loop of one's own calls, whatever library holds the network."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.arguments import as_progress, described, refuse_tensors
from jaxaug.core.errors import UsageError
from jaxaug.core.types import Batch, LossInputs, LossTransform, MetaParams, ModelOutput, Tree
from jaxaug.losses.base import cross_entropy_inputs, has_class, mean_loss, per_example_loss

Shape = tuple[int, ...]


def apply(
    loss: LossTransform,
    loss_state: Tree,
    *,
    logits: Any,
    labels: Any,
    features: Any = None,
    kernel: Any = None,
    bias: Any = None,
    weights: Any = None,
    visible: Any = None,
    mix_ratio: Any = None,
    progress: Any = None,
    per_example: bool = False,
    meta: MetaParams | None = None,
) -> tuple[jax.Array, Tree]:
    """The loss of a batch and the new state of its transforms, under jit, grad, vmap, scan and shard_map alike.

    Examples may have any leading axes [...], such as [B], the pixels [B H W], or none inside `jax.vmap`. An example
    without a label enters no loss, statistic or divisor, whatever else it holds. The arithmetic is in float32 or
    better; gradients have the precision of the arrays. What is taken over a batch (mean, ISDA's statistics) is of all
    devices under jit with sharded arrays, and of one shard inside `jax.shard_map`, see `isda(axis_name=...)`.

    Args:
      loss: a chain, or one transform alone.
      loss_state: from `loss.init(num_classes=K, num_features=D)` or an earlier call; a pytree of arrays.
      logits: [... K] float.
      labels: [...] int, 0..K-1, any other number for none (`check_labels` tells of mistakes); or soft, [... K] float,
        all 0 for none.
      features: [... D] float, what the classifier works on. Only some transforms need it, as the kernel (ISDA).
      kernel: [D K] of the classifier, columns for classes.
      bias: [K] of the classifier, if logits = features @ kernel + bias: ISDA then saves a product where there are more
        classes than examples. Leave it out for logits that were made otherwise.
      weights: [...] what each example's loss is multiplied by; the divisor stays the number of labels.
      visible: [...] the share in 0..1 of each image that is still seen, or of each of its pixels [B H W], for
        `soft_targets`.
      mix_ratio: [B] or [] the share of an example where it was mixed with the one before it, `jnp.roll(x, 1, axis=0)`,
        for `mixed_targets`; examples [B].
      progress: [] the share of the training that is done, in 0..1, or a `Progress`; ISDA needs it unless its schedule
        is "constant".
      per_example: return each example's part instead of the mean.
      meta: what a search may change, per_example [...] and shared; None takes what `loss.meta` begins with.

    Returns:
      (value, loss_state): value [], the sum over the number of labels, or [...] the summands; float32 or better.

    Raises:
      UsageError: when traced, for arrays whose shapes or dtypes do not fit together, or of other sizes than the
        state; and for a progress outside 0..1 where its value is known.
    """
    _check_records(loss, meta)
    inputs, shape = _loss_inputs(
        ModelOutput(features, logits, kernel, bias), labels, weights, visible, mix_ratio, progress, meta
    )
    loss_state, inputs = loss.apply(loss_state, inputs)
    return (per_example_loss(inputs).reshape(shape) if per_example else mean_loss(inputs)), loss_state


def check_labels(labels: Any, num_classes: int, *, no_label: Iterable[int] = (-1,)) -> None:
    """Raises UsageError for labels that `apply` would pass over: neither in 0..num_classes-1 nor among no_label.

    Args:
      labels: [...] int, concrete: to be called outside jit, once for a data set.
      num_classes: K.
      no_label: the numbers that mark an example without a label on purpose, such as 255 for void pixels.
    """
    try:
        values, counts = np.unique(np.asarray(labels), return_counts=True)
    except jax.errors.TracerArrayConversionError:
        raise UsageError("check_labels: needs the values of the labels: call it outside jit") from None
    if not np.issubdtype(values.dtype, np.integer):
        raise UsageError(f"check_labels: labels must be integers, got {values.dtype}")
    wrong = ~((values >= 0) & (values < num_classes)) & ~np.isin(values, np.asarray(list(no_label)))
    if wrong.any():
        some = ", ".join(map(str, values[wrong][:5])) + (", ..." if wrong.sum() > 5 else "")
        raise UsageError(
            f"check_labels: {counts[wrong].sum()} of {counts.sum()} labels are outside 0..{num_classes - 1}: {some}"
        )


def _check_records(loss: Any, meta: Any) -> None:
    """Raises UsageError unless both are what `apply` takes."""
    if not isinstance(loss, LossTransform):
        remedy = f"use losses.create({loss!r})" if isinstance(loss, str) else "as losses.chain and losses.isda give it"
        raise UsageError(f"apply: loss must be a LossTransform, got {described(loss)}: {remedy}")
    if meta is not None and not isinstance(meta, MetaParams):
        raise UsageError(
            f"apply: meta must be losses.MetaParams(per_example, shared), as loss.meta gives it, got {described(meta)}"
        )


def _loss_inputs(
    output: ModelOutput, labels: Any, weights: Any, visible: Any, mix_ratio: Any, progress: Any, meta: MetaParams | None
) -> tuple[LossInputs, Shape]:
    """(the inputs of plain cross-entropy with all leading axes in one, these axes)."""
    output = _checked_output(output)
    *axes, num_classes = output.logits.shape
    shape, count = tuple(axes), math.prod(axes)
    label, soft = _label_and_target(labels, shape, num_classes)
    labelled = (label >= 0)[..., None]

    def rows(x: jax.Array | None) -> jax.Array | None:
        return None if x is None else jnp.where(labelled, x, 0).reshape(count, x.shape[-1])

    output = output.replace(features=rows(output.features), logits=rows(output.logits))
    batch = Batch(
        image=jnp.zeros((count, 0, 0, 0), jnp.uint8),
        label=label.reshape(count),
        index=jnp.arange(count),
        visibility=_visibility(visible, shape),
        mix_ratio=_mix_ratio(mix_ratio, shape),
        per_example=_per_example(meta, shape),
    )
    inputs = cross_entropy_inputs(
        output, batch, meta.shared if meta else None, None if progress is None else as_progress("apply", progress)
    )
    if soft is not None:
        inputs = inputs.replace(targets=soft.reshape(count, num_classes).astype(inputs.targets.dtype))
    if weights is not None:
        weights = _array("weights", weights, shape).reshape(count).astype(inputs.weight.dtype)
        inputs = inputs.replace(weight=jnp.where(batch.labelled, weights, 0.0))
    return inputs, shape


def _array(name: str, value: Any, shape: Shape | None = None) -> jax.Array:
    """value as an array of floats, of this shape if one is given."""
    refuse_tensors("apply", name, value, " (their derivatives do not reach torch)")
    try:
        array = jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"apply: {name} must be an array, got {type(value).__name__}: {error}") from None
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise UsageError(f"apply: {name} must be floats, got {array.dtype}")
    if shape is not None and array.shape != shape:
        raise UsageError(f"apply: {name} must be {list(shape)}, got {list(array.shape)}")
    return array


def _checked_output(output: ModelOutput) -> ModelOutput:
    """The arrays of a ModelOutput, of which features, kernel and bias may be None, if their shapes fit."""
    logits = _array("logits", output.logits)
    if not logits.ndim:
        raise UsageError("apply: logits must be [... K], got a single number")
    features, kernel, bias = output.features, output.kernel, output.bias
    *shape, num_classes = logits.shape
    if features is not None:
        features = _array("features", features)
        if list(features.shape[:-1]) != shape or not features.ndim:
            raise UsageError(
                f"apply: features must be [... D] and logits [... K] with the same leading axes, classes and features "
                f"last, got {list(features.shape)} and {list(logits.shape)}"
            )
    if kernel is not None:
        kernel = _array("kernel", kernel)
        depth = kernel.shape[:1] if features is None else features.shape[-1:]
        if kernel.shape != (*depth, num_classes):
            remedy = ": give its transpose" if kernel.shape == (num_classes, *depth) else ""
            raise UsageError(f"apply: kernel must be [D K], {[*depth, num_classes]}, got {list(kernel.shape)}{remedy}")
    if bias is not None:
        bias = _array("bias", bias, (num_classes,))
    return ModelOutput(features, logits, kernel, bias)


def _label_and_target(labels: Any, shape: Shape, num_classes: int) -> tuple[jax.Array, jax.Array | None]:
    """(labels [...] int32 with -1 for none, soft targets [... K] or None)."""
    refuse_tensors("apply", "labels", labels)
    if isinstance(labels, np.ndarray) and labels.dtype in (np.int64, np.uint64):
        # JAX has 32 bits, in which a number beyond them would come round to a class.
        labels = np.clip(labels.astype(np.int64), -1, num_classes)
    labels = jnp.asarray(labels)
    if jnp.issubdtype(labels.dtype, jnp.floating) and labels.shape == (*shape, num_classes):
        return jnp.where(jnp.any(labels != 0, axis=-1), jnp.argmax(labels, axis=-1), -1).astype(jnp.int32), labels
    if jnp.issubdtype(labels.dtype, jnp.integer) and labels.shape == shape:
        # Compared in a type that holds K; a number beyond it becomes negative, which is no label either.
        wide = labels.astype(int)
        return jnp.where(has_class(wide, num_classes), wide, -1).astype(jnp.int32), None
    remedy = ""
    if jnp.issubdtype(labels.dtype, jnp.integer) and labels.shape == (*shape, 1):
        remedy = ": give labels[..., 0]"
    elif jnp.issubdtype(labels.dtype, jnp.integer) and labels.shape == (*shape, num_classes):
        remedy = ": give one-hot labels as floats"
    raise UsageError(
        f"apply: for logits {[*shape, num_classes]} labels must be integers {list(shape)} or floats "
        f"{[*shape, num_classes]}, got {labels.dtype} {list(labels.shape)}{remedy}"
    )


def _visibility(visible: Any, shape: Shape) -> jax.Array | None:
    """[N 1 1] (or [B H W] for whole images) of which `Batch.visible_fraction` is the mean."""
    if visible is None:
        return None
    visible = _array("visible", visible)
    if len(shape) == 1 and visible.ndim == 3 and visible.shape[0] == shape[0]:
        return visible
    return _array("visible", visible, shape).reshape(math.prod(shape), 1, 1)


def _mix_ratio(ratio: Any, shape: Shape) -> jax.Array | None:
    """[B]."""
    if ratio is None:
        return None
    if len(shape) != 1:
        raise UsageError(f"apply: mix_ratio is for examples [B], which mix with the one before, got {list(shape)}")
    ratio = _array("mix_ratio", ratio)
    return jnp.broadcast_to(ratio, shape) if not ratio.ndim else _array("mix_ratio", ratio, shape)


def _per_example(meta: MetaParams | None, shape: Shape) -> dict[str, Tree] | None:
    """What a search may change of each example, with all leading axes in one."""

    def one(x: jax.Array) -> jax.Array:
        if x.shape[: len(shape)] != shape:
            raise UsageError(f"apply: meta.per_example must begin with axes {list(shape)}, got {list(x.shape)}")
        return x.reshape(math.prod(shape), *x.shape[len(shape) :])

    return jax.tree.map(one, meta.per_example) if meta else None
