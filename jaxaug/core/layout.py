"""Where the channels of images lie. Without JAX: the host's copy of the ops runs in workers that have none."""

from __future__ import annotations

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
