"""Images with label maps that stay in their files until a loader asks for them: checked once, before any training."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np

from jaxaug.data.lazy_images import LazyImages, LazyRows
from jaxaug.data.storage.file_table import FileTable
from jaxaug.data.storage.image_reader import in_threads
from jaxaug.data.storage.label_map_files import Layout, Pair, count_pixels, decode_image, decode_label_map


class LabelMapFiles:
    """Pairs of files as rows, what `LazyImages` and `LazyLabelMaps` read from.

    Args:
      name: of the set, used in messages.
      pairs: by number.
      root: the folder that all of them lie in.
      layout: what they become.
      counts: int64 [N K], the pixels of each class in each row.
    """

    unreadable = 0  # a file that cannot be read is refused

    def __init__(self, name: str, pairs: Sequence[Pair], root: pathlib.Path, layout: Layout, counts: np.ndarray):
        self._name, self._pairs, self._layout, self.counts = name, pairs, layout, counts
        self._table = layout.classes.table()
        self._images, self._labels = (_table_of(root, [pair[i] for pair in pairs]) for i in range(2))
        self.image_shape = (*layout.size, 3)

    def read(self, row: int, random: np.random.Generator | None = None) -> np.ndarray:
        """The whole image of a row, uint8 [H W 3], for training too. Raises UsageError, which names the file."""
        return decode_image(self._name, self._pairs[row].image, self._layout)

    def read_label(self, row: int) -> np.ndarray:
        """The label map of a row, int16 [H W], -1 for void. Raises UsageError, which names the file."""
        return decode_label_map(self._name, self._pairs[row].label, self._layout, self._table)

    def digest(self, rows: np.ndarray) -> str:
        """What tells whether the images [N] are what they were. Raises UsageError."""
        return self._images.digest(rows)

    def digest_labels(self, rows: np.ndarray) -> str:
        """What tells whether the label maps [N] are what they were. Raises UsageError."""
        return self._labels.digest(rows)


class LazyLabelMaps(LazyRows):
    """Label maps [N H W], -1 for void, that look like an array to a `Split` and are read from `LabelMapFiles`."""

    ndim = 3

    @property
    def dtype(self) -> np.dtype:
        """int8, or int16 where there are more classes."""
        return np.dtype(np.int8 if self.source.counts.shape[1] <= 2**7 else np.int16)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(N, H, W)."""
        return (len(self.rows), *self.source.image_shape[:2])

    @property
    def counts(self) -> np.ndarray:
        """int64 [N K], the pixels of each class, known without reading."""
        return self.source.counts[self.rows]

    def __getitem__(self, rows: np.ndarray | slice | int) -> np.ndarray:
        """The label maps of these rows [... H W]."""
        chosen = self.rows[rows]
        found = np.empty((chosen.size, *self.shape[1:]), self.dtype)

        def one(place: int) -> None:
            found[place] = self.source.read_label(int(chosen.flat[place]))

        for _ in in_threads(one, range(chosen.size), self.threads or None):
            pass
        return found.reshape(*chosen.shape, *self.shape[1:])

    def digest(self) -> str:
        """What tells whether the label maps are what they were."""
        return self.source.digest_labels(self.rows)


def lazy_pairs(
    name: str, pairs: Mapping[str, Sequence[Pair]], root: pathlib.Path, layout: Layout, keep: pathlib.Path, threads: int
) -> dict[str, tuple[LazyImages, LazyLabelMaps]]:
    """(images, label maps) of each split, every file checked.

    Args:
      name: of the set, used in messages.
      pairs: split -> its files.
      root: the folder that all of them lie in.
      layout: what they become.
      keep: a folder in which it is kept that they were checked.
      threads: that read, 0 for as many as Python thinks good.

    Raises:
      UsageError: a file that is damaged, of the wrong size or with a number that is no class; the message names it.
    """
    counts = count_pixels(name, pairs, layout, keep)
    every = [pair for rows in pairs.values() for pair in rows]
    source = LabelMapFiles(name, every, root, layout, np.concatenate([counts[split] for split in pairs]))
    ends = accumulate(len(rows) for rows in pairs.values())
    numbers = {s: np.arange(end - len(rows), end) for (s, rows), end in zip(pairs.items(), ends, strict=True)}
    return {s: (LazyImages(source, n, threads), LazyLabelMaps(source, n, threads)) for s, n in numbers.items()}


def _table_of(root: pathlib.Path, paths: Sequence[pathlib.Path]) -> FileTable:
    names = tuple(path.relative_to(root).as_posix() for path in paths)
    return FileTable(root, names, ("",) * len(names), np.zeros((len(names), 2), np.int64))
