"""Differentiable backend: float32 images [C H W] on the 0..255 scale, bilinear sampling, no rounding.

The same functions as `uint8`. Where PIL rounds or compares, the forward value is PIL's and the derivative is the
straight-through one stated in the docstring.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient

from jaxaug.ops import uint8
from jaxaug.ops.backend import Array, Box, Six

xp = jnp
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601
SOFTNESS = 8.0  # levels over which the derivative of a threshold is spread; a choice of ours


def blend(base: jax.Array, image: jax.Array, factor: jax.Array) -> jax.Array:
    """base + factor * (image - base) in 0..255."""
    return jnp.clip(base + factor * (image - base), 0.0, 255.0)


def grayscale(image: jax.Array) -> jax.Array:
    """[1 H W]: the luma."""
    if image.shape[0] == 1:
        return image
    return (LUMA[0] * image[0] + LUMA[1] * image[1] + LUMA[2] * image[2])[None]


def mean(plane: jax.Array) -> jax.Array:
    """[] the mean."""
    return jnp.mean(plane)


def smoothed(image: jax.Array) -> jax.Array:
    """3 x 3, 5 in the middle of ones, over 13; the border is kept."""
    height, width = image.shape[1:]
    if height < 3 or width < 3:
        return image
    rows = image[:, :-2] + image[:, 1:-1] + image[:, 2:]
    total = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4.0 * image[:, 1:-1, 1:-1]
    return image.at[:, 1:-1, 1:-1].set(total / 13.0)


def invert_from(image: jax.Array, threshold: jax.Array) -> jax.Array:
    """255 - i where i >= threshold; the derivative in the threshold is that of a sigmoid `SOFTNESS` levels wide."""
    soft = jax.nn.sigmoid((stop_gradient(image) - threshold) / SOFTNESS)
    chosen = soft + stop_gradient((image >= threshold) - soft)
    return image + chosen * (255.0 - 2.0 * image)


def keep_bits(image: jax.Array, bits: jax.Array) -> jax.Array:
    """The upper int(bits) of 8 bits; both roundings down are straight-through.

    d/d image = 1; d/d step = floor(u) - u with u = image / step and step = 2^(8 - bits), as for learned step sizes
    (Esser et al. 2020, equation 3).
    """
    # Within 0..8, also where the value is that of another op that a whole batch goes through.
    step = jnp.exp2(8.0 - (bits + stop_gradient(jnp.floor(jnp.clip(bits, 0.0, 8.0)) - bits)))
    steps = image / step
    return step * (steps + stop_gradient(jnp.floor(steps) - steps))


def stretch(image: jax.Array) -> jax.Array:
    """Each channel's range to 0..255."""
    low, high = jnp.min(image, axis=(1, 2), keepdims=True), jnp.max(image, axis=(1, 2), keepdims=True)
    wide = high > low
    return jnp.where(wide, (image - low) * (255.0 / jnp.where(wide, high - low, 1.0)), image)


def equalize(image: jax.Array) -> jax.Array:
    """Equal counts per channel of the rounded image; d/d image = 1."""
    return image + stop_gradient(uint8.equalize(uint8.rounded(image)).astype(image.dtype) - image)


def pixels(value: jax.Array, side: int) -> jax.Array:
    """value * side."""
    return value * side


whole = pixels


