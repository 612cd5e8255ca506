"""The only code that moves pixels. Functions of whole batches [B H W C], uint8 or float, dtype kept."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def crop_windows(images: jax.Array, top: jax.Array, left: jax.Array, padding: int, mode: str) -> jax.Array:
    """Pad by `padding` on four sides and cut one window of the old size from each image.

    top, left: [B] int32 in 0..2 * padding, the window's corner in the padded image. mode: of `jnp.pad`.
    """
    height, width, channels = images.shape[1:]
    border = (padding, padding)
    padded = jnp.pad(images, ((0, 0), border, border, (0, 0)), mode=mode)

    def cut(image, top, left):
        return jax.lax.dynamic_slice(image, (top, left, 0), (height, width, channels))

    return jax.vmap(cut)(padded, top, left)


def flip_columns(images: jax.Array, chosen: jax.Array) -> jax.Array:
    """Mirror left and right where chosen [B] bool."""
    return jnp.where(chosen[:, None, None, None], images[:, :, ::-1], images)


def fill_squares(images: jax.Array, row: jax.Array, column: jax.Array, length: int, value: float) -> jax.Array:
    """Set a square of side `length` around the pixel (row, column) [B] int32 to `value`, cut off at the borders.

    The square covers row - length // 2 .. row - length // 2 + length - 1.
    """

    def covered(size, centre):
        offset = jnp.arange(size)[None] - (centre - length // 2)[:, None]
        return (offset >= 0) & (offset < length)

    height, width = images.shape[1:3]
    hidden = covered(height, row)[:, :, None] & covered(width, column)[:, None, :]
    return jnp.where(hidden[..., None], jnp.asarray(value, images.dtype), images)
