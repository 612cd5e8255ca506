"""What a policy search chooses from: one layer of branches, an operation at a level each."""

from __future__ import annotations

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.ops.registry import IDENTITY, find_op
from jaxaug.policies._deepaa import RESIZED_CROPS
from jaxaug.policies._published import GEOMETRIC
from jaxaug.policies.policy import RGB_MEAN, Policy, make_policy

COLORS = ("AutoContrast", "Invert", "Equalize", "Solarize", "Posterize", "Contrast", "Color", "Brightness", "Sharpness")
AFFINE = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
# Table of operations of DeepAA (Zheng et al. 2022), in the order of its policies; of small and of large images.
SMALL = (IDENTITY, *AFFINE, *COLORS, "RandFlip", "RandCutout", "RandCrop")
LARGE = (IDENTITY, *AFFINE, *COLORS, "RandFlip", "RandCutout60", "RandResizeCrop")
LARGEST_SMALL = 120  # pixels of a side: from there on DeepAA's code takes the second list


def make_search_space(
    shape: tuple[int, ...], ops: tuple[str, ...] = (), levels: int = 13, cover: tuple[float, ...] = RGB_MEAN
) -> Policy:
    """A policy of one layer, in which every op at every level is one equally likely branch.

    RandCutout hides 16 pixels of 32 and RandCrop pads by 4, as in DeepAA (Zheng et al. 2022), and as large a share of
    other sides below 121; on larger images they are RandCutout60 and RandResizeCrop.

    Args:
      shape: (height, width, channels) of the images. Grayscale images have no Color.
      ops: names, Identity always among them; () for DeepAA's eighteen, which make 139 branches with its 13 levels.
      levels: equal steps of an op's range, of which the one that changes nothing is left out; 0 for its ends alone, for
        levels that are learned between them and `neutral_levels`.
      cover: color of what is erased and of what crops uncover.

    Returns:
      The policy.

    Raises:
      UsageError: unknown ops, 1 level.
    """
    height, width, channels = shape
    side = min(height, width)
    chosen = ops or (SMALL if side <= LARGEST_SMALL else LARGE)
    if not ops and channels == 1:
        chosen = tuple(name for name in chosen if not find_op(name).needs_color)
    if levels < 2 and levels != 0:
        raise UsageError(f"make_search_space: levels must be 0 or at least 2, got {levels}")
    chosen = (IDENTITY, *(name for name in chosen if name != IDENTITY))
    layer = [(name, at, 1.0) for name in chosen for at in _levels(name, levels or 2)]
    shares = {"RandCutout": max(round(side / 2), 1), "RandCrop": max(round(side / 8), 1)}
    ranges = {name: (0.0, float(pixels)) for name, pixels in shares.items() if side <= LARGEST_SMALL}
    return make_policy([[layer]], {**ranges, "RandResizeCrop": RESIZED_CROPS}, signed=GEOMETRIC, cover=cover)


def neutral_levels(policy: Policy) -> np.ndarray:
    """[R]: the level of each branch of a space's layer that changes nothing; its own where the op has no such level."""
    found = np.array(policy.level[0, 0], np.float64)
    for i, number in enumerate(policy.op[0, 0]):
        (low, high), op = policy.ranges[number], find_op(policy.names[number])
        if op.has_levels:
            found[i] = (op.neutral - low) / (high - low)
    return found


def _levels(name: str, count: int) -> list[float]:
    """The levels in [0, 1] of an op, without the one that changes nothing."""
    op = find_op(name)
    if op.neutral is None or not op.has_levels:
        return [1.0]
    values = op.low + (op.high - op.low) * np.arange(count) / (count - 1)
    return [i / (count - 1) for i in range(count) if not np.isclose(values[i], op.neutral)]
