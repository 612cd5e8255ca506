"""Operations that cover a rectangle."""

from __future__ import annotations

import jax.numpy as jnp

from jaxaug.ops.definitions.sources import DEEPAA
from jaxaug.ops.registry import erase


@erase("CutoutAbs", 0.0, 20.0, unit="pixels", neutral=0.0, source="AutoAugment family; PIL rectangle, ends included")
def _cutout_abs(backend, value, random, height, width):
    top, left = (
        backend.corner(jnp.maximum(0.0, random[i] * side - value / 2)) for i, side in ((1, height), (0, width))
    )
    # PIL's code draws nothing at 0; at any other value the rectangle's ends are included.
    top = jnp.where(value > 0, top, height + 1.0)
    return top, jnp.minimum(height, top + value), left, jnp.minimum(width, left + value)


@erase("Cutout", 0.0, 0.2, unit="of the width", neutral=0.0, source="Fast AutoAugment (Lim et al. 2019)")
def _cutout(backend, value, random, height, width):
    return _cutout_abs(backend, value * width, random, height, width)


def _around(y, x, value, height, width):
    """The square of side `value` around (y, x), cut off at the image's edges; none at 0."""
    half = value / 2
    top = jnp.where(value > 0, jnp.maximum(0.0, y - half), height + 1.0)
    return top, jnp.minimum(height, y + half), jnp.maximum(0.0, x - half), jnp.minimum(width, x + half)


@erase("RandCutout", 0.0, 60.0, unit="pixels", neutral=0.0, source=DEEPAA + " (16; on images above 120 pixels 60)")
def _random_cutout(backend, value, random, height, width):
    return _around(random[1] * height, random[0] * width, value, height, width)


@erase("RandCutout60", 0.0, 60.0, unit="pixels", neutral=0.0, source=DEEPAA + ", its ImageNet search")
def _random_cutout_60(backend, value, random, height, width):
    # The centre lies in the middle 256 x 256.
    (top, high), (left, wide) = ((max(0, side - 256) / 2, min(side, 256)) for side in (height, width))
    return _around(top + random[1] * high, left + random[0] * wide, value, height, width)
