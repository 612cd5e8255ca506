"""Exponential averages of a network's weights."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaug.core.types import Tree


def average(kept: Tree, new: Tree, step: jax.Array, decay: float) -> Tree:
    """a kept + (1 - a) new, a = min(1 - 1 / (step + 1), decay), so that the beginning is soon forgotten.

    Args:
      kept: the average so far, of parameters or statistics; of what is no float, such as a counter, there is none, and
        the newest is kept.
      new: those after the step.
      step: [] int, steps taken, this one included.
      decay: in [0, 1).
    """
    share = jnp.minimum(1.0 - 1.0 / (step.astype(jnp.float32) + 1.0), decay)

    def one(a: jax.Array, b: jax.Array) -> jax.Array:
        if not jnp.issubdtype(a.dtype, jnp.inexact):
            return b
        return share.astype(a.dtype) * a + (1.0 - share).astype(a.dtype) * b

    return jax.tree.map(one, kept, new)


def copied(tree: Tree) -> Tree:
    """The tree in arrays of its own."""
    return jax.tree.map(jnp.copy, tree)
