"""Soft labels that a search learns, row by row (AutoDO, Gudovskiy et al., CVPR 2021).

    s = softmax(prior * onehot(label) + offset),   prior = log(1 - K + K / smoothing)

so that an offset of 0 is label smoothing: (1 - smoothing) onehot + smoothing / K. The paper's logits,
prior * (onehot - 1/2) + offset, differ by a constant, which softmax does not see.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np


def learned_soft_labels(
    own_soft: jax.Array,
    label: jax.Array,
    num_classes: int,
    smoothing: float = 0.1,
    basis: jax.Array | None = None,
) -> jax.Array:
    """The soft labels [... K] of rows with offsets own_soft [... K], or own_soft [... r] @ basis [r K].

    label: [...] int, -1 for none: such a row is 0 throughout. smoothing in (0, 1). Each other row is above 0 and sums
    to 1; `targets.learned_targets` gives these to the loss, and a report may ask for them.
    """
    known = label[..., None] >= 0
    # What an absent row holds reaches neither the loss nor, as a derivative of NaN, anyone else.
    offset = jnp.where(known, own_soft, 0.0)
    if basis is not None:
        offset = jnp.matmul(offset, basis, precision=jax.lax.Precision.HIGHEST)
    prior = math.log(1 - num_classes + num_classes / smoothing)
    logits = prior * jax.nn.one_hot(label, num_classes, dtype=offset.dtype) + offset
    return jnp.where(known, jax.nn.softmax(logits, axis=-1), 0.0)


def low_rank_basis(rank: int, num_classes: int) -> jax.Array:
    """The basis [r K] that low-rank offsets begin with: a direction of length 1 for each class, r <= K.

    Rows are orthogonal before the columns are scaled, from a fixed seed; for r = K the matrix is orthogonal. An own of
    t times column k lifts class k by t and every other by less, since no two columns are the same (r >= 2): each
    class of each row can become the largest, and an own of 0 has a derivative in every direction. r numbers hold r
    independent ratios of a row's K probabilities, not K - 1: classes whose columns are close rise and fall together,
    which, as the basis is learned too, can become those that are taken for one another.
    """
    directions = np.linalg.qr(np.random.default_rng(0).normal(size=(num_classes, rank)))[0]
    return jnp.asarray((directions / np.linalg.norm(directions, axis=1, keepdims=True)).T, jnp.result_type(float))
