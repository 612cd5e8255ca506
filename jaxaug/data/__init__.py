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

import numpy as np

from jaxaug.data.cut import check_sources, rows_in_cut, stratified_cut
from jaxaug.data.places import Places, find_places
from jaxaug.data.records import Data, Split
from jaxaug.data.statistics import channel_statistics
from jaxaug.errors import UsageError

# (image [N H W C], label [N]).
Rows = tuple[np.ndarray, np.ndarray]

__all__ = ["Data", "Places", "Split", "assemble", "fewer_rows", "find_places"]


def assemble(
    name: str,
    train: Rows,
    test: Rows | None,
    *,
    num_classes: int,
    class_names: tuple[str, ...],
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    statistics_source: str = "",
    validation_size: float = 0,
    seed: int = 0,
    validation: Rows | None = None,
    clean_label: np.ndarray | None = None,
    files: tuple[str, ...] | None = None,
) -> Data:
    """Builds a `Data` from two arrays per split, cutting the validation rows off the training rows.

    Args:
      name: the set's name, used in messages.
      train: (image [N H W C] uint8 or float32 0..255, label [N] integers 0..num_classes-1), in the order the
        set was published in.
      test: the same for the test rows; None where there are none: a run then reports on the validation rows.
      num_classes: K.
      class_names: K names.
      mean, std: per channel on the 0..1 scale; None computes both from the training rows left after the cut.
      statistics_source: where the given mean and std come from.
      validation_size: rows to cut, or, below 1, a share of the training rows; 0 cuts none.
      seed: of the cut, which depends on it, the labels and the size only; each class gives its share of rows.
      validation: rows that the source sets apart itself, numbered on from the training rows; then nothing may be cut.
      clean_label: integers [N], the true labels of `train` where they are known to differ.
      files: one per row of `train`, then one per row of `validation`.

    Raises:
      UsageError: validation_size not smaller than the training rows, validation rows from two sides, neither test
        nor validation rows, or anything `Data` refuses.
    """
    check_sources(name, validation_size, validation=validation is not None, test=test is not None)
    whole = _split(name, "train", train)
    kept, cut = _cut(whole, rows_in_cut(validation_size, len(whole)), seed)
    if validation is not None:
        cut = _split(name, "validation", validation, first=len(whole))
    tested = cut if test is None else _split(name, "test", test)
    if mean is None or std is None:
        mean, std = _statistics(kept.image)
        statistics_source = f"computed from the {len(kept)} training rows"
    if clean_label is not None:
        clean_label = _label(name, "train (clean)", clean_label, len(whole))[kept.index]
    mean, std, names = tuple(mean), tuple(std), tuple(class_names)
    return Data(name, kept, cut, tested, num_classes, mean, std, statistics_source, names, clean_label, files)


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
    return data.keep(stratified_cut(data.train.label, size, seed)[1])


def _statistics(image: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    # What cannot be measured is left to Data, whose message says what is wrong.
    if image.ndim != 4 or not image.size or image.dtype not in (np.uint8, np.float32):
        return (), ()
    return channel_statistics(image)


def _split(name: str, title: str, arrays: Rows, first: int = 0) -> Split:
    image, label = arrays[0], _label(name, title, arrays[1], len(arrays[0]))
    return Split(image, label, np.arange(first, first + len(label), dtype=np.int32))


def _label(name: str, title: str, label: np.ndarray, rows: int) -> np.ndarray:
    label = np.asarray(label)
    if not np.issubdtype(label.dtype, np.integer):
        raise UsageError(f"{name}: labels of {title} are {label.dtype}; they must be integers")
    if label.ndim != 1 or len(label) != rows:
        raise UsageError(f"{name}: labels of {title} have shape {label.shape}; {rows} images need as many")
    # Clipped first: a 64-bit label must not wrap round into the valid range.
    return np.clip(label, -(2**31), 2**31 - 1).astype(np.int32)


def _cut(split: Split, size: int, seed: int) -> tuple[Split, Split]:
    kept, cut = stratified_cut(split.label, size, seed)
    # A slice, not an index, where nothing is cut: a memory-mapped training set then stays on disk.
    return split.at(kept if size else slice(None)), split.at(cut)
