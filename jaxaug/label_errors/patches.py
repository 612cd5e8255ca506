"""What the images alone say of the labels, without a network: patches as features, ridge regression, each row left out.

The features are those of Coates and Ng, "The importance of encoding versus training with sparse coding and vector
quantization" (ICML 2011): correlations with whitened patches of the set itself, thresholded and summed over quarters
of the image. The regression's prediction for a row without that row has a closed form, so that there are no folds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg
from numpy.lib.stride_tricks import sliding_window_view

from jaxaug.label_errors.odd import cell_means
from jaxaug.label_errors.outliers import unlike_others

SIDE = 32  # pixels: larger images are made smaller
PATCH = 6  # pixels, on images of 24 or more
SMALLEST = 8  # pixels: images are not halved below
SEEN = 25_000  # patches that the whitening is measured on
CONTRAST, WHITEN = 10.0, 0.1  # added to variances: of a patch's grey levels, of the whitened directions
THRESHOLD = 0.25
RIDGE = 0.03
CELLS, COLORS = 4, 0.3  # the image's coarse colors, each way; what they weigh beside the patches, which see none
QUARTERS, ENOUGH = 4, 200  # parts of an image; patches that tell whether it is unlike the others
_BLOCK = 50  # images at a time


def patch_features(image: np.ndarray, count: int = 800, seed: int = 0) -> np.ndarray:
    """Features of images that are the same for an image and its mirror image.

    Args:
      image: [N H W C], 0..255.
      count: of patches, drawn from the images.
      seed: of the draw.

    Returns:
      float32 [N 4 * count], quarter by quarter.
    """
    image = cell_means(image, SIDE) if min(image.shape[1:3]) > SIDE else image.astype(np.float32)
    side = min(PATCH, max(min(image.shape[1:3]) // 4 + 1, 2), *image.shape[1:3])
    mean, dictionary = _dictionary(image, side, count, np.random.default_rng(seed))
    parts = [_pooled(image[at : at + _BLOCK], side, mean, dictionary) for at in range(0, len(image), _BLOCK)]
    return np.concatenate(parts)


class PatchJudgement(NamedTuple):
    """What patches say of N rows.

    Attributes:
      probabilities: float64 [N K], of each row by a regression on all others.
      unlike: float64 [N], how unlike the others each row is, see `outliers.unlike_others`.
    """

    probabilities: np.ndarray
    unlike: np.ndarray


def judge_by_patches(image: np.ndarray, labels: np.ndarray, num_classes: int, seed: int = 0) -> PatchJudgement:
    """What a regression on patches of the images, and of the images at half their size, says of each row left out.

    Args:
      image: [N H W C], 0..255.
      labels: int [N], 0..K-1, N being 3 or more.
      num_classes: K.
      seed: of the patches.
    """
    small = min(image.shape[1:3])
    scales = [image] + ([cell_means(image, min(small, SIDE) // 2)] if small >= 2 * SMALLEST else [])
    features = [standardized(patch_features(one, seed=seed + number)) for number, one in enumerate(scales)]
    cells = cell_means(image, CELLS)
    colors = standardized((cells + cells[:, :, ::-1]).reshape(len(image), -1))
    count = sum(one.shape[1] for one in features)
    features.append(colors * np.float32(np.sqrt(COLORS * count / colors.shape[1])))
    some = features[0].reshape(len(image), QUARTERS, -1)[:, :, :ENOUGH].reshape(len(image), -1)
    unlike, joined = unlike_others(some, seed), np.concatenate(features, axis=1)
    del features, some  # they are as large once more
    return PatchJudgement(_left_out(labels, joined, num_classes), unlike)


def standardized(features: np.ndarray) -> np.ndarray:
    """[N D], each column with mean 0 and a standard deviation of 1, less where a column is nearly constant."""
    rows = features - features.mean(axis=0)
    spread = rows.std(axis=0)
    rows /= spread + 1e-3 * spread.mean() + 1e-12
    return rows


def left_out_probabilities(labels: np.ndarray, features: np.ndarray, num_classes: int) -> np.ndarray:
    """The probability of each class for each row, from a ridge regression on all other rows.

    Targets are one-hot labels; predictions become probabilities by the softmax at the temperature that fits the labels
    best.

    Args:
      labels: int [N], 0..K-1, N being 3 or more.
      features: float [N D], each of about the size that it is to weigh; memory is D * D + N * D numbers.
      num_classes: K.

    Returns:
      float64 [N K].
    """
    return _left_out(labels, np.array(features, np.result_type(features, np.float32)), num_classes)


def _left_out(labels: np.ndarray, rows: np.ndarray, num_classes: int) -> np.ndarray:
    """`left_out_probabilities`, of features that are written over."""
    target = np.eye(num_classes, dtype=np.float32)[labels]
    rows -= rows.mean(axis=0)
    offset = target.mean(axis=0)
    fitted, own = _fitted(rows, target - offset)
    error = (target - offset - fitted) / (1 - np.clip(own + 1 / len(rows), 0.0, 1 - 1e-4))[:, None]
    return _calibrated((target - error).astype(np.float64), labels)


def _fitted(rows: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(hat matrix times targets [N K], its diagonal [N]) of the ridge regression, through the smaller Gram matrix."""
    wide = rows.shape[1] > len(rows)
    gram = rows @ rows.T if wide else rows.T @ rows
    penalised = gram.copy() if wide else gram
    penalised[np.diag_indices(len(gram))] += RIDGE * len(rows)
    factor = scipy.linalg.cholesky(penalised, lower=True, overwrite_a=True, check_finite=False)
    if wide:
        hat = scipy.linalg.cho_solve((factor, True), gram, overwrite_b=True, check_finite=False)
        return hat @ target, np.diag(hat)
    whitened = scipy.linalg.solve_triangular(factor, rows.T, lower=True, overwrite_b=True, check_finite=False).T
    return whitened @ (whitened.T @ target), np.einsum("nd,nd->n", whitened, whitened)


