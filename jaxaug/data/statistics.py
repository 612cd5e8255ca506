"""Mean and standard deviation per channel, in one pass over a set that may lie on disk."""

import math
from collections.abc import Iterator

import numpy as np

# Float images are searched for NaN this many rows at a time, so that a memory-mapped set is never held twice.
CHUNK_ROWS = 4096
CHUNK_NUMBERS = 2**24  # 128 MiB of float64
# (mean, std) that networks for ImageNet are trained with, since Torch's first recipes.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def chunks_of(array: np.ndarray) -> Iterator[slice]:
    """The rows of an array [N ...], CHUNK_ROWS at a time, fewer of large ones."""
    rows = min(CHUNK_ROWS, max(1, CHUNK_NUMBERS // max(1, math.prod(array.shape[1:]))))
    yield from (slice(start, start + rows) for start in range(0, len(array), rows))


def channel_statistics(image: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and (population) standard deviation per channel on the 0..1 scale.

    Holds CHUNK_ROWS images at a time as float64, fewer of large ones.

    Args:
      image: [N H W C] with N > 0, 0..255.

    Returns:
      (mean, std), tuples of C floats. A channel that never varies gets 1/255 for its std, one gray level, so
      that dividing by it stays finite.
    """
    total = np.zeros(image.shape[-1])
    squares = np.zeros(image.shape[-1])
    for part in chunks_of(image):
        chunk = np.asarray(image[part], np.float64)
        total += chunk.sum(axis=(0, 1, 2))
        squares += np.square(chunk, out=chunk).sum(axis=(0, 1, 2))
    pixels = len(image) * image.shape[1] * image.shape[2]
    mean = total / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 1.0))
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())
