"""Cutting a box out of an image and resizing it, with PIL's antialiased bicubic weights."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp


def crop_and_resize(image: jax.Array, box: tuple, between: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """The box (top, left, rows, columns) [] in pixels, resized to the whole image [C H W] float32.

    What Pillow's `crop(box).resize(size, BICUBIC)` computes: Keys' cubic (a = -1/2), widened where the image shrinks,
    cut at the box's edges and normalised; across, then `between` (Pillow rounds to uint8 there), then down.
    """
    top, left, rows, columns = box
    down, across = _weights(image.shape[1], top, rows), _weights(image.shape[2], left, columns)
    # Two products of small matrices, in full precision: TF32 would lose grey levels.
    wide = jnp.einsum("cij,xj->cix", image.astype(jnp.float32), across, precision="highest")
    return jnp.einsum("yi,cix->cyx", down, between(wide).astype(jnp.float32), precision="highest")


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
