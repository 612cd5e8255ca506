"""The functions that displacements need, in NumPy's float64: what PIL's Python code computes."""

from __future__ import annotations

import numpy as np

xp = np
LEAST_FACTOR = 0.1  # normal noise has no bounds, and at a factor of 0 an image would have no pixels


def pixels(value: np.ndarray, side: int) -> np.ndarray:
    """floor(value * side + 1/2): the whole pixels by which nearest sampling moves."""
    return np.floor(value * side + 0.5)


def whole(value: np.ndarray, side: int) -> np.ndarray:
    """value * side, rounded toward zero."""
    return np.trunc(value * side)


def longer(factor: np.ndarray) -> np.ndarray:
    """1 / factor - 1, of factors of at least `LEAST_FACTOR`."""
    return 1.0 / np.maximum(factor, LEAST_FACTOR) - 1.0


def turn(degrees: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(cos, sin), rounded to 15 decimals as `Image.rotate` does."""
    angle = np.deg2rad(degrees % 360.0)
    return np.round(np.cos(angle), 15), np.round(np.sin(angle), 15)
