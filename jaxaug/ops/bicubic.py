"""The weights with which PIL resizes by antialiased bicubic interpolation, for JAX and for NumPy."""

from __future__ import annotations

from typing import Any

from jaxaug.ops.backend import Array, Scalar


def bicubic_weights(side: int, start: Scalar, length: Scalar, xp: Any, dtype: Any = None) -> Array:
    """How much of each source pixel goes into each pixel of the result.

    Keys' cubic (a = -1/2), widened where the image shrinks, cut at the edges of the interval and normalized.

    Args:
      side: pixels of the source, and of the result.
      start: where the interval that is resized to the whole side begins, in pixels.
      length: of the interval, in pixels.
      xp: the array functions, jax.numpy or numpy.
      dtype: of the positions and so of the result; None for that of JAX's default.

    Returns:
      [side side].
    """
    scale = length / side
    position = xp.arange(side, dtype=dtype) + 0.5
    center = start + position * scale
    weights = _cubic((position[None] - center[:, None]) / xp.maximum(scale, 1.0), xp)
    weights = xp.where((position >= start) & (position <= start + length), weights, 0.0)
    return weights / xp.sum(weights, axis=1, keepdims=True)


def _cubic(x: Array, xp: Any) -> Array:
    """Keys 1981, a = -1/2."""
    x = xp.abs(x)
    inner, outer = (1.5 * x - 2.5) * x * x + 1.0, ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return xp.where(x < 1.0, inner, xp.where(x < 2.0, outer, 0.0))
