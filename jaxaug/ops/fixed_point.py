"""Displacements in 16.16 fixed point, as Pillow's Geometry.c rounds them; for JAX and for NumPy, known or traced."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxaug.ops import float64
from jaxaug.ops.backend import Scalar, Six
from jaxaug.ops.registry import Op

ONE = 65536


def fixed(displacement: Six, xp: Any) -> Six:
    """The six 16.16 integers of a displacement (see `registry.geometric_op`), as Pillow's `affine_fixed` rounds them.

    Entries that are Python numbers stay so: the compiler folds what does not depend on the draw.
    """
    ax, bx, cx, ay, by, cy = displacement
    if all(isinstance(d, (int, float)) for d in (ax, bx, ay, by)) and not (ax or bx or ay or by):
        # Only a translation: `pixels` has rounded it, and Pillow takes another path.
        return (ONE, 0, _fix(cx, xp), 0, ONE, _fix(cy, xp))
    half = ONE // 2
    right, down = half + _fix(cx + (ax + bx) / 2, xp), half + _fix(cy + (ay + by) / 2, xp)
    return (ONE + _fix(ax, xp), _fix(bx, xp), right, _fix(ay, xp), ONE + _fix(by, xp), down)


def fixed_point_of(op: Op, values: np.ndarray, height: int, width: int) -> np.ndarray:
    """The 16.16 numbers of a displacement that is `of_value_alone`, computed in float64 as PIL does.

    Args:
      op: the operation.
      values: [..] physical values.
      height: rows of the images.
      width: their columns.

    Returns:
      [.. 6] int32.
    """
    displacement = op.apply(float64, np.asarray(values, np.float64), None, height, width)
    return np.stack(np.broadcast_arrays(*fixed(displacement, np)), axis=-1).astype(np.int32)


def _fix(value: Scalar, xp: Any) -> Scalar:
    """Pillow's FIX: floor(65536 * value + 1/2), without the rounding of that sum in float32."""
    if isinstance(value, (int, float)):
        return int(np.floor(ONE * value + 0.5))
    array = np if isinstance(value, (np.ndarray, np.generic)) else xp
    scaled = ONE * value
    below = array.floor(scaled)
    return (below + (scaled - below >= 0.5)).astype(np.int32)
