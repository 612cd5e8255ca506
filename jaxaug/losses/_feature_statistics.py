"""Running mean and covariance of the features of every class (ISDA, section 3.2 and its appendix A).

One update with a batch, for every class c with n examples in it and N before (w = n / (n + N)):

    covariance <- (1 - w) covariance + w V + w (1 - w) (mean - m)(mean - m)^T
    mean       <- (1 - w) mean + w m
    count      <- N + n

m and V are the mean and the biased covariance of the class's examples in the batch. Since step 0 this equals the mean
and covariance of all examples ever seen. A class without examples keeps its state.
"""

from __future__ import annotations

from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from jaxaug.core.target import target

# Rows of one class are multiplied in blocks of this many: the smallest block that keeps a matrix product efficient.
ROWS_PER_BLOCK = 16
# Rows of a batch to a class from which on devices exchange sums [K D D] instead of all features [B D]. Every device
# otherwise adds all rows itself, and for each block reads and writes D^2 numbers: with the published 819 GB/s of memory
# and 200 GB/s of links of a TPU v5e that takes as long as the sums' way from 65 rows to a class on.
ROWS_PER_CLASS = 64


class FeatureStatistics(flax.struct.PyTreeNode):
    """What is known of the features of each class.

    Attributes:
      count: [K] how many examples were seen, fewer where old ones are forgotten.
      mean: [K D].
      covariance: [K D D], or [K D] for its diagonal.
    """

    count: jax.Array
    mean: jax.Array
    covariance: jax.Array


def init_statistics(num_classes: int, num_features: int, *, full: bool) -> FeatureStatistics:
    """Statistics of no example: all zero, so that an unseen class is not augmented; float32, float64 under x64."""
    shape = (num_classes, num_features)
    return FeatureStatistics(
        jnp.zeros(num_classes), jnp.zeros(shape), jnp.zeros((*shape, num_features) if full else shape)
    )


def update_statistics(
    statistics: FeatureStatistics, features: jax.Array, labels: jax.Array, keep: float = 1.0
) -> FeatureStatistics:
    """Add a batch. Only its classes are read and written: B D numbers and, for full covariances, D^2 for each class.

    A class whose examples are not all finite, or overflow when squared, keeps what it had and spoils no other class. No
    gradient flows through the statistics.

    Args:
      statistics: of the examples before.
      features: [B D], in any precision; the statistics keep theirs.
      labels: [B] int, below K; an example of -1 does not count.
      keep: what the old counts are multiplied by first, in (0, 1]; 1 averages over all examples ever seen (as
        released), less forgets exponentially with a memory of about 1 / (1 - keep) steps.
    """
    features = jax.lax.stop_gradient(features).astype(statistics.mean.dtype)
    num_classes = statistics.count.shape[0]
    added = jnp.zeros(num_classes, features.dtype).at[labels].add(labels >= 0)

    # From here on P = min(B, K) groups of examples, one for each class of the batch; where it has fewer, the last ones
    # are empty and stand for classes that keep what they have. Group P takes the examples that do not count.
    size = min(num_classes, len(labels))
    classes = present_classes(added)[0][:size]
    group = jnp.where(labels >= 0, (jnp.cumsum(added > 0) - 1)[labels], size)
    rows = added[classes]

    def mean_of(values: jax.Array) -> jax.Array:
        return jax.ops.segment_sum(values, group, size + 1)[:size] / jnp.maximum(rows, 1.0)[:, None]

    batch_mean, old_mean = mean_of(features), statistics.mean[classes]
    drift = batch_mean - old_mean
    # Two passes (center, then square) because E[x^2] - E[x]^2 cancels in float32.
    centered = features - batch_mean[jnp.minimum(group, size - 1)]
    variance = mean_of(centered**2)
    good = (rows > 0) & jnp.all(jnp.isfinite(variance + drift**2), axis=-1)
    rows = jnp.where(good, rows, 0.0)
    variance, drift = (jnp.where(good[:, None], x, 0.0) for x in (variance, drift))
    before = keep * statistics.count
    new = (rows / jnp.maximum(rows + before[classes], 1.0))[:, None]
    if statistics.covariance.ndim == 3 and target().devices > 1 and len(labels) >= ROWS_PER_CLASS * num_classes:
        place = jnp.argsort(classes)  # of each class among the groups, which are all classes here
        covariance = _by_sums(statistics.covariance, centered, labels, rows[place], new[place], drift[place])
    elif statistics.covariance.ndim == 3:
        covariance = _full(statistics.covariance, centered, _Groups(group, classes, rows, new, drift))
    else:
        old = statistics.covariance[classes]
        mixed = (1.0 - new) * old + new * variance + new * (1.0 - new) * drift**2
        covariance = statistics.covariance.at[classes].set(mixed)
    mean = statistics.mean.at[classes].set(old_mean + new * drift)
    return FeatureStatistics(before.at[classes].add(rows), mean, covariance)


