"""Training rows made worse on purpose, to see what a method makes of them: fewer, unbalanced, wrongly labelled.

The protocol is that of AutoDO (Gudovskiy et al. 2021, and the released code): the validation rows are cut off before,
class by class, and stay clean.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.random import HostStream, numpy_generator
from jaxaug.data.dataset import Dataset, Split
from jaxaug.data.lazy_images import LazyRows

ROWS = ("train", "validation", "both")
ABLATIONS = ("", "overfit", "oversplit")


class _Corruption(NamedTuple):
    """The options of `corrupt`."""

    seed: int
    subsample: float
    imbalance: float
    noise: float
    rows: str
    ablation: str


def corrupt(
    data: Dataset,
    *,
    seed: int = 0,
    subsample: float = 1.0,
    imbalance: float = 1.0,
    noise: float = 0.0,
    rows: str = "train",
    ablation: str = "",
) -> Dataset:
    """The data set with corrupted training rows; the same object where nothing is asked for.

    What is drawn is a function of the training labels, the seed and the three numbers, so that two methods meet the
    same rows. Where the noise alone differs, the rows are the same, and labels replaced with less of it are replaced
    by the same ones with more. Each row keeps its index; mean and std stay those of the whole set. The numbers are
    applied in the order in which they stand.

    Args:
      data: the set, its validation rows cut off.
      seed: of all that is drawn, 0..2**32 - 1.
      subsample: share of the training rows kept, drawn without regard to their class, above 0 and up to 1.
      imbalance: rows of the lower half of the classes (below K // 2) to one of the upper half, 1 or more; rows of the
        upper half are dropped, drawn without regard to their class, so that one of them may be left with none.
      noise: share of these rows that get a label drawn uniformly over all K classes, which may be their own: a share
        of noise * (K - 1) / K becomes wrong. 0 to below 1.
      rows: what the model trains on: "train"; "validation", the clean validation rows alone; "both".
      ablation: "overfit": the validation rows are the test rows, numbered on from the others. "oversplit": training
        rows are the whole training set, former validation rows too, with the noisy labels where one was drawn;
        validation rows are the same rows with the labels they came with (so in the released code, which swaps the
        loaders alone).

    Raises:
      UsageError: a number out of range or that the rows do not allow, an unknown word, rows that are not there, or
        training on the rows that a run reports on.
    """
    asked = _Corruption(seed, subsample, imbalance, noise, rows, ablation)
    _check_numbers(data, asked)
    _check_words(data, asked)
    drawing = (subsample, imbalance, noise) != (1, 1, 0)
    if not drawing and rows == "train" and not ablation:
        return data
    whole, kept_rows = _drawn_rows(data, asked) if drawing else (data, None)
    if ablation == "oversplit":
        everything = _with_validation(whole)
        label = _joined(data, data.train.label, data.validation.label)
        return dataclasses.replace(everything, validation=dataclasses.replace(everything.train, label=label))
    kept = whole if kept_rows is None else whole.keep(kept_rows)
    if ablation == "overfit":
        return dataclasses.replace(kept, validation=_numbered_on(data))
    if rows == "validation":
        return dataclasses.replace(kept, train=data.validation, clean_label=None)
    return _with_validation(kept) if rows == "both" else kept


def _drawn_rows(data: Dataset, asked: _Corruption) -> tuple[Dataset, np.ndarray | None]:
    """(the set with noise in the labels of the rows to be kept, the rows to be kept or None for all)."""
    label = data.train.label
    rows = np.arange(len(label))
    if asked.subsample < 1:
        rows = _drawn(rows, int(len(rows) * asked.subsample), asked.seed, HostStream.SUBSAMPLE)
    if not len(rows):
        raise UsageError(f"{data.name}: subsample={asked.subsample} leaves none of the {len(label)} training rows")
    if asked.imbalance > 1:
        rows = _unbalanced(data, rows, asked)
    kept = rows if len(rows) < len(label) else None
    if not asked.noise:
        return data, kept
    noisy = label.copy()
    noisy_rows = numpy_generator(asked.seed, HostStream.NOISY_ROWS).permutation(rows)[: round(asked.noise * len(rows))]
    drawn = numpy_generator(asked.seed, HostStream.NOISY_LABELS).integers(data.num_classes, size=len(rows))
    noisy[noisy_rows] = drawn[: len(noisy_rows)]
    clean = label if data.clean_label is None else data.clean_label
    train = Split(data.train.image, noisy, data.train.index)
    return dataclasses.replace(data, train=train, clean_label=clean), kept


def _unbalanced(data: Dataset, rows: np.ndarray, asked: _Corruption) -> np.ndarray:
    middle = data.num_classes // 2
    upper = data.train.label[rows] >= middle
    count, lower = int(upper.sum()), int((~upper).sum())
    size = int(lower / asked.imbalance)
    if not (count and lower):
        raise UsageError(
            f"{data.name}: imbalance={asked.imbalance} needs training rows in both halves of the classes; it has "
            f"{lower} below class {middle} and {count} from there on"
        )
    if not 1 <= size <= count:
        raise UsageError(
            f"{data.name}: imbalance={asked.imbalance} asks for {size} rows of the classes from {middle} on, against "
            f"{lower} of those below; it has {count}, so the ratio must lie in {lower / count:.6g}..{lower}"
        )
    return np.sort(np.concatenate([rows[~upper], _drawn(rows[upper], size, asked.seed, HostStream.IMBALANCE)]))


def _drawn(rows: np.ndarray, size: int, seed: int, stream: int) -> np.ndarray:
    return np.sort(numpy_generator(seed, stream).permutation(rows)[:size])


def _with_validation(data: Dataset) -> Dataset:
    """The set that trains on its validation rows too, in the order of their index; they count as clean."""
    fields = ("image", "label", "index")
    both = Split(*(_joined(data, getattr(data.train, name), getattr(data.validation, name)) for name in fields))
    clean = None if data.clean_label is None else _joined(data, data.clean_label, data.validation.label)
    return dataclasses.replace(data, train=both, clean_label=clean)


def _joined(data: Dataset, train: Any, validation: Any) -> Any:
    """What belongs to the training rows and what belongs to the validation rows, in the order of the rows' index."""
    if not len(validation):
        return train
    order = np.argsort(np.concatenate([data.train.index, data.validation.index]))
    if isinstance(train, LazyRows):
        return train.joined(validation).at(order)
    return np.concatenate([train, validation])[order]


def _numbered_on(data: Dataset) -> Split:
    """The test rows, with indices that no training or validation row has."""
    indices = np.concatenate([data.train.index, data.validation.index])
    first = max(int(indices.max()) + 1, len(data.files or ()))
    return dataclasses.replace(data.test, index=np.arange(first, first + len(data.test), dtype=np.int32))


def _check_numbers(data: Dataset, asked: _Corruption) -> None:
    # NaN fails every comparison.
    for name, valid, range_ in (
        ("imbalance", 1 <= asked.imbalance < math.inf, "1 or more, rows of the lower classes to one of the upper"),
        ("noise", 0 <= asked.noise < 1, "a share from 0 to below 1"),
        ("subsample", 0 < asked.subsample <= 1, "a share above 0, up to 1"),
    ):
        if not valid:
            raise UsageError(f"{data.name}: {name}={getattr(asked, name)} must be {range_}")
    of_labels = (asked.imbalance, asked.noise) != (1, 0)
    if of_labels and data.train.label.ndim > 1:
        raise UsageError(
            f"{data.name}: imbalance and noise are of one label for each image, its rows have label maps: leave them "
            "at 1 and 0"
        )
    if of_labels and data.train.label.min() < 0:
        raise UsageError(f"{data.name}: imbalance and noise are of labels, which some of its training rows have not")
    for name, words in (("rows", ROWS), ("ablation", ABLATIONS)):
        if getattr(asked, name) not in words:
            valid_words = ", ".join(map(repr, words))
            raise UsageError(f"{data.name}: {name}={getattr(asked, name)!r} must be one of {valid_words}")


def _check_words(data: Dataset, asked: _Corruption) -> None:
    rows, ablation = asked.rows, asked.ablation
    if data.num_classes < 2 and (asked.imbalance > 1 or asked.noise):
        raise UsageError(f"{data.name} has one class, which can have neither imbalance nor noise in its labels")
    if ablation and rows != "train":
        raise UsageError(
            f"{data.name}: ablation={ablation!r} and rows={rows!r} both say what to train on: leave one out"
        )
    if rows != "train" and not len(data.validation):
        raise UsageError(f"{data.name}: rows={rows!r} needs validation rows, of which it has none: set validation_size")
    if data.test is data.validation and (ablation or rows != "train"):
        option = f"ablation={ablation!r}" if ablation else f"rows={rows!r}"
        raise UsageError(
            f"{data.name}: {option} needs test rows; it has none of its own and reports on its validation rows"
        )
