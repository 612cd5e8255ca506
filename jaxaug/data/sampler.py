"""Which rows make up a batch, and taking them.

Rows are chosen on the host by number alone; `take` gathers them inside a jitted step from arrays that live on
the device.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.random import HostStream, numpy_generator
from jaxaug.data.dataset import Split

# Registered here, so that importing `jaxaug.data` needs no jax.
jax.tree_util.register_dataclass(Split, data_fields=["image", "label", "index"], meta_fields=[])


@dataclasses.dataclass(frozen=True)
class FlatImages:
    """Images as they lie on devices: pixels [N H*W*C], and the shape (H, W, C) of each.

    A row of numbers for each image is what a gather of rows wants: TPUs copy [N H W C] into another layout before, the
    whole set in every step.
    """

    pixels: jax.Array
    shape: tuple[int, int, int]


jax.tree_util.register_dataclass(FlatImages, data_fields=["pixels"], meta_fields=["shape"])


def flattened(split: Split) -> Split:
    """The split as it is laid on devices, for `take`."""
    rows, *shape = split.image.shape
    return dataclasses.replace(split, image=FlatImages(split.image.reshape(rows, -1), tuple(shape)))


def epoch_order(seed: int, epoch: int, size: int) -> np.ndarray:
    """The order of the rows in one epoch: int32 [size], a permutation of 0..size-1.

    A function of its three arguments only.

    Args:
      seed: 0..2**32 - 1.
      epoch: its number, from 0 on.
      size: rows.

    Raises:
      UsageError: a seed or an epoch outside 0..2**32 - 1.
    """
    return numpy_generator(seed, epoch).permutation(size).astype(np.int32)


def training_rows(size: int, batch_size: int, seed: int, from_step: int = 0) -> Iterator[tuple[int, np.ndarray]]:
    """Endless batches of shuffled rows; the last partial batch of each epoch is dropped.

    Step `s` has the same rows whatever `from_step` is, so a resumed run sees what a straight one does.

    Args:
      size: rows in the training split.
      batch_size: rows per step, 1..size.
      seed: of the shuffling.
      from_step: the first global step to give.

    Returns:
      An iterator of (step, rows int32 [batch_size]).

    Raises:
      UsageError: batch_size not in 1..size, at the call and not at the first batch.
    """
    if not 1 <= batch_size <= size:
        raise UsageError(f"training_rows: batch_size={batch_size} must be between 1 and the {size} training rows")
    return _training_rows(size, batch_size, seed, from_step)


def _training_rows(size: int, batch_size: int, seed: int, from_step: int) -> Iterator[tuple[int, np.ndarray]]:
    steps = size // batch_size
    epoch, position = divmod(from_step, steps)
    while True:
        order = epoch_order(seed, epoch, size)
        for place in range(position, steps):
            yield epoch * steps + place, order[place * batch_size : (place + 1) * batch_size]
        epoch, position = epoch + 1, 0


def stream_rows(size: int, batch_size: int, seed: int, from_step: int, stream: HostStream) -> Iterator[np.ndarray]:
    """Endless batches of one shuffled pass after the other, from which no row is dropped.

    Batch number s is a function of the other arguments and s.

    Args:
      size: rows, 1 or more; a batch may be larger.
      batch_size: rows of a batch.
      seed: of the shuffling, 0..2**32 - 1.
      from_step: the first batch to give.
      stream: keeps streams apart.

    Returns:
      An iterator of int32 [batch_size], positions 0..size-1.
    """
    known: dict[int, np.ndarray] = {}
    for step in itertools.count(from_step):
        passes, places = np.divmod(np.arange(step * batch_size, (step + 1) * batch_size), size)
        known = {n: known[n] if n in known else _pass(seed, stream, n, size) for n in np.unique(passes).tolist()}
        yield np.array([known[n][place] for n, place in zip(passes.tolist(), places, strict=True)], np.int32)


def _pass(seed: int, stream: HostStream, number: int, size: int) -> np.ndarray:
    return numpy_generator(seed, stream, number).permutation(size)


def evaluation_rows(size: int, batch_size: int) -> list[np.ndarray]:
    """Every row once, in order, in equal batches.

    Args:
      size: rows of the split.
      batch_size: rows of a batch, 1 or more.

    Returns:
      ceil(size / batch_size) arrays int32 [batch_size]; the last is filled up with -1. Empty for size 0.

    Raises:
      UsageError: batch_size below 1.
    """
    if batch_size < 1:
        raise UsageError(f"evaluation_rows: batch_size={batch_size} must be at least 1")
    count = -(-size // batch_size)
    rows = np.full(count * batch_size, -1, np.int32)
    rows[:size] = np.arange(size)
    return list(rows.reshape(count, batch_size))


def take(split: Split | None, rows: jax.Array | Split) -> Split:
    """Gathers rows; pure, to be called inside jit.

    Args:
      split: a `Split` of N > 0 rows, perhaps `flattened`; None if `rows` is the rows themselves, which are returned.
      rows: int [B], 0..N-1, or -1 for padding; of any shape.

    Returns:
      A `Split` of B rows with the dtypes of `split`. A padding row has label -1; its image and index are
      those of row 0, so that whatever is looked up by index stays in range.
    """
    if isinstance(rows, Split):
        return rows
    rows = jnp.asarray(rows)
    safe = jnp.maximum(rows, 0)
    gathered = jax.tree.map(lambda array: jnp.take(array, safe, axis=0, mode="clip"), split)
    image = gathered.image
    if isinstance(image, FlatImages):
        image = image.pixels.reshape(*rows.shape, *image.shape)
    none = jnp.reshape(rows < 0, rows.shape + (1,) * (gathered.label.ndim - rows.ndim))
    return Split(image, jnp.where(none, -1, gathered.label.astype(jnp.int32)), gathered.index)
