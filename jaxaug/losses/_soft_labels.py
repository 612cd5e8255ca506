"""Soft labels that a search learns, one for each training row (AutoDO, Gudovskiy et al., CVPR 2021).

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
    """The soft labels of rows; `learned_targets` gives them to the loss, and a report may ask for them.

    Args:
      own_soft: [... K] offsets, or [... r] where there is a basis.
      label: [...] int, -1 for none: such a row is 0 throughout.
      num_classes: K.
      smoothing: in (0, 1), what offsets of 0 stand for.
      basis: [r K] or None.

    Returns:
      [... K]; a row with a label is above 0 and sums to 1.
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

    Rows are orthogonal before the columns are scaled, from a fixed seed; for r = K the matrix is orthogonal. Offsets of
    t times column k lift class k by t and every other by less, since no two columns are the same (r >= 2): each class
    can become a row's largest, and offsets of 0 have a derivative in every direction. r numbers hold r independent
    ratios of a row's K probabilities, not K - 1: classes whose columns are close rise and fall together, which, as the
    basis is learned too, can become those that are taken for one another.
    """
    directions = np.linalg.qr(np.random.default_rng(0).normal(size=(num_classes, rank)))[0]
    return jnp.asarray((directions / np.linalg.norm(directions, axis=1, keepdims=True)).T, jnp.result_type(float))


def describe_soft_labels(name: str, probability: jax.Array, given: jax.Array) -> dict[str, jax.Array]:
    """What a table says of soft labels: {name: largest class, name_given and name_share: that of given and largest}.

    Args:
      name: what the entries begin with.
      probability: [B K].
      given: [B] int, the class each row was given; -1 counts as 0.

    Returns:
      [B] int32 and twice [B] float.
    """
    of_given = jnp.take_along_axis(probability, jnp.maximum(given, 0)[:, None], axis=1)[:, 0]
    largest = jnp.argmax(probability, axis=1).astype(jnp.int32)
    return {name: largest, f"{name}_given": of_given, f"{name}_share": jnp.max(probability, axis=1)}
