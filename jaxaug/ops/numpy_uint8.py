"""PIL's arithmetic in NumPy alone: uint8 images [C H W], the pixels of `uint8` without a call into JAX.

For the worker processes of data loaders: a process that was forked from one that uses JAX must not call it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.ops import fixed_point, float64
from jaxaug.ops.backend import Box, Six
from jaxaug.ops.fixed_point import ONE

xp = np
LUMA = (19595, 38470, 7471)  # of 65536: ITU-R 601 as in Pillow's Convert.c
turn = float64.turn
longer = float64.longer


def blend(base: np.ndarray, image: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Pillow's `Image.blend`: base + factor * (image - base), rounded toward zero, in 0..255."""
    start = np.asarray(base, np.float32)
    step = image.astype(np.float32) - start
    return np.clip(start + np.float32(factor) * step, 0.0, 255.0).astype(np.uint8)


def grayscale(image: np.ndarray) -> np.ndarray:
    """[1 H W]: `convert("L")`."""
    if image.shape[0] == 1:
        return image
    return (_luma(*image.astype(np.int32)) >> 16).astype(np.uint8)[None]


def mean(plane: np.ndarray) -> np.ndarray:
    """[] uint8: the mean, rounded half up, as ImageEnhance.Contrast takes it."""
    total = int(np.sum(plane, dtype=np.int64))
    return np.asarray((2 * total + plane.size) // (2 * plane.size), np.uint8)


def smoothed(image: np.ndarray) -> np.ndarray:
    """ImageFilter.SMOOTH: 3 x 3, 5 in the middle of ones, over 13, rounded half up; the border is kept."""
    height, width = image.shape[1:]
    if height < 3 or width < 3:
        return image
    wide, found = image.astype(np.int16), image.copy()
    rows = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    total = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4 * wide[:, 1:-1, 1:-1]
    found[:, 1:-1, 1:-1] = (2 * total + 13) // 26
    return found


def invert_from(image: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """ImageOps.solarize: 255 - i where i >= threshold."""
    return np.where(image.astype(np.float32) < threshold, image, 255 - image)


def keep_bits(image: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """ImageOps.posterize: the upper int(bits) of 8 bits."""
    return image & np.uint8((255 << (8 - int(np.clip(int(bits), 0, 8)))) & 255)


def stretch(image: np.ndarray) -> np.ndarray:
    """ImageOps.autocontrast, through the float64 of its Python code."""
    return np.stack([_stretched(plane) for plane in image])


def equalize(image: np.ndarray) -> np.ndarray:
    """ImageOps.equalize, through the integer steps of Pillow."""
    return np.stack([_equalized(plane) for plane in image])


def pixels(value: np.ndarray, side: int) -> np.ndarray:
    """floor(value * side + 1/2) of the exact product: the whole pixels by which nearest sampling moves."""
    product = np.float64(value) * side
    return np.floor(product) + (product - np.floor(product) >= 0.5)


def whole(value: np.ndarray, side: int) -> np.ndarray:
    """The exact product value * side, rounded toward zero."""
    return np.trunc(np.float64(value) * side)


def fixed(displacement: Six) -> Six:
    """The six 16.16 integers of a displacement, as Pillow rounds them."""
    return fixed_point.fixed(displacement, np)


def source(coefficients: Six, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(column, row) int32 of the pixel that is seen at the pixels x, y int32."""
    ax, bx, cx, ay, by, cy = np.array(coefficients, np.int32)
    with np.errstate(over="ignore"):  # far outside of the image the sum of 32 bits wraps around, as in C
        return (ax * x + bx * y + cx) >> 16, (ay * x + by * y + cy) >> 16


def inside(column: np.ndarray, row: np.ndarray, height: int, width: int) -> np.ndarray:
    """Whether a pixel is one of the image's."""
    return (column >= 0) & (column < width) & (row >= 0) & (row < height)


def where_from(coefficients: Six, height: int, width: int) -> tuple[np.ndarray, ...]:
    """(index [H W] into the flat image, inside [H W] bool) of the pixel that each output pixel shows."""
    return _found(*source(coefficients, *grid(height, width)), height, width)


def located(columns: np.ndarray, rows: np.ndarray, height: int, width: int) -> tuple[np.ndarray, ...]:
    """(index [H W] into the flat image, inside [H W] bool) of the pixels nearest to the places columns, rows [H W]."""
    return _found(*stepped(columns, rows), height, width)


def stepped(columns: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(column, row) int32 of the pixels nearest to the places columns, rows [H W]."""
    far = 2.0**20  # beyond every image, and within int32
    column, row = (np.clip(np.floor(place + 0.5), -far, far).astype(np.int32) for place in (columns, rows))
    return column, row


def grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(x [1 W], y [H 1]) int32 of all pixels."""
    return np.arange(width, dtype=np.int32)[None], np.arange(height, dtype=np.int32)[:, None]


def area(coefficients: Six) -> np.ndarray:
    """[] float32: how many pixels of the source one output pixel stands for."""
    ax, bx, _, ay, by, _ = (np.float32(c) / np.float32(ONE) for c in coefficients)
    return np.abs(ax * by - bx * ay)


def take(plane: np.ndarray, found: tuple[np.ndarray, ...], fill: np.ndarray | float) -> np.ndarray:
    """The plane [H W] of any dtype seen through `where_from` or `located`; `fill` where nothing is."""
    index, within = found
    return np.where(within, plane.reshape(-1)[index], np.asarray(fill).astype(plane.dtype))


def corner(position: np.ndarray) -> np.ndarray:
    """A rectangle's first corner as PIL's code cuts it: to a whole number."""
    return np.floor(position)


def covered(box: Box, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """In {0, 1}: are the pixels x, y in the box (top, bottom, left, right), ends included and cut to whole numbers?"""
    top, bottom, left, right = (np.floor(edge) for edge in box)
    return ((y >= top) & (y <= bottom) & (x >= left) & (x <= right)).astype(np.float32)


def cover(image: np.ndarray, amount: np.ndarray, color: np.ndarray) -> np.ndarray:
    """The image with `color` [C 1 1] where amount [H W] is 1."""
    return np.where(amount > 0, color.astype(np.uint8), image)


def rounded(image: np.ndarray) -> np.ndarray:
    """Float32 to the nearest uint8."""
    return np.clip(np.floor(image + np.float32(0.5)), 0, 255).astype(np.uint8)


def cover_color(cover: tuple[float, ...], channels: int) -> np.ndarray:
    """[C] float32: a policy's cover color for images of that many channels; an RGB one as gray for grayscale images.

    Raises:
      UsageError: the cover has another number of channels.
    """
    if channels == 1 and len(cover) == 3:
        return np.asarray([_luma(*(round(c) for c in cover)) >> 16], np.float32)
    if len(cover) not in (1, channels):
        raise UsageError(f"the policy's cover has {len(cover)} numbers, the images {channels} channels")
    return np.broadcast_to(np.asarray(cover, np.float32), (channels,))


def _luma(red: Any, green: Any, blue: Any) -> Any:
    """Of whole numbers, in 16.16 fixed point, with the half that rounds it."""
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue + ONE // 2


def _found(column: np.ndarray, row: np.ndarray, height: int, width: int) -> tuple[np.ndarray, ...]:
    within = np.broadcast_to(inside(column, row, height, width), (height, width))
    index = np.clip(row, 0, height - 1) * width + np.clip(column, 0, width - 1)
    return np.broadcast_to(index, (height, width)), within


def _stretched(plane: np.ndarray) -> np.ndarray:
    low, high = int(plane.min()), int(plane.max())
    if high <= low:
        return plane
    scale = 255.0 / (high - low)
    table = np.arange(256) * scale + -low * scale
    return np.clip(table.astype(np.int64), 0, 255).astype(np.uint8)[plane]


def _equalized(plane: np.ndarray) -> np.ndarray:
    counts = np.bincount(plane.reshape(-1), minlength=256)
    step = (plane.size - counts[np.flatnonzero(counts)[-1]]) // 255
    if step == 0:
        return plane
    before = np.cumsum(counts) - counts
    return np.minimum((step // 2 + before) // step, 255).astype(np.uint8)[plane]
