"""Data sets: one file per source, each with `load(config) -> Data`; the file's name is the set's name.

Where a stock set is looked for, first hit wins:

1. the decoded cache,           <archives>/<name>/decoded-<checksum>/*.npy
2. a tensorflow-datasets copy,  <prepared>/<tfds name>/<version>/ in array_record format
3. the archive as published,    <archives>/<name>/
4. a download, if `config.download`

with <archives> and <prepared> from `places.find_places`. Importing this package needs numpy alone; whatever
else a source needs is imported when it loads.

A new source reads its arrays and ends with `return assemble(...)`.
"""

import dataclasses

import numpy as np

from jaxaug.data.cut import rows_in_cut, stratified_cut
from jaxaug.data.places import Places, find_places
from jaxaug.data.records import Data, Split
from jaxaug.data.statistics import channel_statistics
from jaxaug.errors import UsageError

__all__ = ["Data", "Places", "Split", "assemble", "fewer_rows", "find_places"]


def assemble(
    name: str,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    num_classes: int,
    class_names: tuple[str, ...],
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    statistics_source: str = "",
    validation_size: float = 0,
    seed: int = 0,
) -> Data:
    """Builds a `Data` from two arrays per split, cutting the validation rows off the training rows.

    Args:
      name: the set's name, used in messages.
      train: (image [N H W C] uint8 or float32 0..255, label [N] integers 0..num_classes-1), in the order the
        set was published in.
      test: the same for the test rows.
      num_classes: K.
      class_names: K names.
      mean, std: per channel on the 0..1 scale; None computes both from the training rows left after the cut.
      statistics_source: where the given mean and std come from.
      validation_size: rows to cut, or, below 1, a share of the training rows; 0 cuts none.
      seed: of the cut, which depends on it, the labels and the size only; each class gives its share of rows.

    Raises:
      UsageError: validation_size not smaller than the training rows, or anything `Data` refuses.
    """
    kept, tested = _split(name, "train", train), _split(name, "test", test)
    kept, cut = _cut(kept, rows_in_cut(validation_size, len(kept)), seed)
    if mean is None or std is None:
        mean, std = _statistics(kept.image)
        statistics_source = f"computed from the {len(kept)} training rows"
    mean, std, names = tuple(mean), tuple(std), tuple(class_names)
    return Data(name, kept, cut, tested, num_classes, mean, std, statistics_source, names)


def fewer_rows(data: Data, size: int, seed: int) -> Data:
    """The data set with `size` of its training rows, each class by its share; 0 keeps all of them.

    The rows depend on the labels, the size and the seed only and keep their index; mean and std stay those of the whole
    set.

    Raises:
      UsageError: a negative size, or one larger than the training rows.
    """
    rows = len(data.train)
    if not 0 <= size <= rows:
        raise UsageError(f"config.data.train_size={size} must be in 0..{rows}, the training rows of {data.name}")
    if size in (0, rows):
        return data
    return dataclasses.replace(data, train=_rows(data.train, stratified_cut(data.train.label, size, seed)[1]))


def _statistics(image: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    # What cannot be measured is left to Data, whose message says what is wrong.
    if image.ndim != 4 or not image.size or image.dtype not in (np.uint8, np.float32):
        return (), ()
    return channel_statistics(image)


def _split(name: str, title: str, arrays: tuple[np.ndarray, np.ndarray]) -> Split:
    image, label = arrays[0], np.asarray(arrays[1])
    if not np.issubdtype(label.dtype, np.integer):
        raise UsageError(f"{name}: labels of {title} are {label.dtype}; they must be integers")
    if label.ndim != 1 or len(label) != len(image):
        raise UsageError(f"{name}: labels of {title} have shape {label.shape}; {len(image)} images need as many")
    # Clipped first: a 64-bit label must not wrap round into the valid range.
    label = np.clip(label, -(2**31), 2**31 - 1).astype(np.int32)
    return Split(image, label, np.arange(len(label), dtype=np.int32))


def _cut(split: Split, size: int, seed: int) -> tuple[Split, Split]:
    kept, cut = stratified_cut(split.label, size, seed)
    # A slice, not an index, where nothing is cut: a memory-mapped training set then stays on disk.
    return _rows(split, kept if size else slice(None)), _rows(split, cut)


def _rows(split: Split, rows: np.ndarray | slice) -> Split:
    return Split(split.image[rows], split.label[rows], split.index[rows])
