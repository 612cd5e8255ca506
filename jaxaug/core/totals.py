"""Metrics as sums and counts, so that batches, devices and hosts add up to the exact value of the whole set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

NEVER = np.iinfo(np.int32).max
Sums = Mapping[str, tuple[Any, Any]]  # name -> (sum, count), arrays of any shape


class Totals(flax.struct.PyTreeNode):
    """Sums that batches add up to.

    sums: name -> (sum, count). first_bad: [] int32, the first step whose numbers were not finite.
    """

    sums: Sums
    first_bad: jax.Array

    def __add__(self, other: Totals) -> Totals:
        sums = jax.tree.map(jnp.add, self.sums, other.sums)
        return Totals(sums, jnp.minimum(self.first_bad, other.first_bad))

    def means(self) -> dict[str, float]:
        """sum / count of every name whose sum is a number."""
        found = jax.device_get(self.sums)
        return {name: float(total / max(count, 1)) for name, (total, count) in found.items() if np.ndim(total) == 0}


def totals_of(sums: Sums, finite: jax.Array | bool = True, step: jax.Array | int = 0) -> Totals:
    """The totals of one batch, bad from `step` [] on unless `finite` []."""
    return Totals(sums, jnp.where(finite, NEVER, step).astype(jnp.int32))


def empty_totals(like: Any) -> Totals:
    """The empty totals of the shapes and dtypes of others (`jax.eval_shape`), to which batches are added."""
    sums = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), like.sums)
    return Totals(sums, jnp.asarray(NEVER, jnp.int32))
