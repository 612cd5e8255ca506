"""The two records every source returns: `Split`, rows, and `Dataset`, three splits and what is known of them."""

import dataclasses
from typing import Any

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.layout import check_layout, check_statistics
from jaxaug.data.lazy_images import LazyImages, LazyRows
from jaxaug.data.lazy_label_maps import LazyLabelMaps
from jaxaug.data.splits import check_sources, rows_to_cut, strata, stratified_split
from jaxaug.data.statistics import channel_statistics, chunks_of

MAP_TYPES = (np.int8, np.int16, np.int32)  # of label maps


@dataclasses.dataclass(frozen=True)
class Split:
    """Rows of images, a pytree once `jaxaug.data.sampler` is imported (this module needs numpy alone).

    Nothing is checked here, since a pytree is also filled with tracers and shardings; `Dataset` checks.

    Attributes:
      image: [N H W C], uint8 0..255, or float32 on the same 0..255 scale; an array or `LazyImages`.
      label: int32 [N], 0..num_classes-1, or -1: a training row without a label, or the padding of a last batch. Or
        label maps [N H W], of the smallest type of integers with a sign that holds the classes, -1 for void pixels; or
        `LazyLabelMaps`, beside lazy images.
      index: int32 [N], the row's position in the original training order; a validation cut keeps it, and validation
        rows that a source brings itself go on where the training rows end.
    """

    image: Any
    label: Any
    index: Any

    def __len__(self) -> int:
        return len(self.label)

    def at(self, rows: "np.ndarray | slice") -> "Split":
        """The split of these rows alone, int [M] or a slice."""
        image, label = (x.at(rows) if isinstance(x, LazyRows) else x[rows] for x in (self.image, self.label))
        return Split(image, label, self.index[rows])


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set, checked when built.

    Attributes:
      name: the name it was asked for by.
      train, validation, test: `Split`s; validation has no rows unless it was asked for. Where a source has no test
        rows of its own, `test is validation`.
      num_classes: K.
      mean, std: one float per channel, of pixels scaled to 0..1.
      statistics_source: where mean and std come from, in words.
      class_names: K names.
      clean_label: int32 [N], the true labels of the training rows where some were changed on purpose, -1 where nothing
        is known of a row without a label; None where nothing is known.
      files: the file of each training and validation row, looked up by the row's `index`, relative to its folder; None
        where rows are no files.

    Raises:
      UsageError: no training rows, a label outside 0..K-1, an index that two training rows have, images of unlike
        shapes, a wrong dtype, NaN, infinity or another scale in float images, statistics that are none of the 0..1
        scale, or statistics and names of the wrong length.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    statistics_source: str
    class_names: tuple[str, ...]
    clean_label: np.ndarray | None = None
    files: tuple[str, ...] | None = None

    def __post_init__(self):
        for title, split in self.splits().items():
            _check_arrays(self.name, title, split)
        if not len(self.train):
            raise UsageError(f"{self.name}: there are no training rows")
        for title, split in self.splits().items():
            if split.image.shape[1:] != self.image_shape:
                raise UsageError(
                    f"{self.name}: images of {title} are {split.image.shape[1:]} but those of train are "
                    f"{self.image_shape}"
                )
            _check_labels(self.name, title, split.label, self.num_classes)
            _check_values(self.name, title, split.image)
        _check_index(self)
        _check_clean(self)
        _check_lengths(self)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of every image."""
        return tuple(self.train.image.shape[1:])

    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def keep(self, rows: np.ndarray) -> "Dataset":
        """The set with the training rows number `rows` [M] alone; what is known of a row goes with it."""
        clean = None if self.clean_label is None else self.clean_label[rows]
        return dataclasses.replace(self, train=self.train.at(rows), clean_label=clean)


def _check_arrays(name: str, title: str, split: Split) -> None:
    if split.image.dtype not in (np.uint8, np.float32):
        raise UsageError(f"{name}: images of {title} are {split.image.dtype}; they must be uint8, or float32 on 0..255")
    if split.image.ndim != 4:
        raise UsageError(f"{name}: images of {title} have shape {split.image.shape}; it must be [N H W C]")
    if title == "train":  # the shape of which the other splits must have
        check_layout(f"{name}: {title}", split.image.shape)
    for field in ("label", "index"):
        array = getattr(split, field)
        is_map = field == "label" and array.ndim > 1
        if array.dtype != np.int32 and not (is_map and array.dtype in MAP_TYPES):
            raise UsageError(f"{name}: {field} of {title} is {array.dtype}; it must be int32")
        if is_map and array.shape != split.image.shape[:3]:
            raise UsageError(
                f"{name}: label maps of {title} have shape {array.shape}; those of images {split.image.shape} must be "
                f"{split.image.shape[:3]}"
            )
        if not is_map and array.shape != split.image.shape[:1]:
            raise UsageError(
                f"{name}: {field} of {title} has shape {array.shape}; {len(split.image)} images need "
                f"[{len(split.image)}]"
            )


def _check_labels(name: str, title: str, label: np.ndarray, num_classes: int) -> None:
    if label.ndim > 1:
        _check_maps(name, title, label, num_classes)
        return
    # A training row may have no label; whether that makes sense is for the task to say.
    wrong = np.flatnonzero((label < (-1 if title == "train" else 0)) | (label >= num_classes))
    if wrong.size:
        row = wrong[0]
        raise UsageError(
            f"{name}: row {row} of {title} has label {label[row]}; with {num_classes} classes it must be "
            f"0..{num_classes - 1}"
        )


def _check_maps(name: str, title: str, label: np.ndarray | LazyLabelMaps, num_classes: int) -> None:
    if isinstance(label, LazyLabelMaps) and label.counts[:, num_classes:].any():
        row, value = np.argwhere(label.counts[:, num_classes:])[0] + (0, num_classes)
        raise _beyond(name, title, row, value, num_classes)
    for part in chunks_of(label) if isinstance(label, np.ndarray) else ():
        maps, start = label[part], part.start
        wrong = np.argwhere((maps < -1) | (maps >= num_classes))
        if wrong.size:
            row, value = start + wrong[0][0], maps[tuple(wrong[0])]
            raise _beyond(name, title, row, value, num_classes)


def _beyond(name: str, title: str, row: int, value: int, num_classes: int) -> UsageError:
    return UsageError(
        f"{name}: the label map of row {row} of {title} has the number {value}; with {num_classes} classes it must be "
        f"0..{num_classes - 1}, or -1 for void"
    )


def class_counts_of(data: Dataset) -> np.ndarray:
    """int64 [K]: the training rows, or pixels, of each class."""
    counts, label = np.zeros(data.num_classes, np.int64), data.train.label
    if isinstance(label, LazyLabelMaps):
        counts[: label.counts.shape[1]] = label.counts.sum(axis=0)
        return counts
    for part in chunks_of(label):
        # Void pixels are counted in place 0, which is left out.
        numbers = label[part].astype(np.int32).ravel() + 1
        counts += np.bincount(numbers, minlength=data.num_classes + 1)[1:]
    return counts


def _check_values(name: str, title: str, image: np.ndarray) -> None:
    if image.dtype == np.uint8:
        return
    low, high = np.inf, -np.inf
    for part in chunks_of(image):
        finite = np.isfinite(image[part]).all(axis=(1, 2, 3))
        if not finite.all():
            row = part.start + int(np.argmin(finite))
            raise UsageError(f"{name}: row {row} of {title} has NaN or infinity in its image")
        low, high = min(low, image[part].min()), max(high, image[part].max())
    if low < 0 or high > 255 or 0 < high <= 1:  # neither is so where there is no row
        raise UsageError(
            f"{name}: images of {title} lie in {low:g}..{high:g}; floats must be on the scale 0..255: multiply those "
            "within 0..1 by 255"
        )


def _check_index(data: Dataset) -> None:
    index = data.train.index
    if index.min() < 0:
        raise UsageError(f"{data.name}: the index {index.min()} of a training row must be 0 or more")
    values, counts = np.unique(index, return_counts=True)
    if len(values) < len(index):
        raise UsageError(
            f"{data.name}: {counts.max()} training rows have the index {values[counts.argmax()]}; each needs one of "
            "its own, by which what is learned about it is found"
        )
    if data.files is not None and len(data.files) <= index.max():
        raise UsageError(f"{data.name}: {len(data.files)} files for training rows with an index up to {index.max()}")


def _check_clean(data: Dataset) -> None:
    clean, rows = data.clean_label, len(data.train)
    if clean is None:
        return
    if clean.dtype != np.int32 or clean.shape != (rows,):
        raise UsageError(
            f"{data.name}: the clean labels are {clean.dtype} of shape {clean.shape}; {rows} training rows need int32 "
            f"[{rows}]"
        )
    # Of rows without a label nothing need be known.
    known = clean[(data.train.label >= 0) | (clean != -1)] if data.train.label.ndim == 1 else clean
    _check_labels(data.name, "the clean labels of train", known, data.num_classes)


def _check_lengths(data: Dataset) -> None:
    channels = data.image_shape[-1]
    if len(data.mean) != channels or len(data.std) != channels:
        raise UsageError(
            f"{data.name}: images have {channels} channels, but mean has {len(data.mean)} values and std "
            f"{len(data.std)}"
        )
    check_statistics(data.name, data.mean, data.std)
    if len(data.class_names) != data.num_classes:
        raise UsageError(f"{data.name}: {len(data.class_names)} class names for {data.num_classes} classes")


# (image [N H W C], label [N] or [N H W]).
Rows = tuple[np.ndarray | LazyImages, np.ndarray | LazyLabelMaps]


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
) -> Dataset:
    """Builds a `Dataset` from two arrays per split, cutting the validation rows off the training rows.

    Args:
      name: the set's name, used in messages.
      train: (image [N H W C] uint8 or float32 0..255, label [N] integers 0..num_classes-1, or label maps [N H W] with
        -1 for void), in the order the set was published in.
      test: the same for the test rows; None where there are none: a run then reports on the validation rows.
      num_classes: K.
      class_names: K names.
      mean: per channel on the 0..1 scale; None computes it and std from the training rows left after the cut.
      std: as `mean`.
      statistics_source: where the given mean and std come from.
      validation_size: rows to cut, or, below 1, a share of the training rows; 0 cuts none.
      seed: of the cut, which depends on it, the labels and the size only; each class gives its share of rows
        (of label maps the rows are drawn without regard to what they show).
      validation: rows that the source sets apart itself, numbered on from the training rows; then nothing may be cut.
      clean_label: integers [N], the true labels of `train` where they are known to differ.
      files: one per row of `train`, then one per row of `validation`.

    Raises:
      UsageError: validation_size not smaller than the training rows, validation rows from two sides, neither test
        nor validation rows, or anything `Dataset` refuses.
    """
    check_sources(name, validation_size, validation=validation is not None, test=test is not None)
    whole = _split(name, "train", train)
    labelled = int((whole.label >= 0).sum()) if whole.label.ndim == 1 else len(whole)
    kept, cut = _cut(whole, rows_to_cut(validation_size, labelled, name), seed)
    if validation is not None:
        cut = _split(name, "validation", validation, first=len(whole))
    tested = cut if test is None else _split(name, "test", test)
    if (mean is None) != (std is None):
        raise UsageError(f"{name}: mean and std go together: give both, or none")
    if mean is None or std is None:
        mean, std = _statistics(kept.image)
        statistics_source = f"computed from the {len(kept)} training rows"
    if clean_label is not None:
        clean_label = _label(name, "train (clean)", clean_label, len(whole))[kept.index]
    mean, std, names = tuple(mean), tuple(std), tuple(class_names)
    return Dataset(name, kept, cut, tested, num_classes, mean, std, statistics_source, names, clean_label, files)


def _statistics(image: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    # What cannot be measured is left to Dataset, whose message says what is wrong.
    if image.ndim != 4 or not len(image) or image.dtype not in (np.uint8, np.float32):
        return (), ()
    return channel_statistics(image)


def _split(name: str, title: str, arrays: Rows, first: int = 0) -> Split:
    image, label = arrays[0], _label(name, title, arrays[1], len(arrays[0]))
    return Split(image, label, np.arange(first, first + len(label), dtype=np.int32))


def _label(name: str, title: str, label: Any, rows: int) -> Any:
    if isinstance(label, LazyLabelMaps):
        return label
    label = np.asarray(label)
    if not np.issubdtype(label.dtype, np.integer):
        raise UsageError(f"{name}: labels of {title} are {label.dtype}; they must be integers")
    if label.ndim == 3 and len(label) == rows:
        low, high = (int(label.min()), int(label.max())) if label.size else (0, 0)
        fitting = [kind for kind in MAP_TYPES if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max]
        return label.astype(fitting[0] if fitting else np.int32, copy=False)
    if label.ndim != 1 or len(label) != rows:
        raise UsageError(f"{name}: labels of {title} have shape {label.shape}; {rows} images need as many")
    # Clipped first: a 64-bit label must not wrap round into the valid range.
    return np.clip(label, -(2**31), 2**31 - 1).astype(np.int32)


def _cut(split: Split, size: int, seed: int) -> tuple[Split, Split]:
    known = np.flatnonzero(strata(split.label) >= 0)
    cut = known[stratified_split(strata(split.label)[known], size, seed)[1]]
    kept = np.delete(np.arange(len(split)), cut)
    # A slice, not an index, where nothing is cut: a memory-mapped training set then stays on disk.
    return split.at(kept if size else slice(None)), split.at(cut)
