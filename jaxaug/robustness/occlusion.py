"""Error against the hidden share of the image: jaxaug's own protocol, not that of the Soft Augmentation paper.

The paper (Liu et al. 2023) reports errors under occlusion; neither code nor description of its protocol could be had,
so numbers of this one do not compare with the paper's.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.types import Tree
from jaxaug.data.dataset import Dataset
from jaxaug.robustness import fills
from jaxaug.robustness.base import Level, Protocol

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


@register("robustness")
def occlusion(data: Dataset, *, shares: tuple[float, ...] = SHARES, fill: str = "mean", seed: int = 0) -> Protocol:
    """One patch, wholly inside the image, at a uniformly random place that is the same for every model.

    The patch has the image's proportions (square in a square image) and whole pixels: side = round(sqrt(share) * side
    of the image). `severity` is the share it truly hides; shares that round to the same patch are one level.

    Args:
      data: the set whose test images are hidden in part.
      shares: of the image's area that the patch hides, each in 0..1.
      fill: what the patch shows: "mean", the mean color of the training set; "black"; or "noise".
      seed: of the places and the noise, the same for all models.

    Raises:
      UsageError: a share outside 0..1, or an unknown fill.
    """
    if not all(0 <= share <= 1 for share in shares):
        raise UsageError(f"occlusion: shares must lie in 0..1, got {tuple(shares)}")
    extent = np.asarray(data.image_shape[:2])
    sizes = sorted({tuple(np.floor(np.sqrt(share) * extent + 0.5).astype(int).tolist()) for share in shares})
    paint = fills.painter(data, fill)

    def perturb(key: jax.Array, image: jax.Array, size: Tree) -> jax.Array:
        place_key, fill_key = jax.random.split(key)
        corner = fills.uniform_integers(place_key, jnp.asarray(extent, jnp.int32) - size + 1)
        rows, columns = (jnp.arange(extent[axis]) - corner[axis] for axis in (0, 1))
        hidden = ((rows >= 0) & (rows < size[0]))[:, None] & ((columns >= 0) & (columns < size[1]))[None]
        return jnp.where(hidden[:, :, None], paint(fill_key, image), image)

    levels = [Level("occlusion", height * width / extent.prod(), (height, width)) for height, width in sizes]
    placed = tuple(level._replace(strength=np.asarray(level.strength, np.int32)) for level in levels)
    return Protocol("hidden share of the image", "occluded_error", placed, perturb, seed)
