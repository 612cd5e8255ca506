"""Images that stay where they are until a loader asks for them: read in threads, for training cut anew each time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, Self

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.random import HostStream, numpy_generator
from jaxaug.data.storage.image_reader import in_threads


class ImageSource(Protocol):
    """What `LazyImages` reads from: a set of one's own needs these three.

    Attributes:
      image_shape: (H, W, C) of what it gives, uint8.
    """

    image_shape: tuple[int, int, int]

    def read(self, row: int, random: np.random.Generator | None = None) -> np.ndarray | None:
        """The image of a row [H W C]; called by several threads at once.

        Args:
          row: its number.
          random: decides on the cut for training; None for the image as it is evaluated.

        Returns:
          uint8 [H W C]; None if it cannot be read: the row is then without a label.
        """

    def digest(self, rows: np.ndarray) -> str:
        """What tells whether these rows, int64 [N], are what they were."""

    @property
    def unreadable(self) -> int:
        """How many images could not be read so far."""


class LazyRows:
    """What stands for an array with a row for each file, and holds their numbers alone.

    Args:
      source: what they are read from.
      rows: int [N], their numbers there.
      threads: that read, 0 for as many as Python thinks good.
    """

    def __init__(self, source: Any, rows: np.ndarray, threads: int = 0):
        self.source, self.rows, self.threads = source, np.asarray(rows, np.int64), threads

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, rows: np.ndarray | slice) -> Self:
        """These rows alone; nothing is read."""
        return type(self)(self.source, self.rows[rows], self.threads)

    def joined(self, other: LazyRows) -> Self:
        """These rows and then the others, of the same source; nothing is read. Raises UsageError."""
        if other.source is not self.source:
            raise UsageError("images of two sources cannot be trained on together: put their files into one folder")
        return type(self)(self.source, np.concatenate([self.rows, other.rows]), self.threads)


class LazyImages(LazyRows):
    """Images uint8 [N H W C] that look like an array to a `Split`, and are read row by row.

    `images[rows]` is what is evaluated; `read` gives what is trained on, too. The source is an `ImageSource`.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, H, W, C)."""
        return (len(self.rows), *self.source.image_shape)

    def __getitem__(self, rows: np.ndarray | slice | int) -> np.ndarray:
        """The images of these rows as they are evaluated, [... H W C]; black where one cannot be read."""
        return self.read(np.arange(len(self))[rows])[0]

    def read(self, rows: np.ndarray, seed: int = 0, numbers: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Images, and which of them could be read.

        Args:
          rows: int of any shape; -1 is padding, which stays black and counts as read.
          seed: of what is random, 0..2**32 - 1.
          numbers: int of the shape of rows, of the training step that each is read for: what is cut out depends on the
            seed, this number and the row's own number alone. None: rows as they are evaluated.

        Returns:
          (uint8 [*rows.shape H W C], bool [*rows.shape]).
        """
        flat = np.asarray(rows).ravel()
        images, readable = np.zeros((flat.size, *self.source.image_shape), np.uint8), np.ones(flat.size, bool)

        def one(place: int) -> None:
            row = int(self.rows[flat[place]])
            random = None if numbers is None else numpy_generator(seed, HostStream.CUTS, numbers.flat[place], row)
            found = self.source.read(row, random)
            if found is None:
                readable[place] = False
            else:
                images[place] = found

        for _ in in_threads(one, np.flatnonzero(flat >= 0).tolist(), self.threads or None):
            pass
        return images.reshape(*rows.shape, *self.source.image_shape), readable.reshape(rows.shape)

    def digest(self) -> str:
        """What tells whether the images are what they were."""
        return self.source.digest(self.rows)


def count_unreadable(images: Iterable[Any]) -> int | None:
    """How many images of lazy ones could not be read so far in this process; None if all are arrays.

    Args:
      images: arrays, or `LazyImages`, which may share a source.
    """
    sources = {id(one.source): one.source for one in images if isinstance(one, LazyImages)}
    return sum(source.unreadable for source in sources.values()) if sources else None
