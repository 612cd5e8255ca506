"""How batch transforms move, erase and blend pixels: functions of whole batches [B H W C], uint8 or float, dtype kept.

The operations of policies have their own, image by image, in `uint8` and `float32`; `resize` enlarges for both.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaug.core.target import target


def crop_windows(images: jax.Array, top: jax.Array, left: jax.Array, padding: int, mode: str) -> jax.Array:
    """Pad by `padding` on four sides and cut one window of the old size from each image.

    top, left: [B] int32 in 0..2 * padding, the window's corner in the padded image. mode: of `jnp.pad`.
    """
    height, width, channels = images.shape[1:]
    border = (padding, padding)
    padded = jnp.pad(images, ((0, 0), border, border, (0, 0)), mode=mode)

    def cut(image: jax.Array, top: jax.Array, left: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (top, left, 0), (height, width, channels))

    return jax.vmap(cut)(padded, top, left)


def flip_columns(images: jax.Array, chosen: jax.Array) -> jax.Array:
    """Mirror left and right where chosen [B] bool."""
    return jnp.where(chosen[:, None, None, None], images[:, :, ::-1], images)


def fill_squares(
    images: jax.Array, row: jax.Array, column: jax.Array, length: jax.Array | int, value: float
) -> jax.Array:
    """Set a square of side `length` [] around the pixel (row, column) [B] int32 to `value`, cut off at the borders.

    The square covers row - length // 2 .. row - length // 2 + length - 1.
    """
    hidden = boxes(images.shape[1:3], row, column, length, length)
    return jnp.where(hidden[..., None], jnp.asarray(value, images.dtype), images)


def boxes(
    size: tuple[int, ...], row: jax.Array, column: jax.Array, height: jax.Array | int, width: jax.Array | int
) -> jax.Array:
    """[B H W] bool for size (H, W): true in the box of height x width [B] or [] around (row, column) [B] int32.

    It covers row - height // 2 .. row - height // 2 + height - 1, likewise the columns, cut off at the borders.
    """

    def covered(size: int, center: jax.Array, length: jax.Array | int) -> jax.Array:
        offset = jnp.arange(size)[None] - (center - length // 2)[:, None]
        return (offset >= 0) & (offset < jnp.reshape(jnp.asarray(length), (-1, 1)))

    return covered(size[0], row, height)[:, :, None] & covered(size[1], column, width)[:, None, :]


def shift(images: jax.Array, rows: jax.Array, columns: jax.Array, fill: jax.Array) -> jax.Array:
    """out[b, i, j] = images[b, i + rows[b], j + columns[b]] where that pixel exists, else `fill`.

    rows, columns: [B] int32, any size: a positive one moves the window down or right. fill: [B C] a color or
    [B H W C] a picture, brought to the images' dtype by `cast`.
    """
    height, width = images.shape[1:3]
    row, column = jnp.arange(height) + rows[:, None], jnp.arange(width) + columns[:, None]
    within = jnp.clip(row, 0, height - 1), jnp.clip(column, 0, width - 1)
    moved = jax.vmap(lambda image, i, j: image[i[:, None], j])(images, *within)
    inside = ((row >= 0) & (row < height))[:, :, None] & ((column >= 0) & (column < width))[:, None, :]
    fill = cast(fill if fill.ndim == 4 else fill[:, None, None, :], images.dtype)
    return jnp.where(inside[..., None], moved, fill)


def blend(images: jax.Array, others: jax.Array, share: jax.Array) -> jax.Array:
    """share * images + (1 - share) * others, share [B] in 0..1, brought to the images' dtype by `cast`."""
    share = share[:, None, None, None]
    return cast(share * images + (1.0 - share) * others, images.dtype)


def cast(values: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """Any numbers as pixels of `dtype`: rounded and clipped to its range if it is an integer type."""
    if not jnp.issubdtype(dtype, jnp.integer):
        return values.astype(dtype)
    limits = jnp.iinfo(dtype)
    return jnp.clip(jnp.round(values), limits.min, limits.max).astype(dtype)


def channels_last(planes: jax.Array) -> jax.Array:
    """[B H W C] of [B C H W]."""
    if target().platform != "cpu":
        return planes.transpose(0, 2, 3, 1)
    count, channels, height, width = planes.shape
    # A transpose of four axes may become a copy from one layout to another there, which goes pixel by pixel and takes
    # as long as an operation; with the pixels in a row it does not.
    pixels = jnp.swapaxes(planes.reshape(count, channels, height * width), 1, 2)
    return pixels.reshape(count, height, width, channels)
