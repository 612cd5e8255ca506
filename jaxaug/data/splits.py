"""Cutting some rows off a labelled set: seeded, of an exact size, each class by its share."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.random import HostStream, numpy_generator

# What the rows of a split may be called, in folders and tables.
SPLIT_WORDS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}

if TYPE_CHECKING:
    from jaxaug.data.dataset import Dataset


def check_sources(name: str, size: float, *, validation: bool, test: bool) -> None:
    """Refuses a source from which no figure, or no single validation split, could be made.

    Args:
      name: the set's name, used in messages.
      size: validation_size as asked for.
      validation, test: whether the source brings such rows itself.

    Raises:
      UsageError: it has validation rows and more are to be cut; or there are neither test nor validation rows.
    """
    if validation and size:
        raise UsageError(
            f"{name} has validation rows of its own: set validation_size to 0, not to {size:.12g}, or take them away"
        )
    if not (validation or test or size):
        raise UsageError(
            f"{name} has neither test nor validation rows, so that no figure could be reported: add some, or cut them "
            "off the training rows with validation_size"
        )


def rows_to_cut(size: float, rows: int, name: str = "rows_to_cut", option: str = "validation_size") -> int:
    """How many rows an option such as `validation_size` asks for.

    Args:
      size: below 1 a share of `rows`, from 1 on a whole number of them.
      rows: training rows there are.
      name: what a message starts with, the name of the set.
      option: what the size is called in a message.

    Raises:
      UsageError: a negative or broken size, or one that leaves no training row.
    """
    wanted = round(size * rows) if 0 < size < 1 else size
    if 0 < size < 1 and not wanted and rows:
        raise UsageError(
            f"{name}: {option}={size:.12g} of {rows} training rows is not one row: set a number of rows, or 0"
        )
    if not (0 <= wanted < max(rows, 1) and wanted == int(wanted)):
        raise UsageError(
            f"{name}: {option}={size:.12g} must be smaller than the {rows} training rows: a whole number of rows, "
            "or a share between 0 and 1"
        )
    return int(wanted)


def counts_per_class(counts: np.ndarray, size: int) -> np.ndarray:
    """Shares `size` rows out over classes in proportion to `counts`, by largest remainders.

    Args:
      counts: int [K], rows per class.
      size: 0..sum(counts).

    Returns:
      int [K], each within one of counts * size / sum(counts), with sum `size`. Equal remainders go to the
      lower class.
    """
    counts = np.asarray(counts, np.int64)
    total = max(int(counts.sum()), 1)
    shares = counts * size // total
    remainders = counts * size % total
    shares[np.argsort(-remainders, kind="stable")[: size - shares.sum()]] += 1
    return shares


def strata(label: np.ndarray) -> np.ndarray:
    """int [N]: what rows are drawn by their share of, the labels [N]; one for all rows of label maps [N H W]."""
    return label if label.ndim == 1 else np.zeros(len(label), np.int32)


def stratified_split(label: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits rows in two, a function of the labels, the size and the seed only.

    Args:
      label: int [N].
      size: rows in the second part, 0..N-1.
      seed: 0 or more.

    Returns:
      (kept int [N - size], cut int [size]), both ascending.
    """
    classes, counts = np.unique(label, return_counts=True)
    random = numpy_generator(seed, HostStream.SPLIT)
    chosen = np.zeros(len(label), bool)
    for which, share in zip(classes, counts_per_class(counts, size), strict=True):
        members = np.flatnonzero(label == which)
        chosen[random.permutation(members)[:share]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def subset_rows(data: Dataset, size: int, seed: int = 0) -> Dataset:
    """The data set with `size` of its training rows, each class by its share; 0 keeps all of them.

    The rows depend on the labels, the size and the seed only and keep their index; mean and std stay those of the whole
    set.

    Args:
      data: the set.
      size: training rows to keep, 0..N.
      seed: of the choice, 0..2**32 - 1.

    Raises:
      UsageError: no whole number, a negative one, or more than the training rows.
    """
    rows = len(data.train)
    if not 0 <= size <= rows or size != int(size):
        raise UsageError(f"{data.name}: train_size={size} must be a whole number in 0..{rows}, its training rows")
    if size in (0, rows):
        return data
    return data.keep(stratified_split(strata(data.train.label), int(size), seed)[1])


def keep_labels(data: Dataset, per_class: int, seed: int = 0) -> Dataset:
    """The data set in which `per_class` training rows of each class keep their label; the others get -1.

    Which rows is a function of the labels, the number and the seed.

    Args:
      data: the set.
      per_class: labelled rows of each class; 0 keeps all labels.
      seed: of the choice, 0..2**32 - 1.

    Raises:
      UsageError: no whole number, a negative one or one that a class has not enough rows for, or label maps.
    """
    label = data.train.label
    if not per_class:
        return data
    if per_class < 0 or per_class != int(per_class) or label.ndim > 1:
        raise UsageError(
            f"{data.name}: labels_per_class={per_class} must be a whole number, 0 or more, and 0 for label maps"
        )
    counts = np.bincount(label[label >= 0], minlength=data.num_classes)
    if counts.min() < per_class:
        least = int(counts.argmin())
        raise UsageError(
            f"{data.name}: labels_per_class={per_class}, but class {data.class_names[least]!r} has {counts[least]} "
            "labelled training rows"
        )
    random, kept = numpy_generator(seed, HostStream.KEPT_LABELS), np.full_like(label, -1)
    for which in range(data.num_classes):
        kept[random.permutation(np.flatnonzero(label == which))[: int(per_class)]] = which
    return dataclasses.replace(data, train=dataclasses.replace(data.train, label=kept))


def keep_unlabelled(data: Dataset, count: int, seed: int = 0) -> Dataset:
    """The data set with all its labelled training rows and `count` of those without a label.

    Args:
      data: the set.
      count: rows without a label; 0 keeps all of them.
      seed: of the choice, which depends on it and on their number only, 0..2**32 - 1.

    Raises:
      UsageError: a negative number, or more than there are.
    """
    label = data.train.label
    without = np.flatnonzero(label < 0) if label.ndim == 1 else np.zeros(0, np.int64)
    if not 0 <= count <= len(without) or count != int(count):
        raise UsageError(
            f"{data.name}: unlabelled={count} must be a whole number in 0..{len(without)}, its training rows without a "
            "label"
        )
    if count in (0, len(without)):
        return data
    left_out = numpy_generator(seed, HostStream.KEPT_UNLABELLED).permutation(without)[int(count) :]
    return data.keep(np.setdiff1d(np.arange(len(label)), left_out))
