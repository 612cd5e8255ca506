"""How many labels of each class are wrong, from what a model says of all rows: the confident joint."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from jaxaug.core.errors import UsageError

ROUNDING = 1e-3  # by which a softmax in bfloat16 may leave 0..1
_BLOCK = 100_000  # rows at a time


def confident_joint(labels: ArrayLike, probabilities: ArrayLike, prior_rows: float = 0.0) -> np.ndarray:
    """The joint distribution of given and true labels.

    A row counts for the class with its largest probability among those that reach the class's threshold, the mean
    probability of the class over the rows that are labelled so. Counts are scaled to as many rows of each given class
    as there are. Northcutt, Jiang and Chuang, "Confident learning", JAIR 2021, equations 1 to 3.

    Args:
      labels: int [N], the given labels, 0..K-1.
      probabilities: float [N K] in 0..1. Those of a model that has learned the row's label by heart hide its errors.
      prior_rows: rows that are added to each class for its threshold, with the mean probability of all given labels; 0
        as published. The threshold of a class of two rows is whatever a model says of these two.

    Returns:
      float64 [K K], given by true class, with sum 1.

    Raises:
      UsageError: other types or shapes, a label that is no class, or probabilities outside of 0..1.
    """
    given, said = np.asarray(labels), np.asarray(probabilities)
    _check(given, said)
    classes = said.shape[1]
    rows, threshold = np.bincount(given, minlength=classes), _thresholds(given, said, prior_rows)
    count = np.zeros((classes, classes))
    for start in range(0, len(given), _BLOCK):
        block, of_block = said[start : start + _BLOCK].astype(np.float64), given[start : start + _BLOCK]
        # Rounding must not take a class of equal probabilities below their mean.
        reached = np.where(block >= threshold - 1e-6, block, -1.0)
        best = reached.argmax(axis=1)
        sure = reached[np.arange(len(block)), best] >= 0
        np.add.at(count, (of_block[sure], best[sure]), 1)
    empty = count.sum(axis=1) == 0
    count[empty, empty] = 1
    scaled = count / count.sum(axis=1, keepdims=True) * rows[:, None]
    return scaled / max(scaled.sum(), 1)


def _check(given: np.ndarray, said: np.ndarray) -> None:
    fits = said.ndim == 2 and given.shape == said.shape[:1] and given.dtype.kind in "iu" and said.dtype.kind != "O"
    # Without a copy: pixels may fill the memory. NaN fails every comparison.
    classes = fits and (not given.size or 0 <= given.min() <= given.max() < said.shape[1])
    if classes and (not said.size or (said.min() >= -ROUNDING and said.max() <= 1 + ROUNDING)):
        return
    raise UsageError(
        f"confident_joint: labels must be integers [N] in 0..K-1 and probabilities floats [N K] in 0..1, got "
        f"{given.dtype} {list(given.shape)} and {said.dtype} {list(said.shape)}"
    )


def balanced(labels: ArrayLike, probabilities: ArrayLike, prior_rows: float = 0.0) -> np.ndarray:
    """Probabilities as if a model were equally sure of all classes: over their class's threshold, each row to sum 1.

    Models are surer of some classes than of others, and a row that might be of two is then drawn to the one of them.
    The thresholds are those of `confident_joint`, by which it meets the same; a class without rows gets nothing.

    Args:
      labels: int [N], the given labels, 0..K-1.
      probabilities: float [N K] in 0..1.
      prior_rows: as in `confident_joint`.

    Returns:
      float64 [N K]; a row that has no probability at all stays without.
    """
    given, said = np.asarray(labels), np.asarray(probabilities).astype(np.float64)
    even = said / np.maximum(_thresholds(given, said, prior_rows), np.finfo(np.float32).tiny)
    return even / np.maximum(even.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)


def _thresholds(given: np.ndarray, said: np.ndarray, prior_rows: float) -> np.ndarray:
    """[K] the mean probability of each class over the rows that are labelled so; no row reaches that of one without."""
    classes = said.shape[1]
    rows = np.bincount(given, minlength=classes)
    sums = np.bincount(given, weights=said[np.arange(len(given)), given].astype(np.float64), minlength=classes)
    prior = prior_rows * sums.sum() / max(len(given), 1)
    return np.where(rows > 0, (sums + prior) / np.maximum(rows + prior_rows, 1), np.inf)


def estimated_errors(joint: np.ndarray, rows: int) -> int:
    """How many of so many rows are wrong: the share off the diagonal of `confident_joint`, rounded."""
    return round(float(1.0 - np.trace(joint)) * rows)


def class_table(joint: np.ndarray, rows: int) -> dict[str, np.ndarray]:
    """What the joint distribution says of each class.

    Args:
      joint: float [K K], given by true class, with sum 1.
      rows: N.

    Returns:
      Columns of [K]: "given", rows labelled so; "wrong", how many of them are not so; "missing", rows of the class
      that are labelled otherwise; "wrong_share" of the given ones; "most_often", the class that wrong ones most often
      are, the class itself where none is wrong.
    """
    given, true, right = joint.sum(axis=1) * rows, joint.sum(axis=0) * rows, np.diag(joint) * rows
    apart = joint.copy()
    np.fill_diagonal(apart, 0.0)
    wrong = np.maximum(given - right, 0.0)
    most_often = np.where(apart.max(axis=1) > 0, apart.argmax(axis=1), np.arange(len(joint)))
    share = np.divide(wrong, given, out=np.zeros_like(wrong), where=given > 0)
    return {
        "given": np.round(given).astype(np.int64),
        "wrong": wrong,
        "missing": np.maximum(true - right, 0.0),
        "wrong_share": share,
        "most_often": most_often,
    }
