"""The backend of PIL: uint8 images [C H W], nearest sampling in 16.16 fixed point, blends that truncate.

`float32` has the same functions with derivatives. An op is written once, against whichever of the two it is given;
every function here takes one image and gives, bit for bit, what PIL (Pillow) computes from it on x86-64.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.target import target
from jaxaug.ops import fixed_point, looped, lut
from jaxaug.ops.backend import Box, Six
from jaxaug.ops.fixed_point import ONE
from jaxaug.ops.float64 import LEAST_FACTOR
from jaxaug.ops.numpy_uint8 import LUMA

xp = jnp


def blend(base: jax.Array, image: jax.Array, factor: jax.Array) -> jax.Array:
    """Pillow's `Image.blend`: base + factor * (image - base), rounded toward zero, in 0..255."""
    if base.ndim == 3 and len(base) < len(image) and _on_cpu():
        # In a loop over the planes, for the reason that `looped` gives.
        return jax.lax.map(lambda plane: blend(base[0], plane, factor), image)
    start = base.astype(jnp.float32)
    step = image.astype(jnp.float32) - start
    # C computes round(start + round(factor * step)). A compiler that contracts the two into one operation skips the
    # inner rounding, and 1 pixel in 10,000 changes. The halves of `factor` have 12 bits, so that their products with
    # `step` are exact and their sum is rounded once, contracted or not.
    upper, lower = _halves(factor)
    return jnp.clip(start + (upper * step + lower * step), 0.0, 255.0).astype(jnp.uint8)


