"""Soft Augmentation's crop (Liu et al., CVPR 2023): the image moves by a random number of pixels.

`Batch.visibility` says how much of it is still seen, from which `losses.soft_targets` makes the targets.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jaxaug.augment.transform import (
    MOVES,
    VISIBILITY,
    BatchTransform,
    check_closing,
    closing_phase,
    moved_label,
    visibility_of,
)
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.types import Batch, Progress, Tree
from jaxaug.ops import batched
from jaxaug.ops.registry import VOID

_FILLS = ("zero", "constant", "noise", "mean")


@register("augment")
def soft_crop(
    sigma: float = 12.0,
    relative: bool = False,
    fill: str = "constant",
    fill_std: float = 0.01,
    closing: float = 0.04,
    closing_ratio: float = 1000.0,
    soften: bool = True,
) -> BatchTransform:
    """Move each image by its own offsets in rows and columns, drawn by `draw_offsets`.

    A label map moves with its image, -1 comes in from outside.

    Args:
      sigma: spread of the offsets in pixels (12 of 32 in the released code) or, if `relative`, in sides of the image.
      relative: sigma is a share of each side of the image (0.3 in the paper's listing).
      fill: what comes in from outside: "zero"; "constant", for each image and channel one number from N(0, fill_std^2),
        as released; "noise", one for each pixel; or "mean", the image's own mean color. Numbers are on the scale of the
        images: after normalization (as released) zero is the data set's mean color, before it is black; uint8 images
        round them and clip them to 0..255.
      fill_std: standard deviation of the fills "constant" and "noise", on the scale of the images.
      closing: the last epochs, in which images stay where they are: below 1 their share, 0 for never, else their
        number; 21 of 501 as released.
      closing_ratio: what sigma and fill_std are divided by in that share, at least 1.
      soften: write down that what comes in from outside hides the image; without it this is an ordinary hard crop with
        Gaussian offsets.

    Raises:
      UsageError: a sigma or fill_std that is negative or not finite, closing neither a share nor a number, another
        fill, or a closing_ratio below 1.
    """
    spreads = all(0 <= x < math.inf for x in (sigma, fill_std))
    if fill not in _FILLS or not spreads or not closing_ratio >= 1:
        raise UsageError(
            f"soft_crop: fill must be one of {_FILLS}, sigma and fill_std finite and at least 0 and closing_ratio at "
            f"least 1, got {fill!r}, {sigma}, {fill_std} and {closing_ratio}"
        )
    check_closing("soft_crop", closing)

    def apply(key: jax.Array, batch: Batch, shared: Tree, progress: Progress) -> Batch:
        rows_key, columns_key, fill_key = jax.random.split(key, 3)
        shrink = jnp.where(closing_phase(progress, closing), 1.0 / closing_ratio, 1.0)
        count, height, width = batch.image.shape[:3]
        rows = draw_offsets(rows_key, count, height, shrink * sigma * (height if relative else 1))
        columns = draw_offsets(columns_key, count, width, shrink * sigma * (width if relative else 1))
        outside = _outside(fill_key, batch.image, fill, shrink * fill_std)
        image = batched.shift(batch.image, rows, columns, outside)
        void = jnp.full((count, 1), VOID)
        label = moved_label(batch, lambda label: batched.shift(label, rows, columns, void))
        visibility = visibility_of(batch) if soften else batch.visibility
        if visibility is not None:
            beyond = jnp.full((count, 1), 0.0 if soften else 1.0)
            visibility = batched.shift(visibility[..., None], rows, columns, beyond)[..., 0]
        return batch.replace(image=image, label=label, visibility=visibility)

    seen = VISIBILITY if soften else frozenset()
    return BatchTransform(apply, "soft_crop", reads=MOVES | VISIBILITY, writes=MOVES | seen, keeps_shares=False)


def draw_offsets(key: jax.Array, count: int, size: int, sigma: jax.Array) -> jax.Array:
    """Offsets from N(0, sigma^2) given |x| < size, cut to whole numbers toward 0.

    So P(0) = 2 (Phi(1 / sigma) - Phi(0)) / Z and P(k) = (Phi((|k| + 1) / sigma) - Phi(|k| / sigma)) / Z with
    Z = Phi(size / sigma) - Phi(-size / sigma).

    Args:
      count: how many.
      size: side of the image, in pixels.
      sigma: [], at least 0, in pixels; 0 gives 0.

    Returns:
      [count] int32 in -(size - 1)..size - 1.
    """
    size_key, sign_key = jax.random.split(key)
    scale = jnp.asarray(sigma) * math.sqrt(2.0)
    # The inverse distribution function of |x|: at worst, u = 0, it gives 0, where that of x would give an empty image.
    u = jax.random.uniform(size_key, (count,))
    distance = scale * jax.lax.erf_inv(u * jax.lax.erf(size / scale))
    whole = jnp.minimum(distance.astype(jnp.int32), size - 1)
    return jnp.where(jax.random.bernoulli(sign_key, 0.5, (count,)), whole, -whole)


def _outside(key: jax.Array, image: jax.Array, fill: str, std: jax.Array) -> jax.Array:
    """What lies outside the images [B H W C]: [B C] or [B H W C]."""
    if fill == "mean":
        return jnp.mean(image, axis=(1, 2), dtype=jnp.float32)
    color = (image.shape[0], image.shape[-1])
    if fill == "zero":
        return jnp.zeros(color, image.dtype)
    return std * jax.random.normal(key, color if fill == "constant" else image.shape)
