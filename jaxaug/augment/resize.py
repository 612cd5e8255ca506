"""Cutting a box out of an image and resizing it, with PIL's antialiased bicubic weights."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def crop_and_resize(image: jax.Array, box: tuple) -> jax.Array:
    """The box (top, left, rows, columns) [] in pixels, resized to the whole image [C H W] float32.

    The weights are those of Pillow's resize with a box: Keys' cubic (a = -1/2), widened where the image shrinks, cut at
    the box's edges and normalised; not its two roundings to uint8.
    """
    top, left, rows, columns = box
    down, across = _weights(image.shape[1], top, rows), _weights(image.shape[2], left, columns)
    # Two products of small matrices, in full precision: TF32 would lose grey levels.
    return jnp.einsum("yi,cij,xj->cyx", down, image.astype(jnp.float32), across, precision="highest")


def _weights(side: int, start: jax.Array, length: jax.Array) -> jax.Array:
    """[side side]: how much of each source pixel goes into each pixel of the result."""
    scale = length / side
    centre = start + (jnp.arange(side) + 0.5) * scale
    position = jnp.arange(side) + 0.5
    weights = _cubic((position[None] - centre[:, None]) / jnp.maximum(scale, 1.0))
    weights = jnp.where((position >= start) & (position <= start + length), weights, 0.0)
    return weights / jnp.sum(weights, axis=1, keepdims=True)


def _cubic(x: jax.Array) -> jax.Array:
    """Keys 1981, a = -1/2."""
    x = jnp.abs(x)
    inner, outer = (1.5 * x - 2.5) * x * x + 1.0, ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return jnp.where(x < 1.0, inner, jnp.where(x < 2.0, outer, 0.0))
