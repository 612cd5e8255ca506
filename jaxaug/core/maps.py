"""Maps [B H W ...] brought to another size: bilinear for numbers, nearest for labels."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def resize_bilinear(maps: jax.Array, size: tuple[int, ...]) -> jax.Array:
    """Bilinear with the corners on each other, which is linear in the maps; nothing is averaged when made smaller.

    PyTorch calls it `align_corners=True`; segmentation networks upsample their logits so.

    Args:
      maps: float [B h w C].
      size: (H, W).

    Returns:
      [B H W C] of the same dtype.
    """
    for axis, new in zip((1, 2), size, strict=True):
        old = maps.shape[axis]
        if old == new:
            continue
        if old == 1 or new == 1:  # one corner: there is nothing to weigh
            maps = jnp.repeat(jax.lax.slice_in_dim(maps, 0, 1, axis=axis), new, axis=axis)
            continue
        scale = (new - 1) / (old - 1)
        shape = (*maps.shape[:axis], new, *maps.shape[axis + 1 :])
        # In bfloat16 positions beyond 256 would be rounded to whole pixels and more.
        exact = jnp.promote_types(maps.dtype, jnp.float32)
        by, shift = jnp.asarray([scale], exact), jnp.asarray([0.5 - 0.5 * scale], exact)
        maps = jax.image.scale_and_translate(maps, shape, (axis,), by, shift, "linear", antialias=False)
    return maps


def resize_nearest(label: jax.Array, size: tuple[int, ...]) -> jax.Array:
    """Label maps [B H W] int at another size [B h w]: row i is that of floor(i H / h), columns likewise."""
    rows, columns = (jnp.arange(new) * old // new for old, new in zip(label.shape[1:], size, strict=True))
    return label[:, rows[:, None], columns]
