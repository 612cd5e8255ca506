"""What a field of places, as a warp gives it, does to areas."""

from __future__ import annotations

from typing import Any

from jaxaug.ops.backend import Array


def field_area(columns: Array, rows: Array, xp: Any) -> Array:
    """How many pixels of the source each pixel stands for under a field: |det| of its slope, by central differences.

    Args:
      columns: [H W], of the place that each pixel shows.
      rows: [H W].
      xp: the array functions, jax.numpy or numpy.

    Returns:
      [H W]; ones for images of a single row or column, where there is no slope.
    """
    if min(columns.shape) < 2:
        return xp.ones_like(columns)
    (down, across), (down_rows, across_rows) = xp.gradient(columns), xp.gradient(rows)
    return xp.abs(across * down_rows - down * across_rows)
