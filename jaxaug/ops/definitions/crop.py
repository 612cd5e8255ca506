"""Operations that cut a box out, moved or enlarged to the whole image."""

from __future__ import annotations

import math

import jax.numpy as jnp

from jaxaug.ops.definitions.sources import DEEPAA
from jaxaug.ops.registry import crop_resize


@crop_resize(
    "RandResizeCrop", 0.08, 1.0, unit="least share of area", neutral=1.0, heavy=True, smooth_value=False, source=DEEPAA
)
def _random_resize_crop(backend, value, random, height, width):
    """(top, left, rows, columns) of the crop that is resized to the whole image.

    Area uniform in value..1, log of the aspect ratio uniform in 3/4..4/3; a box that does not fit is replaced by the
    whole image at once, as the released code does.
    """
    area = height * width * (value + random[0] * (1.0 - value))
    ratio = jnp.exp(math.log(3 / 4) + random[1] * math.log(16 / 9))
    columns, rows = (jnp.maximum(jnp.round(jnp.sqrt(side)), 1.0) for side in (area * ratio, area / ratio))
    fits = (columns <= width) & (rows <= height)
    columns, rows = jnp.where(fits, columns, width), jnp.where(fits, rows, height)
    top, left = jnp.floor(random[2] * (height - rows + 1)), jnp.floor(random[3] * (width - columns + 1))
    return top, left, rows, columns
