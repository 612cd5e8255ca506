"""Where the channels of images lie, and what they are normalized by.

Without JAX: the host's copy of the ops runs in workers that have none.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxaug.core.errors import UsageError

CHANNELS = (1, 3, 4)  # gray, RGB, RGBA: what an axis of channels looks like
SHAPES = {4: "[B H W C]", 3: "[H W C]"}


def check_layout(name: str, shape: tuple[int, ...]) -> None:
    """Raises UsageError for images of a shape [B H W C] or [H W C] whose channels seem to come first."""
    if shape[-1] not in CHANNELS and shape[-3] in CHANNELS:
        last = (0, 2, 3, 1) if len(shape) == 4 else (1, 2, 0)
        raise UsageError(
            f"{name}: images must have channels last, {SHAPES[len(shape)]}, got shape {shape}: use "
            f"images.transpose{last}"
        )


def check_statistics(name: str, mean: Sequence[float], std: Sequence[float]) -> None:
    """Raises UsageError unless mean and std have as many numbers, on the 0..1 scale, those of std above 0."""
    for what, numbers in (("mean", mean), ("std", std)):
        try:
            values = [float(number) for number in numbers]
        except (TypeError, ValueError):
            raise UsageError(f"{name}: {what} must have one number per channel, got {numbers!r}") from None
        if not values or not all(0 <= value <= 1 for value in values):
            raise UsageError(
                f"{name}: {what} must have one number per channel, of pixels scaled to 0..1 (divide those of 0..255 by "
                f"255), got {tuple(values)}"
            )
    if len(mean) != len(std):
        raise UsageError(f"{name}: mean has {len(mean)} numbers, std {len(std)}")
    if not min(std) > 0:
        raise UsageError(f"{name}: images are divided by std, which must be above 0, got {tuple(std)}")
