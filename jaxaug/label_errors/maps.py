"""Wrong pixels of label maps, and the images whose maps are most likely to have some."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxaug.core.errors import UsageError
from jaxaug.label_errors.confident import class_table, confident_joint, estimated_errors

TEMPERATURE = 0.1  # cleanlab's: a region of bad pixels weighs, one pixel alone hardly


class MapIssues(NamedTuple):
    """What `find_in_maps` says of N label maps.

    Attributes:
      score: float64 [N] in 0..1, of an image, the larger the more suspicious.
      ranking: int [N], the numbers of the images, the most suspicious first.
      pixel_score: float32 [N H W] in 0..1, 1 minus the probability of the given label, 0 where there is none.
      suggested: int32 [N H W], the class that each pixel probably belongs to, -1 where it has no label.
      errors: how many pixels are wrong by estimate.
      joint: float64 [K K], the distribution of given by true classes over the pixels, with sum 1.
      classes: the columns of `class_table`, over pixels.
    """

    score: np.ndarray
    ranking: np.ndarray
    pixel_score: np.ndarray
    suggested: np.ndarray
    errors: int
    joint: np.ndarray
    classes: dict[str, np.ndarray]


def find_in_maps(labels: ArrayLike, probabilities: ArrayLike) -> MapIssues:
    """Rank label maps, and the pixels in them, by how suspicious they are.

    An image's score is the mean of its pixels' scores s with the weights exp(s / 0.1), so that bad regions count more
    than good ones.

    Args:
      labels: int [N H W], 0..K-1, or any other number where a pixel has no label (-1, 255).
      probabilities: float [N H W K] in 0..1.

    Raises:
      UsageError: arrays of other shapes, kinds or ranges, or maps without a single label.
    """
    given, said = np.asarray(labels), np.asarray(probabilities)
    if given.dtype.kind not in "iu" or given.ndim != 3 or said.ndim != 4 or said.shape[:3] != given.shape:
        raise UsageError(
            "find_in_maps: labels must be integers [N H W] and probabilities floats [N H W K], got "
            f"{given.dtype}{list(given.shape)} and {said.dtype}{list(said.shape)}"
        )
    known = (given >= 0) & (given < said.shape[-1])
    if not known.any():
        raise UsageError(f"find_in_maps: no pixel has a label in 0..{said.shape[-1] - 1}")
    if not ((said >= -1e-3) & (said <= 1 + 1e-3)).all():  # NaN fails both
        raise UsageError(f"find_in_maps: probabilities must lie in 0..1, got {said.min()}..{said.max()}")
    safe = np.where(known, given, 0)
    of_given = np.take_along_axis(said, safe[..., None], axis=-1)[..., 0].astype(np.float32)
    pixel_score = np.where(known, 1.0 - np.clip(of_given, 0.0, 1.0), 0.0).astype(np.float32)
    weight = np.where(known, np.exp(pixel_score.astype(np.float64) / TEMPERATURE), 0.0)
    score = (weight * pixel_score).sum(axis=(1, 2)) / np.maximum(weight.sum(axis=(1, 2)), 1.0)
    joint, pixels = confident_joint(given[known], said[known]), int(known.sum())
    return MapIssues(
        score,
        np.argsort(-score, kind="stable"),
        pixel_score,
        np.where(known, said.argmax(axis=-1), -1).astype(np.int32),
        estimated_errors(joint, pixels),
        joint,
        class_table(joint, pixels),
    )
