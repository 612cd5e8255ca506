"""Rows on their way to compiled functions: taken there from a split on the devices, or sent batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.sharding import put_global, replicated, sharded_along
from jaxaug.data.dataset import Dataset, Split
from jaxaug.data.lazy_images import LazyImages
from jaxaug.data.sampler import evaluation_rows, flattened

PLACES = ("device", "host")
_SHARE = 0.8  # of a device's memory that images may take, so that the training finds room


class RowSource(NamedTuple):
    """What a compiled function is given of rows; `take(*row_source)` gathers them there.

    Attributes:
      source: the whole split on the devices, chosen then being the rows' numbers; or None, chosen being the rows
        themselves.
      chosen: int32 of any shape, or a `Split` of rows of that shape.
    """

    source: Split | None
    chosen: jax.Array | Split


def is_sent(split: Split, place: str) -> bool:
    """Whether the rows of a split are sent batch by batch; else the whole split lies on the devices."""
    return place == "host" or isinstance(split.image, LazyImages)


class Loader:
    """`loader(rows)` gives rows of one split for a compiled function, spread over the devices.

    Args:
      split: the rows, arrays in memory or mapped from a disk, or images that are read as they are asked for.
      mesh: the devices, along one axis `data`.
      place: "device": the split lies whole on every device, where a batch is gathered at no cost. "host": it stays
        where it is, in memory or on disk, and each process sends its devices their share of a batch; for sets larger
        than a device's memory. The batches are the same. `LazyImages` are always sent.
      seed: of what is cut out of lazy images that are trained on.
    """

    def __init__(self, split: Split, mesh: jax.sharding.Mesh, place: str = "device", seed: int = 0):
        self._split, self._mesh, self._seed = split, mesh, seed
        self._source = None if is_sent(split, place) else put_global(flattened(split), replicated(mesh))

    @property
    def sends(self) -> bool:
        """Whether the rows themselves are sent."""
        return self._source is None

    def __call__(self, rows: np.ndarray, axis: int = -1, numbers: np.ndarray | None = None) -> RowSource:
        """The rows for a compiled function.

        Args:
          rows: int32 of any shape; -1 is padding and gets label -1, and so does a row whose image cannot be read.
          axis: the axis of `rows` that is spread over the devices.
          numbers: int, broadcast to rows: the training step that each is for, which decides with the seed and the row
            what is cut out of a lazy image. None: images as they are evaluated.
        """
        sharding = sharded_along(self._mesh, axis % rows.ndim)
        if self._source is not None:
            return RowSource(self._source, put_global(rows, sharding))
        safe, split = np.maximum(rows, 0), self._split

        def send(array: np.ndarray) -> jax.Array:
            def part(index: Any) -> np.ndarray:
                return array[safe[index[: rows.ndim]]]

            # Asked once for each device of this process, so that no process reads the others' rows.
            return jax.make_array_from_callback((*rows.shape, *array.shape[1:]), sharding, part)

        if isinstance(split.image, LazyImages):
            image, label = self._read(split.image, rows, sharding, numbers)
        else:
            image, label = send(split.image), put_global(_labels(split, rows, rows >= 0), sharding)
        return RowSource(None, Split(image, label, send(split.index)))

    def of_steps(self, step: int, rows: np.ndarray) -> RowSource:
        """The rows [n B] of the training steps `step`, `step` + 1, and so on."""
        return self(rows, numbers=step + np.arange(len(rows))[:, None])

    def _read(
        self, images: LazyImages, rows: np.ndarray, sharding: Any, numbers: np.ndarray | None
    ) -> tuple[jax.Array, jax.Array]:
        """(images, labels) on the devices; -1 for an image that cannot be read."""
        # All rows of this process at once, so that its threads do not wait for each other device by device.
        parts = {_key(index): index for index in sharding.addressable_devices_indices_map(rows.shape).values()}
        numbers = None if numbers is None else np.broadcast_to(numbers, rows.shape)
        flat = np.concatenate([rows[index].ravel() for index in parts.values()])
        cuts = None if numbers is None else np.concatenate([numbers[index].ravel() for index in parts.values()])
        found, readable = images.read(flat, self._seed, cuts)
        ends = np.cumsum([rows[index].size for index in parts.values()])[:-1]

        def made(array: np.ndarray) -> jax.Array:
            of = dict(zip(parts, np.split(array, ends), strict=True))

            def part(index: Any) -> np.ndarray:
                index = index[: rows.ndim]
                return of[_key(index)].reshape(*rows[index].shape, *array.shape[1:])

            return jax.make_array_from_callback((*rows.shape, *array.shape[1:]), sharding, part)

        return made(found), made(_labels(self._split, flat, readable & (flat >= 0)))

    def wait_for(self, computed: Any) -> None:
        """To be called between reading rows and using them, with what was computed from the rows before.

        One batch is read while the devices are at the last one; if rows are sent, more would fill their memory.
        """
        if self.sends:
            jax.block_until_ready(computed)

    def whole(self, batch_size: int) -> Iterator[RowSource]:
        """Every row of the split once, in order, in equal batches of about this size, which all devices divide."""
        size = -(-min(batch_size, len(self._split)) // self._mesh.size) * self._mesh.size
        yield from map(self, evaluation_rows(len(self._split), size))


def _labels(split: Split, rows: np.ndarray, known: np.ndarray) -> np.ndarray:
    """int32 labels or label maps of these rows, -1 where nothing is known of them."""
    found = split.label[np.maximum(rows, 0)].astype(np.int32)
    return np.where(known.reshape(rows.shape + (1,) * (found.ndim - rows.ndim)), found, np.int32(-1))


def _key(index: Any) -> tuple[tuple[int | None, int | None], ...]:
    """Slices that can be looked up."""
    return tuple((one.start, one.stop) for one in index)


def check_placement(data: Dataset, pool: Split, place: str) -> None:
    """Refuses a placement of images before any of them is moved.

    Args:
      data: the set.
      pool: rows that a policy is searched with.
      place: "device" or "host", see `Loader`.

    Raises:
      UsageError: another place, or images that the devices have no room for.
    """
    if place not in PLACES:
        raise UsageError(f"{data.name}: place must be one of {PLACES}, got {place!r}")
    # Each once: validation rows may be the test rows, the pool the training rows.
    splits = {id(split): split for split in (*data.splits().values(), pool)}.values()
    needed = sum(split.image.nbytes for split in splits if not isinstance(split.image, LazyImages))
    limits = [(device.memory_stats() or {}).get("bytes_limit") for device in jax.local_devices()]
    room = min((limit for limit in limits if limit), default=None)
    if place == "device" and room is not None and needed > _SHARE * room:
        raise UsageError(
            f"{data.name}: has {needed / 2**30:.1f} GiB of images, a device {room / 2**30:.1f} GiB of memory: set "
            "place=host, or fewer rows with train_size"
        )
