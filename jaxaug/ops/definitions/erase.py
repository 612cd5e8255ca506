"""Operations that cover a rectangle."""

from __future__ import annotations

from jaxaug.ops.backend import Array, Backend, Box, Scalar
from jaxaug.ops.definitions.sources import DEEPAA
from jaxaug.ops.registry import erase_op


@erase_op("CutoutAbs", 0.0, 20.0, unit="pixels", neutral=0.0, source="AutoAugment family; PIL rectangle, ends included")
def _cutout_abs(backend: Backend, value: Array, random: Array, height: int, width: int) -> Box:
    xp = backend.xp
    top, left = (backend.corner(xp.maximum(0.0, random[i] * side - value / 2)) for i, side in ((1, height), (0, width)))
    # PIL's code draws nothing at 0; at any other value the rectangle's ends are included.
    top = xp.where(value > 0, top, height + 1.0)
    return top, xp.minimum(height, top + value), left, xp.minimum(width, left + value)


@erase_op("Cutout", 0.0, 0.2, unit="of the width", neutral=0.0, source="Fast AutoAugment (Lim et al. 2019)")
def _cutout(backend: Backend, value: Array, random: Array, height: int, width: int) -> Box:
    return _cutout_abs(backend, value * width, random, height, width)


def _around(backend: Backend, y: Scalar, x: Scalar, value: Array, height: int, width: int) -> Box:
    """The square of side `value` around (y, x), cut off at the image's edges; none at 0."""
    xp, half = backend.xp, value / 2
    top = xp.where(value > 0, xp.maximum(0.0, y - half), height + 1.0)
    return top, xp.minimum(height, y + half), xp.maximum(0.0, x - half), xp.minimum(width, x + half)


@erase_op(
    "RandCutout",
    0.0,
    60.0,
    unit="pixels",
    neutral=0.0,
    single_level=True,
    source=DEEPAA + " (16; on images above 120 pixels 60)",
)
def _random_cutout(backend: Backend, value: Array, random: Array, height: int, width: int) -> Box:
    return _around(backend, random[1] * height, random[0] * width, value, height, width)


@erase_op(
    "RandCutout60", 0.0, 60.0, unit="pixels", neutral=0.0, single_level=True, source=DEEPAA + ", its ImageNet search"
)
def _random_cutout_60(backend: Backend, value: Array, random: Array, height: int, width: int) -> Box:
    # The center lies in the middle 256 x 256.
    (top, high), (left, wide) = ((max(0, side - 256) / 2, min(side, 256)) for side in (height, width))
    return _around(backend, top + random[1] * high, left + random[0] * wide, value, height, width)
