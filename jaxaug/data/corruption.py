"""Training rows made worse on purpose, to see what a method makes of them: fewer, unbalanced, wrongly labelled.

The protocol is that of AutoDO (Gudovskiy et al. 2021, and the released code): the validation rows are cut off before,
class by class, and stay clean.
"""

import dataclasses
import math
import pathlib
import zipfile
from typing import Any

import numpy as np

from jaxaug.core.atomic_io import write_npz
from jaxaug.core.errors import UsageError
from jaxaug.core.random import numpy_generator
from jaxaug.data.dataset import Dataset, Split

ROWS = ("train", "validation", "both")
ABLATIONS = ("", "overfit", "oversplit")

# Each choice has random numbers of its own, apart from those of the cut and of the epochs: another share of noise then
# leaves the rows as they were.
_SUBSAMPLE, _IMBALANCE, _NOISY, _NOISE = range(2**32 - 5, 2**32 - 1)


def corrupt(data: Dataset, config) -> Dataset:
    """The data set with distorted training rows; the same object where nothing is asked for.

    What is drawn is a function of the training labels, the seed and the three numbers, so that two methods meet the
    same rows. Where the noise alone differs, the rows are the same, and labels replaced with less of it are replaced
    by the same ones with more. Each row keeps its index; mean and std stay those of the whole set.

    Args:
      data: the set, its validation rows cut off.
      config: seed and, in the order they are applied,
        subsample: share of the training rows kept, drawn without regard to their class.
        imbalance: rows of the lower half of the classes (below K // 2) to one of the upper half; rows of the upper half
          are dropped, drawn without regard to their class, so that one of them may be left with none.
        noise: share of these rows that get a label drawn uniformly over all K classes, which may be their own: a share
          of noise * (K - 1) / K becomes wrong.
        rows: what the model trains on: "train"; "validation", the clean validation rows alone; "both".
        ablation: "overfit": the validation rows are the test rows, numbered on from the others. "oversplit": training
          rows are the whole training set, former validation rows too, with the noisy labels where one was drawn;
          validation rows are the same rows with the labels they came with (so in the released code, which swaps the
          loaders alone).

    Raises:
      UsageError: a number out of range or that the rows do not allow, an unknown word, rows that are not there, or
        training on the rows that a run reports on.
    """
    _check_numbers(config)
    _check_words(data, config)
    drawing = (config.subsample, config.imbalance, config.noise) != (1, 1, 0)
    if not drawing and config.rows == "train" and not config.ablation:
        return data
    whole, rows = _distorted(data, config) if drawing else (data, None)
    if config.ablation == "oversplit":
        everything = _with_validation(whole)
        label = _joined(data, data.train.label, data.validation.label)
        trusted = dataclasses.replace(everything.train, label=label)
        return dataclasses.replace(everything, validation=trusted)
    kept = whole if rows is None else whole.keep(rows)
    if config.ablation == "overfit":
        return dataclasses.replace(kept, validation=_numbered_on(data))
    if config.rows == "validation":
        return dataclasses.replace(kept, train=data.validation, clean_label=None)
    return _with_validation(kept) if config.rows == "both" else kept


def save_rows(path: pathlib.Path, data: Dataset) -> None:
    """Writes which rows and labels a run has: an .npz, whole or not at all; one process of a run calls it.

    It holds train_index and given_label [N], clean_label [N] where it is known, and validation_index, all int32.
    """
    write_npz(path, _record(data))