def present_classes(count: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The classes with count > 0 first, in order [K] int32, and how many they are []."""
    absent = count <= 0
    return jnp.argsort(absent, stable=True).astype(jnp.int32), jnp.sum(~absent)


def gather_examples(axis_name: str, features: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Features [B D] and labels [B] of all shards along a named axis, the same on each of them; "" keeps one's own."""

    def of_all(x: jax.Array) -> jax.Array:
        # A sum with zeros instead of an all-gather, after which shard_map would not know that all shards agree.
        shards = jax.lax.psum(1, axis_name)
        own = jnp.zeros((shards, *x.shape), x.dtype).at[jax.lax.axis_index(axis_name)].set(x)
        return jax.lax.psum(own, axis_name).reshape(-1, *x.shape[1:])

    return (of_all(jax.lax.stop_gradient(features)), of_all(labels)) if axis_name else (features, labels)


class _Groups(NamedTuple):
    """The P groups of a batch by class: group [B] of each example, P for none; classes [P], rows [P] how many
    examples, new [P 1] their weight, drift [P D] how far their mean is from the class's."""

    group: jax.Array
    classes: jax.Array
    rows: jax.Array
    new: jax.Array
    drift: jax.Array


def _full(covariance: jax.Array, centered: jax.Array, groups: _Groups) -> jax.Array:
    """Rank-(n + 1) update of the covariance [K D D] of each class of the batch, in place; centered [B D].

    It costs 2 B D^2 operations and one pass over the matrices of those classes, whatever K is.
    """
    group, classes, rows, new, drift = groups
    depth = centered.shape[1]
    tile = _tile(depth)
    # The padding lets the last block of the last class read past the end.
    ordered = jnp.pad(centered[jnp.argsort(group)], ((0, ROWS_PER_BLOCK), (0, 0)))
    numbers = jnp.arange(len(rows)) + 0 * group[0]  # in a shard_map JAX 0.7 wants both sides to vary
    starts = jnp.searchsorted(jnp.sort(group), numbers)
    sizes = rows.astype(jnp.int32)
    wanted = jnp.argsort(sizes == 0, stable=True)

    def block(p: jax.Array, number_of_block: jax.Array | int) -> jax.Array:
        offset = number_of_block * ROWS_PER_BLOCK
        part = jax.lax.dynamic_slice_in_dim(ordered, starts[p] + offset, ROWS_PER_BLOCK)
        return jnp.where((offset + jnp.arange(ROWS_PER_BLOCK) < sizes[p])[:, None], part, 0.0)

    def one_class(i: jax.Array, covariance: jax.Array) -> jax.Array:
        p = wanted[i]
        w = new[p, 0]
        # sqrt puts the term of the means, w (1 - w) drift drift^T, among the rows, whose factor is w / n.
        last = jnp.sqrt((1.0 - w) * rows[p]) * drift[p]
        first = jnp.concatenate([block(p, 0), last[None]])

        def one_tile(i: jax.Array, covariance: jax.Array) -> jax.Array:
            at = tuple(jnp.asarray(x, jnp.int32) for x in (classes[p], i * tile, 0))

            def product(block: jax.Array) -> jax.Array:
                left = jax.lax.dynamic_slice_in_dim(block, i * tile, tile, axis=1)
                return jnp.matmul(left.T, block, precision=jax.lax.Precision.HIGHEST)

            blocks = (sizes[p] + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK
            total = jax.lax.fori_loop(1, blocks, lambda b, total: total + product(block(p, b)), product(first))
            # Without the barrier XLA may fuse this read into the write below, and then copies all of
            # `covariance` for every class instead of writing in place.
            old = jax.lax.optimization_barrier(jax.lax.dynamic_slice(covariance, at, (1, tile, depth)))
            return jax.lax.dynamic_update_slice(covariance, (1.0 - w) * old + (w / rows[p]) * total, at)

        return jax.lax.fori_loop(0, depth // tile, one_tile, covariance)

    return jax.lax.fori_loop(0, jnp.sum(sizes > 0), one_class, covariance)


def _by_sums(
    covariance: jax.Array, centered: jax.Array, labels: jax.Array, rows: jax.Array, new: jax.Array, drift: jax.Array
) -> jax.Array:
    """`_full` for a batch that is spread over devices, which then exchange K D^2 numbers, however many rows there are.

    It costs 2 K D^2 operations for each row that a device has. rows [K], new [K 1], drift [K D] of each class.
    """
    own = (labels == jnp.arange(len(rows))[:, None]) & (rows > 0)[:, None]
    # Selected on both sides, because what is not finite would not vanish in a product.
    left = jnp.where(own[:, :, None], centered, 0.0)
    right = jnp.where(jnp.any(own, axis=0)[:, None], centered, 0.0)
    sums = jnp.einsum("kbd,be->kde", left, right, precision=jax.lax.Precision.HIGHEST)
    w, n = new[:, :, None], jnp.maximum(rows, 1.0)[:, None, None]
    moved = drift[:, :, None] * drift[:, None, :]
    return (1.0 - w) * covariance + w / n * sums + w * (1.0 - w) * moved


def _tile(depth: int) -> int:
    """Rows of a covariance matrix to update at a time.

    On a CPU a tile that stays in the second-level cache saves two thirds of the time (measured at D = 640); an
    accelerator wants one large product.
    """
    if target().platform != "cpu":
        return depth
    divisors = [d for d in range(16, 97) if depth % d == 0]
    return max(divisors, default=depth)
