"""Losses: a chain of transforms on (logits, targets, weight), then one cross-entropy.

The order is the config's: transforms of targets first, then of logits, then of weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxaug.find import call, find
from jaxaug.types import Batch, Hyper, LossTransform, Outputs, Progress, Terms, Tree, united


def cross_entropy(targets: jax.Array, logits: jax.Array) -> jax.Array:
    """-sum_k targets_k log softmax(logits)_k, per row: targets [B K], logits [B K] -> [B].

    targets need not be one-hot; a row of zeros gives 0.
    """
    return -jnp.sum(targets * jax.nn.log_softmax(logits, axis=-1), axis=-1)


def begin(out: Outputs, batch: Batch, hyper: Tree, progress: Progress) -> Terms:
    """The terms of plain cross-entropy: one-hot targets and weight 1, both 0 where the label is -1; extra 0."""
    num_classes = out.logits.shape[-1]
    targets = jax.nn.one_hot(batch.label, num_classes, dtype=out.logits.dtype)
    weight = (batch.label >= 0).astype(out.logits.dtype)
    return Terms(out.logits, targets, weight, jnp.zeros_like(weight), out, batch, hyper, progress)


def of_rows(terms: Terms) -> jax.Array:
    """weight * (cross_entropy(targets, logits) + extra) -> [B]: what each row adds to the loss, before the division."""
    return terms.weight * (cross_entropy(terms.targets, terms.logits) + terms.extra)


def reduce(terms: Terms) -> jax.Array:
    """The sum of `of_rows` / number of rows with a label -> []."""
    return jnp.sum(of_rows(terms)) / jnp.maximum(jnp.sum(terms.batch.label >= 0), 1)


def chain(*transforms: LossTransform) -> LossTransform:
    """Apply the transforms in order; the state is the tuple of theirs. An empty chain is plain cross-entropy."""

    def init(num_classes: int, num_features: int) -> tuple[Tree, ...]:
        return tuple(t.init(num_classes, num_features) for t in transforms)

    def apply(state: tuple[Tree, ...], terms: Terms) -> tuple[tuple[Tree, ...], Terms]:
        after = []
        for transform, before in zip(transforms, state, strict=True):
            updated, terms = transform.apply(before, terms)
            after.append(updated)
        return tuple(after), terms

    def hyper(num_classes: int) -> Hyper:
        return united([t.hyper(num_classes) for t in transforms if t.hyper is not None])

    return LossTransform(init, apply, hyper)


def stateless(apply, hyper: Callable[[int], Hyper] | None = None) -> LossTransform:
    """A transform `Terms -> Terms` that keeps no state."""
    return LossTransform(lambda num_classes, num_features: (), lambda state, terms: (state, apply(terms)), hyper)


def tuned(values: Mapping[str, Tree] | None, name: str, initial: Mapping[str, Tree]) -> Tree:
    """values[name], as a search left it (`Batch.own`, `Terms.hyper`); without a search it is initial[name]."""
    return (values or {}).get(name, initial[name])


def tuned_factor(terms: Terms, name: str) -> jax.Array:
    """exp of the number [] that all rows share under this name: what a search multiplies by, 1 without one."""
    return jnp.exp(tuned(terms.hyper, name, {name: jnp.zeros(())})).astype(terms.weight.dtype)


def build(config: ConfigDict) -> LossTransform:
    """The chain a config names.

    config.chain: addresses in order, for example ("targets.smooth", "isda.isda"); config.<last word>: the
    options of that transform. Raises UsageError for an unknown name or option.
    """
    addresses: Sequence[str] = config.chain
    transforms = []
    for address in addresses:
        options = config.get(address.split(".")[-1], {})
        transforms.append(call(f"losses {address!r}", find("losses", address), options=options))
    return chain(*transforms)
