"""What a batch transform is, and what transforms share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxaug.core.errors import UsageError
from jaxaug.core.types import Batch, MetaParams, Progress, Tree
from jaxaug.policies.policy import Policy

BatchTransform = Callable[[jax.Array, Batch, Tree, Progress], Batch]


@dataclasses.dataclass(frozen=True, eq=False)  # hashed by identity, as its arrays cannot be
class LearnedTransform:
    """A part of which a search may change something: meta is that as it begins (see `types.Hyper`), of `policy`.

    It is called like any part, and finds its own again in `batch.per_example` and in `meta`, that is `Hyper.shared`.
    """

    apply: BatchTransform
    meta: MetaParams
    policy: Policy

    def __call__(self, key: jax.Array, batch: Batch, meta: Tree, progress: Progress) -> Batch:
        return self.apply(key, batch, meta, progress)


def visibility_of(batch: Batch) -> jax.Array:
    """[B H W] float32: `batch.visibility`, one for every pixel if nothing was hidden yet. For parts that hide something.

    Raises UsageError after a part that mixes rows: their shares would no longer be known apart.
    """
    if batch.mix_ratio is not None:
        raise UsageError(
            "parts that soften targets come before those that mix rows: change the order in config.augment"
        )
    return jnp.ones(batch.image.shape[:3], jnp.float32) if batch.visibility is None else batch.visibility


def moved_label(batch: Batch, move: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """`batch.label`, moved if it is a label map: move takes and gives [B H W 1] int32."""
    return move(batch.label[..., None])[..., 0] if batch.label.ndim == 3 else batch.label


def refuse_label_map(what: str, batch: Batch, instead: str) -> None:
    """For parts that make no sense for label maps. Raises UsageError if the batch has one; instead: what to do."""
    if batch.label.ndim == 3:
        raise UsageError(f"augment {what!r}: label maps are not supported, {instead}")


def closing_phase(progress: Progress, closing: float) -> jax.Array:
    """[] bool: is this one of the last epochs, that is in the last share `closing` (0..1) of the training?"""
    # Less than one epoch of 100,000, more than the rounding of a float32 next to 1.
    return progress.epoch >= 1.0 - closing - 1e-6
