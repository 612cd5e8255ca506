"""Transforms of the targets: what the model is asked to say."""

from __future__ import annotations

import jax.numpy as jnp

from jaxaug.errors import UsageError
from jaxaug.losses import stateless
from jaxaug.types import LossTransform, Terms


def smooth(amount: float = 0.1, *, over: str = "all") -> LossTransform:
    """Label smoothing: move `amount` in [0, 1) of each row's mass away from what it says now.

    over="all": to every class, the row's own included, amount / K each (Szegedy et al. 2016; PyTorch).
    over="others": to the other classes only, amount / (K - 1) each, so that a one-hot row ends at exactly
    1 - amount (the form in Soft Augmentation's released code). Rows without a label stay 0.
    """
    if over not in ("all", "others") or not 0.0 <= amount < 1.0:
        raise UsageError(
            f"losses 'targets.smooth': amount must be in [0, 1) and over 'all' or 'others', got {amount}, {over!r}"
        )

    def apply(terms: Terms) -> Terms:
        mass = jnp.sum(terms.targets, axis=-1, keepdims=True)
        if over == "all":
            spread = mass / terms.targets.shape[-1]
        else:
            spread = (mass - terms.targets) / (terms.targets.shape[-1] - 1)
        return terms.replace(targets=(1.0 - amount) * terms.targets + amount * spread)

    return stateless(apply)
