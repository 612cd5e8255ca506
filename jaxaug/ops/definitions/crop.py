"""Operations that enlarge a box to the whole image."""

from __future__ import annotations

import math

from jaxaug.ops.backend import Array, Backend, Box
from jaxaug.ops.definitions.sources import DEEPAA
from jaxaug.ops.registry import crop_resize_op


@crop_resize_op(
    "RandResizeCrop",
    0.08,
    1.0,
    unit="least share of area",
    neutral=1.0,
    heavy=True,
    smooth_value=False,
    single_level=True,
    source=DEEPAA,
)
def _random_resize_crop(backend: Backend, value: Array, random: Array, height: int, width: int) -> Box:
    """(top, left, rows, columns) of the crop that is resized to the whole image.

    Area uniform in value..1, log of the aspect ratio uniform in 3/4..4/3; a box that does not fit is replaced by the
    whole image at once, as the released code does.
    """
    xp = backend.xp
    area = height * width * (value + random[0] * (1.0 - value))
    ratio = xp.exp(math.log(3 / 4) + random[1] * math.log(16 / 9))
    columns, rows = (xp.maximum(xp.round(xp.sqrt(side)), 1.0) for side in (area * ratio, area / ratio))
    fits = (columns <= width) & (rows <= height)
    columns, rows = xp.where(fits, columns, width), xp.where(fits, rows, height)
    top, left = xp.floor(random[2] * (height - rows + 1)), xp.floor(random[3] * (width - columns + 1))
    return top, left, rows, columns
