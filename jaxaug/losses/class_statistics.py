"""Running mean and covariance of the features of every class (ISDA, section 3.2 and its appendix A).

One update with a batch, for every class c with n rows in the batch and N rows before (w = n / (n + N)):

    covariance <- (1 - w) covariance + w V + w (1 - w) (mean - m)(mean - m)^T
    mean       <- (1 - w) mean + w m
    count      <- N + n

m and V are the mean and the biased covariance of the class's rows. Since step 0 this equals the mean and covariance of
all rows ever seen. A class without rows keeps its state.
"""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp

# Rows of one class are multiplied in blocks of this many: the smallest block that keeps a matrix product efficient.
ROWS_PER_BLOCK = 16


class ClassStatistics(flax.struct.PyTreeNode):
    """count [K], mean [K D], covariance [K D D] (full) or [K D] (its diagonal)."""

    count: jax.Array
    mean: jax.Array
    covariance: jax.Array


def empty(num_classes: int, num_features: int, *, full: bool) -> ClassStatistics:
    """Statistics of no rows: all zero, so that an unseen class is not augmented."""
    shape = (num_classes, num_features)
    return ClassStatistics(
        jnp.zeros(num_classes), jnp.zeros(shape), jnp.zeros((*shape, num_features) if full else shape)
    )


def update(statistics: ClassStatistics, features: jax.Array, labels: jax.Array, keep: float = 1.0) -> ClassStatistics:
    """Add a batch: features [B D], labels [B] int (-1: the row does not count).

    keep in (0, 1]: every update first multiplies the old counts by it; 1 averages over all rows ever seen (as
    released), less forgets exponentially with a memory of about 1 / (1 - keep) steps. A row with a
    non-finite feature is left out, so that it spoils no class. No gradient flows through the statistics.

    Only the classes of the batch are read and written: B D numbers and, for full covariances, D^2 per class.
    """
    features = jax.lax.stop_gradient(features).astype(statistics.mean.dtype)
    num_classes = statistics.count.shape[0]
    counted = (labels >= 0) & jnp.all(jnp.isfinite(features), axis=-1)
    features = jnp.where(counted[:, None], features, 0.0)
    labels = jnp.where(counted, labels, num_classes)
    added = jax.ops.segment_sum(counted.astype(features.dtype), labels, num_classes)

    # From here on P = min(B, K) groups of rows, one for each class of the batch; the last ones may be empty.
    # Row P takes what does not count and is cut off. Indices out of range are dropped where results are written.
    size = min(num_classes, len(labels))
    classes, number = present_classes(added)
    classes = jnp.where(jnp.arange(size) < number, classes[:size], num_classes)
    group = jnp.append(jnp.cumsum(added > 0) - 1, size)[labels]
    rows = added.at[classes].get(mode="fill", fill_value=0.0)
    before = (keep * statistics.count).at[classes].get(mode="fill", fill_value=0.0)
    new = (rows / jnp.maximum(rows + before, 1.0))[:, None]

    def mean_of(values: jax.Array) -> jax.Array:
        return jax.ops.segment_sum(values, group, size + 1)[:size] / jnp.maximum(rows, 1.0)[:, None]

    batch_mean = mean_of(features)
    old_mean = statistics.mean.at[classes].get(mode="fill", fill_value=0.0)
    # Two passes (centre, then square) because E[x^2] - E[x]^2 cancels in float32.
    centred = features - batch_mean[group]
    drift = batch_mean - old_mean
    if statistics.covariance.ndim == 3:
        covariance = _full(statistics.covariance, centred, group, classes, number, rows, new, drift)
    else:
        old = statistics.covariance.at[classes].get(mode="fill", fill_value=0.0)
        variance = (1.0 - new) * old + new * mean_of(centred**2) + new * (1.0 - new) * drift**2
        covariance = statistics.covariance.at[classes].set(variance, mode="drop", unique_indices=True)
    mean = statistics.mean.at[classes].set(old_mean + new * drift, mode="drop", unique_indices=True)
    return ClassStatistics(keep * statistics.count + added, mean, covariance)


def present_classes(count: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The classes with count > 0 first, in order [K] int32, and how many they are []."""
    absent = count <= 0
    return jnp.argsort(absent, stable=True).astype(jnp.int32), jnp.sum(~absent)


def _full(covariance, centred, group, classes, number, rows, new, drift):
    """Rank-(n + 1) update of the covariance [K D D] of each class of the batch, in place.

    It costs 2 B D^2 operations and one pass over the matrices of those classes, whatever K is.
    """
    depth = centred.shape[1]
    tile = _tile(depth)
    order = jnp.argsort(group)
    # The padding lets the last block of the last class read past the end.
    ordered = jnp.pad(centred[order], ((0, ROWS_PER_BLOCK), (0, 0)))
    sizes = rows.astype(jnp.int32)
    starts = jnp.cumsum(sizes) - sizes

    def block(p, number_of_block):
        offset = number_of_block * ROWS_PER_BLOCK
        part = jax.lax.dynamic_slice_in_dim(ordered, starts[p] + offset, ROWS_PER_BLOCK)
        return jnp.where((offset + jnp.arange(ROWS_PER_BLOCK) < sizes[p])[:, None], part, 0.0)

    def one_class(p, covariance):
        w = new[p, 0]
        # sqrt puts the term of the means, w (1 - w) drift drift^T, among the rows, whose factor is w / n.
        last = jnp.sqrt((1.0 - w) * rows[p]) * drift[p]
        first = jnp.concatenate([block(p, 0), last[None]])

        def one_tile(i, covariance):
            at = tuple(jnp.asarray(x, jnp.int32) for x in (classes[p], i * tile, 0))

            def product(block):
                left = jax.lax.dynamic_slice_in_dim(block, i * tile, tile, axis=1)
                return jnp.matmul(left.T, block, precision=jax.lax.Precision.HIGHEST)

            blocks = (sizes[p] + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK
            total = jax.lax.fori_loop(1, blocks, lambda b, total: total + product(block(p, b)), product(first))
            # Without the barrier XLA may fuse this read into the write below, and then copies all of
            # `covariance` for every class instead of writing in place.
            old = jax.lax.optimization_barrier(jax.lax.dynamic_slice(covariance, at, (1, tile, depth)))
            return jax.lax.dynamic_update_slice(covariance, (1.0 - w) * old + (w / rows[p]) * total, at)

        return jax.lax.fori_loop(0, depth // tile, one_tile, covariance)

    return jax.lax.fori_loop(0, number, one_class, covariance)


def _tile(depth: int) -> int:
    """Rows of a covariance matrix to update at a time.

    On a CPU a tile that stays in the second-level cache saves two thirds of the time (measured at D = 640); an
    accelerator wants one large product.
    """
    if jax.default_backend() != "cpu":
        return depth
    divisors = [d for d in range(16, 97) if depth % d == 0]
    return max(divisors, default=depth)
