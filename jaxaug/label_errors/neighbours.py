"""Rows that are alike: what the labels of the nearest say of a row, and pairs that are nearly the same image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

_BLOCK = 2**24  # similarities at a time


def neighbour_probabilities(labels: ArrayLike, features: ArrayLike, num_classes: int, count: int = 20) -> np.ndarray:
    """The share of each class among a row's nearest neighbours, which are others than the row.

    Args:
      labels: int [N], the given labels, 0..K-1.
      features: float [N D], of any model; near is what has a large cosine.
      num_classes: K.
      count: of neighbours, at most N - 1.

    Returns:
      float64 [N K]: neighbours count by their cosine, and a class that none has keeps a share of 1 / (count + K).
    """
    given, unit = np.asarray(labels), unit_rows(features)
    count = min(count, len(given) - 1)
    shares = np.full((len(given), num_classes), 1.0)
    for rows, cosine in _similarities(unit):
        nearest = np.argpartition(-cosine, count - 1, axis=1)[:, :count] if count else np.zeros((len(cosine), 0), int)
        weight = np.maximum(np.take_along_axis(cosine, nearest, axis=1), 0.0)
        np.add.at(shares, (rows[:, None], given[nearest]), weight)
    return shares / shares.sum(axis=1, keepdims=True)


def near_pairs(features: ArrayLike, least: float, most: int) -> np.ndarray:
    """Pairs of rows whose features have a cosine of `least` or more.

    Args:
      features: float [N D]; rows of zeros are near to none.
      least: in 0..1.
      most: pairs of a row with later ones, the first of them.

    Returns:
      int64 [M 2], the lower row first, in the order of the rows.
    """
    unit = unit_rows(features)
    found = [np.zeros((0, 2), np.int64)]
    for rows, cosine in _similarities(unit):
        near = (cosine >= least) & (rows[:, None] < np.arange(len(unit)))
        first, second = np.nonzero(near & (np.cumsum(near, axis=1, dtype=np.int32) <= most))
        found.append(np.stack([rows[first], second], axis=1))
    return np.concatenate(found)


def unit_rows(features: ArrayLike) -> np.ndarray:
    """[N D] float32, each row of length 1; zeros stay zeros."""
    rows = np.asarray(features).astype(np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1.0)


def _similarities(unit: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(numbers of some rows [B], their cosines to all rows [B N], -1 to themselves)."""
    step = max(_BLOCK // max(len(unit), 1), 1)
    for start in range(0, len(unit), step):
        rows = np.arange(start, min(start + step, len(unit)))
        cosine = unit[rows] @ unit.T
        cosine[rows - start, rows] = -1.0
        yield rows, cosine