def grayscale(image: jax.Array) -> jax.Array:
    """[1 H W]: `convert("L")`."""
    if image.shape[0] == 1:
        return image
    if _on_cpu():
        return looped.grayscale(image)
    red, green, blue = (image[c].astype(jnp.int32) for c in range(3))
    return ((LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue + ONE // 2) >> 16).astype(jnp.uint8)[None]


def mean(plane: jax.Array) -> jax.Array:
    """[] uint8: the mean, rounded half up, as ImageEnhance.Contrast takes it."""
    # Doubling the sum instead would overflow; this one holds 16 million white pixels, which `check_op` allows.
    total = jnp.sum(plane, dtype=jnp.uint32)
    return (total // plane.size + (2 * (total % plane.size) >= plane.size)).astype(jnp.uint8)


def smoothed(image: jax.Array) -> jax.Array:
    """ImageFilter.SMOOTH: 3 x 3, 5 in the middle of ones, over 13, rounded half up; the border is kept."""
    height, width = image.shape[1:]
    if height < 3 or width < 3:
        return image
    if _on_cpu():
        return looped.smoothed(image)
    wide = image.astype(jnp.int16)
    rows = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    total = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4 * wide[:, 1:-1, 1:-1]
    inner = ((2 * total + 13).astype(jnp.uint16) // 26).astype(jnp.uint8)
    return jax.lax.dynamic_update_slice(image, inner, (0, 1, 1))


def invert_from(image: jax.Array, threshold: jax.Array) -> jax.Array:
    """ImageOps.solarize: 255 - i where i >= threshold."""
    return jnp.where(image.astype(jnp.float32) < threshold, image, 255 - image)


def keep_bits(image: jax.Array, bits: jax.Array) -> jax.Array:
    """ImageOps.posterize: the upper int(bits) of 8 bits."""
    dropped = 8 - jnp.clip(bits.astype(jnp.int32), 0, 8)
    return image & (jnp.left_shift(255, dropped) & 255).astype(jnp.uint8)


def stretch(image: jax.Array) -> jax.Array:
    """ImageOps.autocontrast."""
    return lut.stretch(image)


def equalize(image: jax.Array) -> jax.Array:
    """ImageOps.equalize."""
    return lut.equalize(image)


def pixels(value: jax.Array, side: int) -> jax.Array:
    """floor(value * side + 1/2) of the exact product: the whole pixels by which nearest sampling moves."""
    whole, rest, lower = _product(value, side)
    return whole + jnp.where(rest - 0.5 >= -lower, 1.0, 0.0)


def whole(value: jax.Array, side: int) -> jax.Array:
    """The exact product value * side, rounded toward zero."""
    found, rest, lower = _product(jnp.abs(value), side)
    found = found + jnp.where(rest - 1.0 >= -lower, 1.0, 0.0) - jnp.where(lower < -rest, 1.0, 0.0)
    return jnp.where(value < 0, -found, found)


def turn(degrees: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(cos, sin) in float32."""
    angle = jnp.deg2rad(degrees)
    return jnp.cos(angle), jnp.sin(angle)


def longer(factor: jax.Array) -> jax.Array:
    """1 / factor - 1, of factors of at least `LEAST_FACTOR`."""
    factor = jnp.maximum(factor, LEAST_FACTOR)
    return (1 - factor) / factor


def fixed(displacement: Six) -> Six:
    """The six 16.16 integers of a displacement, as Pillow rounds them."""
    return fixed_point.fixed(displacement, jnp)


def source(coefficients: Six, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(column, row) int32 of the pixel that is seen at the pixels x, y int32."""
    ax, bx, cx, ay, by, cy = coefficients
    return (ax * x + bx * y + cx) >> 16, (ay * x + by * y + cy) >> 16


def inside(column: jax.Array, row: jax.Array, height: int, width: int) -> jax.Array:
    """Whether a pixel is one of the image's."""
    return (column >= 0) & (column < width) & (row >= 0) & (row < height)


def where_from(coefficients: Six, height: int, width: int) -> tuple[jax.Array, ...]:
    """(index [H W] into the flat image, inside [H W] bool) of the pixel that each output pixel shows.

    For a translation, known as one when compiled: (columns [], rows [], inside).
    """
    x, y = grid(height, width)
    column, row = source(coefficients, x, y)
    within = jnp.broadcast_to(inside(column, row, height, width), (height, width))
    ax, bx, cx, ay, by, cy = coefficients
    if all(isinstance(c, int) for c in (ax, bx, ay, by)) and (ax, bx, ay, by) == (ONE, 0, 0, ONE):
        return *(jnp.asarray(c, jnp.int32) >> 16 for c in (cx, cy)), within
    index = jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)
    return jnp.broadcast_to(index, (height, width)), within


def located(columns: jax.Array, rows: jax.Array, height: int, width: int) -> tuple[jax.Array, jax.Array]:
    """(index [H W] into the flat image, inside [H W] bool) of the pixels nearest to the places columns, rows [H W]."""
    column, row = stepped(columns, rows)
    within = inside(column, row, height, width)
    return jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1), within


def stepped(columns: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(column, row) int32 of the pixels nearest to the places columns, rows [H W]."""
    # Behind a barrier a field is computed alike whatever reads it, so that schedulers agree on what is nearest.
    columns, rows = jax.lax.optimization_barrier((columns, rows))
    far = 2.0**20  # beyond every image, and within int32
    column, row = (jnp.clip(jnp.floor(place + 0.5), -far, far).astype(jnp.int32) for place in (columns, rows))
    return column, row


def grid(height: int, width: int) -> tuple[jax.Array, jax.Array]:
    """(x [1 W], y [H 1]) int32 of all pixels."""
    return jnp.arange(width, dtype=jnp.int32)[None], jnp.arange(height, dtype=jnp.int32)[:, None]


def area(coefficients: Six) -> jax.Array:
    """[] float32: how many pixels of the source one output pixel stands for."""
    ax, bx, _, ay, by, _ = (jnp.asarray(c, jnp.float32) / ONE for c in coefficients)
    return jnp.abs(ax * by - bx * ay)


def take(plane: jax.Array, found: tuple[jax.Array, ...], fill: jax.Array | float) -> jax.Array:
    """The plane [H W] of any dtype seen through `where_from`; `fill` where nothing is."""
    if len(found) == 3:
        return _translated(plane, *found, jnp.asarray(fill, plane.dtype))
    index, within = found
    if target().platform == "tpu":
        from jaxaug.ops.tpu_gather import look_up  # half a second, which others need not spend

        seen = look_up(plane[None], index)[0]
    else:
        seen = plane.reshape(-1).at[index].get(mode="promise_in_bounds")
    return jnp.where(within, seen, jnp.asarray(fill, plane.dtype))


def _translated(plane: jax.Array, columns: jax.Array, rows: jax.Array, within: jax.Array, fill: jax.Array) -> jax.Array:
    """The plane moved by whole pixels, as one piece of it in a row instead of a look-up for each pixel."""
    size = plane.size
    padded = jnp.pad(plane.reshape(-1), size)
    # Farther than the plane is long there is nothing to see.
    start = jnp.clip(size + rows * plane.shape[1] + columns, 0, 2 * size)
    seen = jax.lax.dynamic_slice(padded, (start,), (size,)).reshape(plane.shape)
    if plane.dtype != jnp.uint8:
        return jnp.where(within, seen, fill)
    # Bytes of ones and zeros take a fraction of the time of a choice by comparisons on a CPU.
    ones = jnp.where(within, jnp.uint8(255), jnp.uint8(0))
    return (seen & ones) | (fill & ~ones)


def corner(position: jax.Array) -> jax.Array:
    """A rectangle's first corner as PIL's code cuts it: to a whole number."""
    return jnp.floor(position)


def covered(box: Box, x: jax.Array, y: jax.Array) -> jax.Array:
    """In {0, 1}: are the pixels x, y in the box (top, bottom, left, right), ends included and cut to whole numbers?"""
    top, bottom, left, right = (jnp.floor(edge) for edge in box)
    return ((y >= top) & (y <= bottom) & (x >= left) & (x <= right)).astype(jnp.float32)


def cover(image: jax.Array, amount: jax.Array, color: jax.Array | np.ndarray) -> jax.Array:
    """The image with `color` [C 1 1] where amount [H W] is 1."""
    return jnp.where(amount > 0, color.astype(jnp.uint8), image)


def rounded(image: jax.Array) -> jax.Array:
    """Float32 to the nearest uint8."""
    return jnp.clip(jnp.floor(image + 0.5), 0, 255).astype(jnp.uint8)


def _on_cpu() -> bool:
    return target().platform == "cpu"


def _halves(value: jax.Array) -> tuple[jax.Array, jax.Array]:
    """value = upper + lower, 12 significant bits each."""
    value = value.astype(jnp.float32)
    bits = jax.lax.bitcast_convert_type(value, jnp.uint32) & jnp.uint32(0xFFFFF000)
    upper = jax.lax.bitcast_convert_type(bits, jnp.float32)
    return upper, value - upper


def _product(value: jax.Array, side: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(whole, rest, lower): their sum is value * side exactly, for a side below 4096; 0 <= rest < 1, lower is small."""
    upper, lower = _halves(value)
    product = upper * side
    whole = jnp.floor(product)
    return whole, product - whole, lower * side
