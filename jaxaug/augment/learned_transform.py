"""A policy that a search may change, as a batch transform."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxaug.augment.transform import MOVES, VISIBILITY, LearnedTransform
from jaxaug.core.errors import UsageError
from jaxaug.core.types import Batch, MetaParams, Progress, Tree
from jaxaug.policies.learnable import NAME, initial_offsets, learned_policy
from jaxaug.policies.policy import Policy

SHARINGS = ("", "shared", "per_row")


def learned_policy_transform(
    name: str,
    policy: Policy,
    learned: str,
    augment: Callable[[jax.Array, Batch, Policy, jax.Array], Batch],
    *,
    scale: str = "any",
    reads: frozenset[str] = MOVES | VISIBILITY,
    writes: frozenset[str] = MOVES,
    keeps_shares: bool = False,
) -> LearnedTransform:
    """The transform of a policy that a search may change.

    It begins with `initial_offsets`, also where a batch comes without any.

    Args:
      name: of the transform.
      policy: with which the search begins.
      learned: "shared", one policy for all rows, or "per_row", one for each training row.
      augment: (key, batch, policy, rows [B] of that policy) -> Batch.
      scale: see `BatchTransform`.
      reads: see `BatchTransform`.
      writes: see `BatchTransform`.
      keeps_shares: see `BatchTransform`.

    Raises:
      UsageError: another word for `learned`.
    """
    if learned not in SHARINGS[1:]:
        raise UsageError(f"{name}: learned must be one of {SHARINGS}, got {learned!r}")
    begun = {NAME: initial_offsets(policy)}
    per_row = learned == "per_row"

    def apply(key: jax.Array, batch: Batch, shared: Tree, progress: Progress) -> Batch:
        found = (batch.per_example if per_row else shared) or {}
        offsets = found.get(NAME, begun[NAME])
        return augment(key, batch, learned_policy(policy, offsets), jnp.arange(len(batch.image)))

    def results(meta: MetaParams, labels: jax.Array, num_classes: int) -> dict[str, jax.Array]:
        offsets = meta.per_example.get(NAME, {}) if per_row else {}
        return {field: jnp.asarray(offset) for field, offset in offsets.items()}

    meta = MetaParams(per_example=begun) if per_row else MetaParams(shared=begun)
    return LearnedTransform(
        apply=apply,
        name=name,
        scale=scale,
        reads=reads,
        writes=writes,
        keeps_shares=keeps_shares,
        meta=meta,
        policy=policy,
        results=results,
    )