def turn(degrees: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(cos, sin)."""
    angle = jnp.deg2rad(degrees)
    return jnp.cos(angle), jnp.sin(angle)


longer = uint8.longer


def fixed(displacement: Six) -> Six:
    """The displacement itself."""
    return displacement


def chained(first: Six, second: Six) -> Six:
    """The displacement of a move `second` that follows upon a move `first`: p -> q = p + D2 p + c2 -> q + D1 q + c1."""
    (ax, bx, cx, ay, by, cy), (dx, ex, fx, dy, ey, fy) = first, second
    return (
        *(ax + dx + ax * dx + bx * dy, bx + ex + ax * ex + bx * ey, cx + fx + ax * fx + bx * fy),
        *(ay + dy + ay * dx + by * dy, by + ey + ay * ex + by * ey, cy + fy + ay * fx + by * fy),
    )


def source(coefficients: Six, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(column, row) float32 that is seen at x, y; all of them counted from the center of the first pixel."""
    ax, bx, cx, ay, by, cy = coefficients
    # Half a pixel more: displacements count from the image's corner.
    right, down = x + 0.5, y + 0.5
    return x + ax * right + bx * down + cx, y + ay * right + by * down + cy


def inside(column: jax.Array, row: jax.Array, height: int, width: int) -> jax.Array:
    """In 0..1: how much of the bilinear weights at (column, row) lies on the image."""
    across = jnp.clip(jnp.minimum(column + 1.0, width - column), 0.0, 1.0)
    return across * jnp.clip(jnp.minimum(row + 1.0, height - row), 0.0, 1.0)


def where_from(coefficients: Six, height: int, width: int) -> tuple[jax.Array, jax.Array]:
    """(column, row) [H W] float32 of what each output pixel shows."""
    column, row = source(coefficients, *grid(height, width))
    return jnp.broadcast_to(column, (height, width)), jnp.broadcast_to(row, (height, width))


def located(columns: jax.Array, rows: jax.Array, height: int, width: int) -> tuple[jax.Array, jax.Array]:
    """The places columns, rows [H W] themselves."""
    return columns, rows


def stepped(columns: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The places columns, rows [H W] themselves."""
    return columns, rows


def clamped(found: tuple[jax.Array, jax.Array], height: int, width: int) -> tuple[jax.Array, jax.Array]:
    """(column, row) of the nearest place on the image; derivatives end at its edges."""

    def on(place: jax.Array, last: int) -> jax.Array:
        # On the edge itself too: to its right there is no pixel that could tell a slope.
        return jnp.where((place > 0) & (place < last), place, stop_gradient(jnp.clip(place, 0, last)))

    return on(found[0], width - 1), on(found[1], height - 1)


def grid(height: int, width: int) -> tuple[jax.Array, jax.Array]:
    """(x [1 W], y [H 1]) float32 of all pixels."""
    return jnp.arange(width, dtype=jnp.float32)[None], jnp.arange(height, dtype=jnp.float32)[:, None]


def area(coefficients: Six) -> jax.Array:
    """[]: how many pixels of the source one output pixel stands for."""
    ax, bx, _, ay, by, _ = coefficients
    return jnp.abs((1.0 + ax) * (1.0 + by) - bx * ay)


def take(plane: jax.Array, found: tuple[jax.Array, jax.Array], fill: jax.Array | float) -> jax.Array:
    """Bilinear sampling of the plane [H W]; outside of it is `fill`. Of whole numbers (label maps): the nearest."""
    height, width = plane.shape
    column, row = found
    nearest = not jnp.issubdtype(plane.dtype, jnp.floating)
    left, top = (jnp.floor(column + 0.5), jnp.floor(row + 0.5)) if nearest else (jnp.floor(column), jnp.floor(row))

    def at(x: jax.Array, y: jax.Array) -> jax.Array:
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        index = jnp.clip(y, 0, height - 1) * width + jnp.clip(x, 0, width - 1)
        value = plane.reshape(-1).at[index.astype(jnp.int32)].get(mode="promise_in_bounds")
        return jnp.where(inside, value, jnp.asarray(fill, plane.dtype))

    if nearest:
        return at(left, top)
    right_share, lower_share = column - left, row - top
    upper = at(left, top) * (1 - right_share) + at(left + 1, top) * right_share
    lower = at(left, top + 1) * (1 - right_share) + at(left + 1, top + 1) * right_share
    return upper * (1 - lower_share) + lower * lower_share


def corner(position: jax.Array) -> jax.Array:
    """The position itself."""
    return position


def covered(box: Box, x: jax.Array, y: jax.Array) -> jax.Array:
    """In 0..1: the share of the pixels at x, y in the box (top, bottom, left, right), its last pixels included."""

    def share(first: Array, last: Array, at: Array) -> jax.Array:
        return jnp.clip(jnp.minimum(at + 1.0, last + 1.0) - jnp.maximum(at, first), 0.0, 1.0)

    top, bottom, left, right = box
    return share(top, bottom, y) * share(left, right, x)


def cover(image: jax.Array, amount: jax.Array, color: jax.Array | np.ndarray) -> jax.Array:
    """The image under `color` [C 1 1], by amount [H W]."""
    return image + amount * (color - image)


def rounded(image: jax.Array) -> jax.Array:
    """Float32, within 0..255."""
    return jnp.clip(image, 0.0, 255.0)
