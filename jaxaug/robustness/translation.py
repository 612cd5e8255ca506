"""Error against random translation: jaxaug's own protocol."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.types import Tree
from jaxaug.data.dataset import Dataset
from jaxaug.ops import batched
from jaxaug.robustness import fills
from jaxaug.robustness.base import Level, Protocol

REACHES = (0.0, 0.125, 0.25, 0.375)


@register("robustness")
def translation(data: Dataset, *, reaches: tuple[float, ...] = REACHES, fill: str = "mean", seed: int = 0) -> Protocol:
    """The image moves by up to n pixels along each axis: uniform over 2n + 1 whole numbers, the same for all models.

    `severity` is n as a share of the height, after rounding; reaches that round to the same n are one level.

    Args:
      data: the set whose test images are moved.
      reaches: n as shares of the side, each in 0..1; n = round(reach * side).
      fill: what stands where the image shows nothing: "mean", the mean color of the training set; "black"; or "noise".
      seed: of the moves and the noise, the same for all models.

    Raises:
      UsageError: a reach outside 0..1, or an unknown fill.
    """
    if not all(0 <= reach <= 1 for reach in reaches):
        raise UsageError(f"translation: reaches must lie in 0..1, got {tuple(reaches)}")
    extent = np.asarray(data.image_shape[:2])
    furthest = sorted({tuple(np.floor(reach * extent + 0.5).astype(int).tolist()) for reach in reaches})
    paint = fills.painter(data, fill)

    def perturb(key: jax.Array, image: jax.Array, most: Tree) -> jax.Array:
        shift_key, fill_key = jax.random.split(key)
        rows, columns = most - fills.uniform_integers(shift_key, 2 * most + 1)
        outside = jnp.broadcast_to(paint(fill_key, image), image.shape)
        return batched.shift(image[None], rows[None], columns[None], outside[None])[0]

    levels = tuple(Level("translation", most[0] / extent[0], np.asarray(most, np.int32)) for most in furthest)
    return Protocol("largest shift, share of the height", "translated_error", levels, perturb, seed)