def same_rows(path: pathlib.Path, data: Dataset) -> bool:
    """Whether a file of `save` has the rows and labels of `data`.

    Raises:
      UsageError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            saved = {key: content[key] for key in content.files}
    # A plain .npy gives an array, which is no context manager: TypeError or AttributeError.
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"{path}, which says what the run was trained on, cannot be read: {error}; start the run anew in another "
            "workdir"
        ) from error
    present = _record(data)
    return saved.keys() == present.keys() and all(np.array_equal(saved[key], present[key]) for key in present)


def _record(data: Dataset) -> dict[str, Any]:
    clean = {} if data.clean_label is None else {"clean_label": data.clean_label}
    given = {"train_index": data.train.index, "given_label": data.train.label}
    return {**given, "validation_index": data.validation.index, **clean}


def _distorted(data: Dataset, config) -> tuple[Dataset, np.ndarray | None]:
    """(the set with noise in the labels of the rows to be kept, the rows to be kept or None for all)."""
    label = data.train.label
    rows = np.arange(len(label))
    if config.subsample < 1:
        rows = _drawn(rows, int(len(rows) * config.subsample), config.seed, _SUBSAMPLE)
    if not len(rows):
        raise UsageError(
            f"config.data.subsample={config.subsample} leaves none of the {len(label)} training rows of {data.name}"
        )
    if config.imbalance > 1:
        rows = _unbalanced(data, rows, config)
    kept = rows if len(rows) < len(label) else None
    if not config.noise:
        return data, kept
    noisy = label.copy()
    noisy_rows = numpy_generator(config.seed, _NOISY).permutation(rows)[: round(config.noise * len(rows))]
    drawn = numpy_generator(config.seed, _NOISE).integers(data.num_classes, size=len(rows))
    noisy[noisy_rows] = drawn[: len(noisy_rows)]
    clean = label if data.clean_label is None else data.clean_label
    train = Split(data.train.image, noisy, data.train.index)
    return dataclasses.replace(data, train=train, clean_label=clean), kept


def _unbalanced(data: Dataset, rows: np.ndarray, config) -> np.ndarray:
    middle = data.num_classes // 2
    upper = data.train.label[rows] >= middle
    count, lower = int(upper.sum()), int((~upper).sum())
    size = int(lower / config.imbalance)
    if not (count and lower):
        raise UsageError(
            f"config.data.imbalance={config.imbalance} needs training rows in both halves of the classes; {data.name} "
            f"has {lower} below class {middle} and {count} from there on"
        )
    if not 1 <= size <= count:
        raise UsageError(
            f"config.data.imbalance={config.imbalance} asks for {size} rows of the classes from {middle} on, against "
            f"{lower} of those below; {data.name} has {count}, so the ratio must lie in "
            f"{lower / count:.6g}..{lower}"
        )
    return np.sort(np.concatenate([rows[~upper], _drawn(rows[upper], size, config.seed, _IMBALANCE)]))


def _drawn(rows: np.ndarray, size: int, seed: int, stream: int) -> np.ndarray:
    return np.sort(numpy_generator(seed, stream).permutation(rows)[:size])


def _with_validation(data: Dataset) -> Dataset:
    """The set that trains on its validation rows too, in the order of their index; they count as clean."""
    fields = ("image", "label", "index")
    both = Split(*(_joined(data, getattr(data.train, name), getattr(data.validation, name)) for name in fields))
    clean = None if data.clean_label is None else _joined(data, data.clean_label, data.validation.label)
    return dataclasses.replace(data, train=both, clean_label=clean)


def _joined(data: Dataset, train: np.ndarray, validation: np.ndarray) -> np.ndarray:
    """What belongs to the training rows and what belongs to the validation rows, in the order of the rows' index."""
    if not len(validation):
        return train
    order = np.argsort(np.concatenate([data.train.index, data.validation.index]))
    return np.concatenate([train, validation])[order]


def _numbered_on(data: Dataset) -> Split:
    """The test rows, with indices that no training or validation row has."""
    indices = np.concatenate([data.train.index, data.validation.index])
    first = max(int(indices.max()) + 1, len(data.files or ()))
    return dataclasses.replace(data.test, index=np.arange(first, first + len(data.test), dtype=np.int32))


def _check_numbers(config) -> None:
    # NaN fails every comparison.
    for name, valid, range_ in (
        ("imbalance", 1 <= config.imbalance < math.inf, "1 or more, rows of the lower classes to one of the upper"),
        ("noise", 0 <= config.noise < 1, "a share from 0 to below 1"),
        ("subsample", 0 < config.subsample <= 1, "a share above 0, up to 1"),
    ):
        if not valid:
            raise UsageError(f"config.data.{name}={config[name]} must be {range_}")
    for name, words in (("rows", ROWS), ("ablation", ABLATIONS)):
        if config[name] not in words:
            raise UsageError(f"config.data.{name}={config[name]!r} must be one of {', '.join(map(repr, words))}")


def _check_words(data: Dataset, config) -> None:
    rows, ablation = config.rows, config.ablation
    if data.num_classes < 2 and (config.imbalance > 1 or config.noise):
        raise UsageError(f"{data.name} has one class, which can have neither imbalance nor noise in its labels")
    if ablation and rows != "train":
        raise UsageError(
            f"config.data.ablation={ablation!r} and config.data.rows={rows!r} both say what to train on: leave one out"
        )
    if rows != "train" and not len(data.validation):
        raise UsageError(
            f"config.data.rows={rows!r} needs validation rows, of which {data.name} has none: set "
            "config.data.validation_size"
        )
    if data.test is data.validation and (ablation or rows != "train"):
        asked = f"ablation={ablation!r}" if ablation else f"rows={rows!r}"
        raise UsageError(
            f"config.data.{asked} needs test rows: {data.name} has none of its own and reports on its validation rows"
        )
