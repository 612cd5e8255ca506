"""Cutting a box out of an image and resizing it, with PIL's antialiased bicubic weights."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxaug.ops.backend import Box
from jaxaug.ops.bicubic import bicubic_weights


def crop_and_resize(image: jax.Array, box: Box, between: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """Resize a box of an image to the whole image, as Pillow's `crop(box).resize(size, BICUBIC)` computes it.

    Args:
      image: [C H W].
      box: (top, left, rows, columns), each [] in pixels.
      between: applied after resizing across, before resizing down: Pillow rounds to uint8 there.

    Returns:
      [C H W] float32.
    """
    top, left, rows, columns = box
    down = bicubic_weights(image.shape[1], top, rows, jnp)
    across = bicubic_weights(image.shape[2], left, columns, jnp)
    # Two products of small matrices, in full precision: TF32 would lose levels.
    wide = jnp.einsum("cij,xj->cix", image.astype(jnp.float32), across, precision="highest")
    return jnp.einsum("yi,cix->cyx", down, between(wide).astype(jnp.float32), precision="highest")
