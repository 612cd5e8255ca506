"""Rows that are unlike the others of their set, whatever their labels: images that fit no class."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

DIRECTIONS = 64  # along which rows may differ without being odd
FEWEST = 40  # rows below which nothing is said
UNLIKE = 3.5  # from which on a row is told of
_MORE = 8  # directions that are looked at beside, which makes the others surer


def unlike_others(features: ArrayLike, seed: int = 0) -> np.ndarray:
    """How unlike the other rows each one is: what the main directions of other rows leave of its features.

    The rows are halved; of each row that part of the features is taken that lies outside of the first 64 principal
    directions of the half that it is not in (randomised, Halko, Martinsson and Tropp 2011). The log of its square is
    told in robust standard deviations from the median of all rows.

    Args:
      features: float [N D], each of about the size that it is to weigh.
      seed: of the halves and directions.

    Returns:
      float64 [N]; 0 for all of fewer than 40 rows.
    """
    rows = np.asarray(features, np.float32)
    if len(rows) < FEWEST:
        return np.zeros(len(rows))
    rows, random = rows - rows.mean(axis=0), np.random.default_rng(seed)
    first, left = random.permutation(len(rows)) % 2 == 0, np.zeros(len(rows))
    for half in (first, ~first):
        part, basis = rows[half], _directions(rows[~half], random)
        left[half] = np.einsum("nd,nd->n", part, part) - np.square(part @ basis).sum(axis=1)
    told = np.log(np.maximum(left, 1e-6 * max(left.mean(), 1e-12)))
    apart = told - np.median(told)
    return apart / max(1.4826 * float(np.median(np.abs(apart))), 1e-6)


def _directions(rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """[D 72] orthonormal, near the first principal directions of the rows."""
    count = min(DIRECTIONS + _MORE, *rows.shape)
    found = rows @ random.normal(size=(rows.shape[1], count)).astype(np.float32)
    for _ in range(2):  # once more, so that directions of nearly the same strength are told apart
        found = rows @ np.linalg.qr(rows.T @ np.linalg.qr(found)[0])[0]
    return np.linalg.qr(rows.T @ np.linalg.qr(found)[0])[0]
