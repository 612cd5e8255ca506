"""Pictures of any size for a network of label maps, and what it says of them at their size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from jaxaug.core.errors import UsageError


def as_pictures(images: Any, channels: int) -> list[np.ndarray]:
    """Pictures as a user may have them, each uint8 or float32 [H W C].

    Args:
      images: [N H W C], [N H W] for one channel, or a sequence of N such images, which may differ in size.
      channels: C.

    Raises:
      UsageError: there are none, or one has another shape, type or scale.
    """
    found = [_as_picture(image, channels, row) for row, image in enumerate(images)]
    if not found:
        raise UsageError("predict: there are no images")
    return found


def _as_picture(image: Any, channels: int, row: int) -> np.ndarray:
    image = np.asarray(image)
    image = image[..., None] if image.ndim == 2 and channels == 1 else image
    if image.ndim != 3 or image.shape[2] != channels or not image.size:
        raise UsageError(
            f"predict: image {row} has shape {list(image.shape)}; the run takes [N H W {channels}] of any H and W, or "
            f"a list of [H W {channels}]"
        )
    return check_scale(image)


def check_scale(images: np.ndarray) -> np.ndarray:
    """Images as uint8 or float32.

    Raises:
      UsageError: another type, or floats that are not on the 0..255 scale.
    """
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise UsageError(f"predict: images are {images.dtype}; they must be uint8, or float on the scale 0..255")
    low, high = float(images.min()), float(images.max())
    # All black says nothing of the scale, and is the same on each.
    if not (low == high == 0 or (low >= 0 and 1 < high <= 255)):
        raise UsageError(f"predict: images lie in {low:g}..{high:g}; floats must be on the scale 0..255")
    return images.astype(np.float32)


def resized(picture: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """A picture, or maps of numbers, at another size: bilinear, averaged where it becomes smaller, as data sets do it.

    Args:
      picture: [H W C], uint8 or float32.
      size: (H, W) to bring it to.

    Returns:
      Of the same dtype.
    """
    if picture.shape[:2] == size:
        return picture
    width_height, channels = (size[1], size[0]), picture.shape[2]
    if picture.dtype == np.uint8 and channels in (1, 3):
        image = Image.fromarray(picture[..., 0] if channels == 1 else picture)
        return np.asarray(image.resize(width_height, Image.Resampling.BILINEAR)).reshape(*size, channels)
    found = np.empty((*size, channels), np.float32)
    for channel in range(channels):
        image = Image.fromarray(picture[..., channel].astype(np.float32))
        found[..., channel] = image.resize(width_height, Image.Resampling.BILINEAR)
    return found.astype(picture.dtype)


def same_size(pictures: Sequence[np.ndarray], most: int) -> Iterator[list[int]]:
    """The numbers of neighbours of one size and dtype, up to so many at a time."""
    start = 0
    for end in range(1, len(pictures) + 1):
        part = pictures[start]
        if (
            end == len(pictures)
            or end - start == most
            or (pictures[end].shape, pictures[end].dtype) != (part.shape, part.dtype)
        ):
            yield list(range(start, end))
            start = end
