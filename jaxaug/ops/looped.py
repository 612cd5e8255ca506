"""PIL's arithmetic in loops whose steps XLA's CPU compiler vectorises: the same pixels as `uint8` in less time.

That compiler makes scalar code of a fused expression that reads several planes, or pixels beside each other. The steps
of a loop are not fused with what is around it. Accelerators have no use for small steps: for them `uint8` has the plain
forms.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaug.ops.fixed_point import ONE
from jaxaug.ops.numpy_uint8 import LUMA


def grayscale(image: jax.Array) -> jax.Array:
    """[1 H W] of [3 H W]: `convert("L")`."""

    def add(total: jax.Array, given: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        share, plane = given
        return total + share * plane.astype(jnp.int32), None

    # A total that began as zeros would not vary over the devices of a shard_map.
    first = LUMA[0] * image[0].astype(jnp.int32) + ONE // 2
    total = jax.lax.scan(add, first, (jnp.asarray(LUMA[1:], jnp.int32), image[1:]))[0]
    return (total >> 16).astype(jnp.uint8)[None]


def smoothed(image: jax.Array) -> jax.Array:
    """ImageFilter.SMOOTH of [C H W] of 3 x 3 pixels or more, all planes as one row of pixels.

    Where a row's end meets the next one's beginning it is wrong; that is the border, which is kept.
    """
    width, flat = image.shape[2], image.reshape(-1)

    def added(total: jax.Array, pixels: jax.Array, first: int, step: int) -> jax.Array:
        """The sum of a total and of pieces of the pixels, of three that begin `step` apart those from the first on."""
        size = total.shape

        def add(i: jax.Array, total: jax.Array) -> jax.Array:
            return total + jax.lax.dynamic_slice(pixels, (i * step,), size).astype(jnp.int16)

        return jax.lax.fori_loop(first, 3, add, total)

    columns = added(flat[: flat.size - 2 * width].astype(jnp.int16), flat, 1, width)
    middle = flat[width + 1 : flat.size - width - 1].astype(jnp.int16)
    total = added(4 * middle, columns, 0, 1)
    inner = jnp.pad(((2 * total + 13).astype(jnp.uint16) // 26).astype(jnp.uint8), width + 1)
    return jax.lax.dynamic_update_slice(image, inner.reshape(image.shape)[:, 1:-1, 1:-1], (0, 1, 1))
