"""Images that are odd whatever their label: blank, dark, bright, tiny, long; and images that are there twice."""

from __future__ import annotations

import numpy as np

from jaxaug.label_errors.neighbours import near_pairs

CELLS = 8  # of a fingerprint, each way
# Correlations of two fingerprints, and of the images themselves, from which on images count as the same.
ALIKE, ALIKE_WHOLE = 0.98, 0.97
MOST_TWINS = 50  # of a row: all pairs of many equal images would fill the memory
_BLOCK = 1000  # pairs at a time
FLAT = 2.0  # standard deviation of the grey levels, of 255
DARK, BRIGHT = 16.0, 239.0  # mean grey level
TINY, LONG = 16, 5.0  # pixels of the shorter side; longer side to shorter


def odd_images(image: np.ndarray, sides: np.ndarray | None = None) -> dict[int, str]:
    """Images that hardly show anything.

    Args:
      image: [N H W C], 0..255.
      sides: int [N 2], height and width of the original images; by default those of the array.

    Returns:
      row -> what is odd: "blank" (all pixels alike), "dark", "bright", "tiny" (a side below 16 pixels) or "long" (a
      side more than five times the other), joined with commas.
    """
    level = np.array([one.astype(np.float32).mean(axis=-1).mean() for one in image])
    spread = np.array([one.astype(np.float32).std(axis=(0, 1)).max() for one in image])
    sides = np.broadcast_to(np.array(image.shape[1:3]), (len(image), 2)) if sides is None else sides
    short, long = sides.min(axis=1), sides.max(axis=1)
    # A set of small images, such as digits of 8 x 8 pixels, is not odd.
    tiny = short < min(TINY, int(np.median(short)))
    marks = {
        "blank": spread < FLAT,
        "dark": (level < DARK) & (spread >= FLAT) & (level < np.median(level) / 4),
        "bright": (level > BRIGHT) & (spread >= FLAT) & (255 - level < np.median(255 - level) / 4),
        "tiny": tiny,
        "long": long > LONG * short,
    }
    rows = np.flatnonzero(np.any(list(marks.values()), axis=0))
    return {int(row): ", ".join(name for name, mark in marks.items() if mark[row]) for row in rows}


def duplicates(image: np.ndarray) -> np.ndarray:
    """Pairs of images that are the same, or nearly: saved anew, scaled, made brighter.

    Fingerprints of 8 x 8 cells and each channel, less their mean, are compared, and where they are alike the images;
    blank images are like no other.

    Args:
      image: [N H W C], 0..255.

    Returns:
      int64 [M 2], the lower row first; of each row with the first 50 that are like it.
    """
    pairs = near_pairs(fingerprints(image), ALIKE, MOST_TWINS)
    parts = [pairs[start : start + _BLOCK] for start in range(0, len(pairs), _BLOCK)]
    return np.concatenate([part[_correlations(image, part) >= ALIKE_WHOLE] for part in parts] or [pairs])


def _correlations(image: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """[M] of the images of each pair, each channel less its mean."""
    first, second = (image[side].astype(np.float32) for side in pairs.T)
    first -= first.mean(axis=(1, 2), keepdims=True)
    second -= second.mean(axis=(1, 2), keepdims=True)
    lengths = np.sqrt(np.einsum("nhwc,nhwc->n", first, first) * np.einsum("nhwc,nhwc->n", second, second))
    return np.einsum("nhwc,nhwc->n", first, second) / np.maximum(lengths, 1e-6)


def fingerprints(image: np.ndarray) -> np.ndarray:
    """[N D] float32: the mean of each of 8 x 8 cells and channels (pixels of smaller images), less their mean."""
    cells = cell_means(image, CELLS)
    cells -= cells.mean(axis=(1, 2), keepdims=True)
    found = cells.reshape(len(image), -1)
    return np.where(np.abs(found).max(axis=1, keepdims=True) < FLAT, 0.0, found)


def cell_means(image: np.ndarray, cells: int) -> np.ndarray:
    """The mean of each of cells x cells parts of images, of as many as there are pixels where those are fewer.

    Args:
      image: [N H W C].
      cells: parts each way, 1 or more.

    Returns:
      float32 [N cells cells C].
    """
    height, width = image.shape[1:3]
    down, across = (np.linspace(0, side, min(cells, side), endpoint=False).astype(int) for side in (height, width))
    sums = np.stack([np.add.reduceat(np.add.reduceat(one.astype(np.float32), down), across, axis=1) for one in image])
    areas = np.diff([*down, height])[:, None] * np.diff([*across, width])[None, :]
    return sums / areas[..., None].astype(np.float32)
