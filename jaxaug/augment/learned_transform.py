"""A policy that a search may change, as a batch transform."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxaug.augment.transform import LearnedTransform
from jaxaug.core.errors import UsageError
from jaxaug.core.types import Batch, MetaParams, Progress, Tree
from jaxaug.policies.learnable import NAME, initial_offsets, learned_policy
from jaxaug.policies.policy import Policy

SHARINGS = ("", "shared", "per_row")


def learned_policy_transform(
    what: str, policy: Policy, learned: str, part: Callable[[jax.Array, Batch, Policy, jax.Array], Batch]
) -> LearnedTransform:
    """The `TunedPart` of a policy that a search may change, from part(key, batch, policy, rows [B] of that policy).

    learned: "shared", one policy for all, or "per_row", one for each training row. What it begins with is `no_offsets`,
    also where a batch comes without any. what: the part's address, for the message. Raises UsageError for another word.
    """
    if learned not in SHARINGS[1:]:
        raise UsageError(f"augment {what!r}: learned must be one of {SHARINGS}, got {learned!r}")
    beginning = {NAME: initial_offsets(policy)}

    def apply(key: jax.Array, batch: Batch, meta: Tree, progress: Progress) -> Batch:
        found = (batch.per_example if learned == "per_row" else meta) or {}
        offsets = found.get(NAME, beginning[NAME])
        return part(key, batch, learned_policy(policy, offsets), jnp.arange(len(batch.image)))

    meta = MetaParams(per_example=beginning) if learned == "per_row" else MetaParams(shared=beginning)
    return LearnedTransform(apply, meta, policy)
