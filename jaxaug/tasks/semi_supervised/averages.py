"""Exponential averages of parameters."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaug.core.types import Tree


def average(kept: Tree, new: Tree, step: jax.Array, decay: float) -> Tree:
    """a kept + (1 - a) new, a = min(1 - 1 / (step + 1), decay), so that the beginning is soon forgotten.

    Args:
      kept: parameters, the average so far.
      new: those after the step.
      step: [] int, steps taken, this one included.
      decay: in [0, 1).
    """
    share = jnp.minimum(1.0 - 1.0 / (step.astype(jnp.float32) + 1.0), decay)
    return jax.tree.map(lambda a, b: share.astype(a.dtype) * a + (1.0 - share).astype(a.dtype) * b, kept, new)


def copied(tree: Tree) -> Tree:
    """The tree in arrays of its own."""
    return jax.tree.map(jnp.copy, tree)
