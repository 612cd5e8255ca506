"""Online label smoothing: the soft target of a class is what the model said of it in the epoch before."""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.types import LossInputs, LossTransform
from jaxaug.losses.base import check_sizes


class ClassAnswers(flax.struct.PyTreeNode):
    """table [K K]: the soft target of each class, in use; sums [K K], count [K]: of this one; epoch []: its number."""

    table: jax.Array
    sums: jax.Array
    count: jax.Array
    epoch: jax.Array


@register("loss")
def online_label_smoothing(hard: float = 0.5, *, axis_name: str = "") -> LossTransform:
    """Smooth each target towards the mean answer of its class in the epoch before (Zhang et al., TIP 2021).

    target = hard target + (1 - hard) S_label, where S_k is the mean softmax over the examples of class k that were
    answered rightly in the last epoch (equations 4 to 6), and 1 / K for a class without such an example and in the
    first epoch. It reads the label, so it comes before transforms that mix or learn targets. Examples without a label
    stay 0.

    Args:
      hard: the part of a target that stays, in [0, 1]; 0.5 in the paper.
      axis_name: inside `jax.shard_map` the axis over whose shards the answers are taken together; "" takes those of
        each shard alone. Under jit with sharded arrays they are of all devices without it.

    Raises:
      UsageError: hard is out of range; when used, a progress that does not tell the number of epochs.
    """
    if not 0.0 <= hard <= 1.0:
        raise UsageError(f"online_label_smoothing: hard must be in [0, 1], got {hard}")

    def init(num_classes: int, num_features: int = 0, **extras: Any) -> ClassAnswers:
        check_sizes("online_label_smoothing", num_classes, num_features)
        zeros = jnp.zeros((num_classes, num_classes))
        return ClassAnswers(zeros + 1.0 / num_classes, zeros, jnp.zeros(num_classes), jnp.zeros((), jnp.int32))

    def apply(state: ClassAnswers, inputs: LossInputs) -> tuple[ClassAnswers, LossInputs]:
        state = _turned(state, _epoch(inputs))
        sums, count = _answers(inputs, axis_name)
        label, dtype = inputs.batch.label, inputs.targets.dtype
        soft = jnp.where(inputs.batch.labelled[:, None], state.table[label], 0.0).astype(dtype)
        state = state.replace(sums=state.sums + sums, count=state.count + count)
        return state, inputs.replace(targets=hard * inputs.targets + (1.0 - hard) * soft)

    reads, writes = frozenset({"label", "logits", "targets", "progress"}), frozenset({"targets", "dominant"})
    return LossTransform(init, apply, name="online_label_smoothing", reads=reads, writes=writes)


def _epoch(inputs: LossInputs) -> jax.Array:
    """The number [] of the epoch, from 0."""
    progress = inputs.progress
    if progress is None or progress.epochs is None:
        raise UsageError(
            "online_label_smoothing: progress must tell the epochs: "
            "losses.Progress(step=done, epoch=done, epochs=number)"
        )
    # Progress within an epoch counts as its beginning; a float32 next to a whole number may have been rounded down.
    return jnp.floor(progress.epoch * progress.epochs + 1e-3).astype(jnp.int32)


def _turned(state: ClassAnswers, epoch: jax.Array) -> ClassAnswers:
    """In a new epoch the answers of the last one come into use."""
    new, known = epoch > state.epoch, state.count[:, None] > 0
    mean = jnp.where(known, state.sums / jnp.maximum(state.count[:, None], 1.0), 1.0 / len(state.count))
    return ClassAnswers(
        table=jnp.where(new, mean, state.table),
        sums=jnp.where(new, 0.0, state.sums),
        count=jnp.where(new, 0.0, state.count),
        epoch=jnp.maximum(epoch, state.epoch),
    )


def _answers(inputs: LossInputs, axis_name: str) -> tuple[jax.Array, jax.Array]:
    """The softmax of the rightly answered examples, summed by class [K K], and how many they are [K]."""
    logits = jax.lax.stop_gradient(inputs.logits).astype(jnp.float32)
    label, num_classes = inputs.batch.label, logits.shape[-1]
    right = inputs.batch.labelled & (jnp.argmax(logits, axis=-1) == label)
    answers = jnp.where(right[:, None], jax.nn.softmax(logits, axis=-1), 0.0)
    sums = jnp.zeros((num_classes, num_classes)).at[label].add(answers)
    count = jnp.zeros(num_classes).at[label].add(right)
    return jax.lax.psum((sums, count), axis_name) if axis_name else (sums, count)
