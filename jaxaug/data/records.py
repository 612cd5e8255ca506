"""The two records every source returns: `Split`, rows, and `Data`, three splits and what is known of them."""

import dataclasses
from typing import Any

import numpy as np

from jaxaug.errors import UsageError

# Float images are searched for NaN this many rows at a time, so that a memory-mapped set is never held twice.
CHUNK_ROWS = 4096


@dataclasses.dataclass(frozen=True)
class Split:
    """Rows of images, a pytree once `jaxaug.data.batches` is imported (this module needs numpy alone).

    Nothing is checked here, since a pytree is also filled with tracers and shardings; `Data` checks.

    Attributes:
      image: [N H W C], uint8 0..255, or float32 on the same 0..255 scale.
      label: int32 [N], 0..num_classes-1, or -1 for the padding of a last batch.
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
        return Split(self.image[rows], self.label[rows], self.index[rows])


@dataclasses.dataclass(frozen=True)
class Data:
    """A data set, checked when built.

    Attributes:
      name: the name it was asked for by.
      train, validation, test: `Split`s; validation has no rows unless it was asked for. Where a source has no test
        rows of its own, `test is validation`.
      num_classes: K.
      mean, std: one float per channel, of pixels scaled to 0..1.
      statistics_source: where mean and std come from, in words.
      class_names: K names.
      clean_label: int32 [N], the true labels of the training rows where some were changed on purpose; None where
        nothing is known.
      files: the file of each training and validation row, looked up by the row's `index`, relative to config.path; None
        where rows are no files.

    Raises:
      UsageError: no training rows, a label outside 0..K-1, an index that two training rows have, images of unlike
        shapes, a wrong dtype, NaN or infinity in float images, or statistics and names of the wrong length.
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
            _check_finite(self.name, title, split.image)
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

    def keep(self, rows: np.ndarray) -> "Data":
        """The set with the training rows number `rows` [M] alone; what is known of a row goes with it."""
        clean = None if self.clean_label is None else self.clean_label[rows]
        return dataclasses.replace(self, train=self.train.at(rows), clean_label=clean)


def _check_arrays(name: str, title: str, split: Split) -> None:
    if split.image.dtype not in (np.uint8, np.float32):
        raise UsageError(f"{name}: images of {title} are {split.image.dtype}; they must be uint8, or float32 on 0..255")
    if split.image.ndim != 4:
        raise UsageError(f"{name}: images of {title} have shape {split.image.shape}; it must be [N H W C]")
    for field in ("label", "index"):
        array = getattr(split, field)
        if array.dtype != np.int32:
            raise UsageError(f"{name}: {field} of {title} is {array.dtype}; it must be int32")
        if array.shape != split.image.shape[:1]:
            raise UsageError(
                f"{name}: {field} of {title} has shape {array.shape}; {len(split.image)} images need "
                f"[{len(split.image)}]"
            )


def _check_labels(name: str, title: str, label: np.ndarray, num_classes: int) -> None:
    wrong = np.flatnonzero((label < 0) | (label >= num_classes))
    if wrong.size:
        row = wrong[0]
        raise UsageError(
            f"{name}: row {row} of {title} has label {label[row]}; with {num_classes} classes it must be "
            f"0..{num_classes - 1}"
        )


def _check_finite(name: str, title: str, image: np.ndarray) -> None:
    if image.dtype == np.uint8:
        return
    for start in range(0, len(image), CHUNK_ROWS):
        finite = np.isfinite(image[start : start + CHUNK_ROWS]).all(axis=(1, 2, 3))
        if not finite.all():
            row = start + int(np.argmin(finite))
            raise UsageError(f"{name}: row {row} of {title} has NaN or infinity in its image")


def _check_index(data: Data) -> None:
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


def _check_clean(data: Data) -> None:
    clean, rows = data.clean_label, len(data.train)
    if clean is None:
        return
    if clean.dtype != np.int32 or clean.shape != (rows,):
        raise UsageError(
            f"{data.name}: the clean labels are {clean.dtype} of shape {clean.shape}; {rows} training rows need int32 "
            f"[{rows}]"
        )
    _check_labels(data.name, "the clean labels of train", clean, data.num_classes)


def _check_lengths(data: Data) -> None:
    channels = data.image_shape[-1]
    if len(data.mean) != channels or len(data.std) != channels:
        raise UsageError(
            f"{data.name}: images have {channels} channels, but mean has {len(data.mean)} values and std "
            f"{len(data.std)}"
        )
    if len(data.class_names) != data.num_classes:
        raise UsageError(f"{data.name}: {len(data.class_names)} class names for {data.num_classes} classes")
