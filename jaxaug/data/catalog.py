"""Data sets by name: `load`, the one way from a name and plain keywords to a `Dataset`; `list_datasets`."""

from __future__ import annotations

import fnmatch
import inspect
from collections.abc import Callable
from typing import Any

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import call, check_options, list_names, resolve
from jaxaug.data.corruption import corrupt
from jaxaug.data.dataset import Dataset
from jaxaug.data.label_files import relabel
from jaxaug.data.splits import keep_labels, keep_unlabelled, subset_rows


def load(
    name: str,
    *,
    validation_size: float = 0.0,
    labels: str = "",
    train_size: int = 0,
    labels_per_class: int = 0,
    unlabelled: int = 0,
    seed: int = 0,
    subsample: float = 1.0,
    imbalance: float = 1.0,
    noise: float = 0.0,
    rows: str = "train",
    ablation: str = "",
    directory: str = "",
    download: bool = True,
    **options: Any,
) -> Dataset:
    """Load a data set by name; training rows may be cut off for validation, left out, or corrupted.

    Args:
      name: one of `list_datasets()`, or the dotted name of a function from outside jaxaug that returns a `Dataset`.
      validation_size: training rows to cut off for validation, class by class: below 1 a share, else a number of rows.
      labels: a file, .csv or .npy, whose labels replace those of the training rows: corrected ones, or other people's.
        A row with an empty label (-1 in .npy) is left out. See `label_files.relabel`.
      train_size: training rows to keep, each class by its share; 0 keeps all.
      labels_per_class: training rows of each class that keep their label, for tasks that learn from the other images
        too; 0 keeps all labels.
      unlabelled: training rows without a label to keep; 0 keeps all of them.
      seed: of the cut, of the rows and labels that are kept and of what is corrupted, 0..2**32 - 1; -1 in a
        config: that of the run.
      subsample: share of the training rows to keep whatever their class, above 0 and up to 1.
      imbalance: rows of the lower half of the classes to one of the upper half, of which rows are dropped; 1 or more.
      noise: share of the training rows whose label is drawn anew, uniformly over all classes; 0 to below 1.
      rows: what to train on: "train", "validation" (the clean validation rows alone) or "both".
      ablation: "overfit" validates on the test rows, "oversplit" trains and validates on all training rows.
      directory: the folder of data sets; by default the usual ones, see `find_places`.
      download: whether to fetch the official archive where no copy is found.
      **options: options of the set's own, such as `extra` of "svhn"; see the source's function.

    Returns:
      The data set; `data.clean_label` has the true labels where `noise` replaced some.

    Raises:
      UsageError: an unknown name or option, a value out of range, or a set that is missing or damaged.
    """
    source = resolve("data", name)
    check_options(f"data {name!r}", source, options, _keywords(load))
    common = {"validation_size": validation_size, "seed": seed, "directory": directory, "download": download}
    if validation_size and not _accepts(source, "validation_size"):
        raise UsageError(
            f"{name}: takes no validation_size, got {validation_size:.12g}: it sets no training rows apart"
        )
    accepted = {key: value for key, value in common.items() if _accepts(source, key)}
    data = call(f"data {name!r}", source, options=options, **accepted)
    data = relabel(data, labels) if labels else data
    data = subset_rows(data, train_size, seed)
    data = corrupt(data, seed=seed, subsample=subsample, imbalance=imbalance, noise=noise, rows=rows, ablation=ablation)
    return keep_unlabelled(keep_labels(data, labels_per_class, seed), unlabelled, seed)


def list_datasets(pattern: str = "*") -> list[str]:
    """The names of the data sets that match a pattern such as "cifar*", sorted."""
    return fnmatch.filter(list_names("data"), pattern)


def _keywords(function: Callable[..., Any]) -> list[str]:
    return [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]


def _accepts(source: Callable[..., Any], keyword: str) -> bool:
    parameters = inspect.signature(source).parameters
    return keyword in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
