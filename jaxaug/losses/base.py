"""Losses: a chain of transforms on (logits, targets, weight), then one cross-entropy.

The order is the config's: transforms of targets first, then of logits, then of weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from jaxaug.core.registry import Slot, instantiate
from jaxaug.core.types import (
    Batch,
    LossInputs,
    LossTransform,
    MetaParams,
    ModelOutput,
    Progress,
    Tree,
    merge_meta_params,
)


def cross_entropy(targets: jax.Array, logits: jax.Array) -> jax.Array:
    """-sum_k targets_k log softmax(logits)_k, per row: targets [B K], logits [B K] -> [B].

    targets need not be one-hot; a row of zeros gives 0.
    """
    return -jnp.sum(targets * jax.nn.log_softmax(logits, axis=-1), axis=-1)


def cross_entropy_inputs(out: ModelOutput, batch: Batch, meta: Tree, progress: Progress) -> LossInputs:
    """The inputs of plain cross-entropy: one-hot targets and weight 1, both 0 where the label is -1; extra 0."""
    num_classes = out.logits.shape[-1]
    targets = jax.nn.one_hot(batch.label, num_classes, dtype=out.logits.dtype)
    weight = (batch.label >= 0).astype(out.logits.dtype)
    return LossInputs(out.logits, targets, weight, jnp.zeros_like(weight), out, batch, meta, progress)


def per_example_loss(inputs: LossInputs) -> jax.Array:
    """weight * (cross_entropy(targets, logits) + extra) -> [B]: what each row adds to the loss, before the division."""
    return inputs.weight * (cross_entropy(inputs.targets, inputs.logits) + inputs.extra)


def mean_loss(inputs: LossInputs) -> jax.Array:
    """The sum of `of_rows` / number of rows with a label -> []."""
    return jnp.sum(per_example_loss(inputs)) / jnp.maximum(jnp.sum(inputs.batch.label >= 0), 1)


def chain(*transforms: LossTransform) -> LossTransform:
    """Apply the transforms in order; the state is the tuple of theirs. An empty chain is plain cross-entropy."""

    def init(num_classes: int, num_features: int) -> tuple[Tree, ...]:
        return tuple(t.init(num_classes, num_features) for t in transforms)

    def apply(state: tuple[Tree, ...], inputs: LossInputs) -> tuple[tuple[Tree, ...], LossInputs]:
        after = []
        for transform, before in zip(transforms, state, strict=True):
            updated, inputs = transform.apply(before, inputs)
            after.append(updated)
        return tuple(after), inputs

    def meta(num_classes: int) -> MetaParams:
        return merge_meta_params([t.meta(num_classes) for t in transforms if t.meta is not None])

    return LossTransform(init, apply, meta)


def stateless(apply, meta: Callable[[int], MetaParams] | None = None) -> LossTransform:
    """A transform `Terms -> Terms` that keeps no state."""
    return LossTransform(lambda num_classes, num_features: (), lambda state, inputs: (state, apply(inputs)), meta)


def learned_or_initial(values: Mapping[str, Tree] | None, name: str, initial: Mapping[str, Tree]) -> Tree:
    """values[name], as a search left it (`Batch.per_example`, `Terms.meta`); without a search it is initial[name]."""
    return (values or {}).get(name, initial[name])


def learned_factor(inputs: LossInputs, name: str) -> jax.Array:
    """exp of the number [] that all rows share under this name: what a search multiplies by, 1 without one."""
    return jnp.exp(learned_or_initial(inputs.meta, name, {name: jnp.zeros(())})).astype(inputs.weight.dtype)


def create(slots: Sequence[Slot]) -> LossTransform:
    """The chain of the transforms that slots name, in order, for example ("label_smoothing", {"name": "isda"}).

    Raises:
      UsageError: an unknown name or option, with what is close.
    """
    return chain(*(instantiate("loss", slot) for slot in slots))