def _calibrated(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    def log_probabilities(temperature: float) -> np.ndarray:
        scaled = logits / temperature
        scaled -= scaled.max(axis=1, keepdims=True)
        scaled -= np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        return scaled

    row = np.arange(len(labels))
    losses = {one: -log_probabilities(one)[row, labels].mean() for one in np.geomspace(0.02, 1.0, 18)}
    return np.exp(log_probabilities(min(losses, key=lambda one: losses[one])))


def _dictionary(image: np.ndarray, side: int, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(mean patch [D], whitened patches and their mirror images as columns [D 2 count])."""
    high, wide = image.shape[1] - side + 1, image.shape[2] - side + 1
    rows, top, left = (random.integers(0, most, SEEN) for most in (len(image), high, wide))
    windows = sliding_window_view(image, (side, side), axis=(1, 2))[rows, top, left]  # [n C side side]
    # Mirrored patches, too, so that what is measured and what is looked for has no left and right.
    both = np.stack([windows, windows[..., ::-1]]).reshape(2, SEEN, -1)
    seen = _contrast(both)
    mean = seen.mean(axis=(0, 1))
    variance, directions = np.linalg.eigh(np.atleast_2d(np.cov((seen - mean).reshape(2 * SEEN, -1), rowvar=False)))
    whiten = (directions / np.sqrt(np.maximum(variance, 0) + WHITEN)) @ directions.T
    chosen = (np.concatenate(seen[:, :count]) - mean) @ whiten
    chosen /= np.linalg.norm(chosen, axis=1, keepdims=True) + 1e-6
    return mean.astype(np.float32), (whiten @ chosen.T).astype(np.float32)


def _contrast(patches: np.ndarray) -> np.ndarray:
    patches = patches - patches.mean(axis=-1, keepdims=True)
    return patches / np.sqrt(patches.var(axis=-1, keepdims=True) + CONTRAST)


def _pooled(image: np.ndarray, side: int, mean: np.ndarray, dictionary: np.ndarray) -> np.ndarray:
    windows = sliding_window_view(image, (side, side), axis=(1, 2))  # [B h w C side side]
    rows, high, wide = windows.shape[:3]
    found = (_contrast(windows.reshape(rows * high * wide, -1)) - mean) @ dictionary
    found = np.maximum(found - THRESHOLD, 0, out=found).reshape(rows, high, wide, -1)
    # Where there is a middle, it counts in both halves.
    halves = [found[:, : -(-high // 2)].sum(axis=1), found[:, high // 2 :].sum(axis=1)]
    parts = [(one[:, : -(-wide // 2)].sum(axis=1), one[:, wide // 2 :].sum(axis=1)) for one in halves]
    quarters = np.stack([np.stack(pair, axis=1) for pair in parts], axis=1)  # [B 2 2 2count]
    straight, mirrored = np.split(quarters, 2, axis=-1)
    return (straight + mirrored[:, :, ::-1]).reshape(rows, -1)
