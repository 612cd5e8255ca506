"""Parts of an augmentation pipeline: `part(**options)` gives `(key, batch, hyper, progress) -> batch`.

They see images on the 0..255 scale, before normalisation.
"""

from __future__ import annotations

from collections.abc import Callable

import jax

from jaxaug.augment import pixels
from jaxaug.errors import UsageError
from jaxaug.types import Batch, Progress, Tree

Part = Callable[[jax.Array, Batch, Tree, Progress], Batch]

FILLS = {"zero": "constant", "reflect": "reflect", "edge": "edge"}


def pad_and_crop(padding: int = 4, fill: str = "reflect") -> Part:
    """Random translation: pad by `padding` pixels, cut a window of the old size anywhere, uniformly.

    fill: "reflect" (ISDA's CIFAR recipe), "zero" (the usual one) or "edge".
    """
    if fill not in FILLS or padding < 0:
        raise UsageError(
            f"augment 'parts.pad_and_crop': fill must be one of {tuple(FILLS)} and padding at least 0, "
            f"got {fill!r} and {padding}"
        )

    def part(key: jax.Array, batch: Batch, hyper: Tree, progress: Progress) -> Batch:
        top, left = jax.random.randint(key, (2, len(batch.label)), 0, 2 * padding + 1)
        return batch.replace(image=pixels.crop_windows(batch.image, top, left, padding, FILLS[fill]))

    return part


def flip(probability: float = 0.5) -> Part:
    """Mirror left and right with the given probability."""

    def part(key: jax.Array, batch: Batch, hyper: Tree, progress: Progress) -> Batch:
        chosen = jax.random.bernoulli(key, probability, batch.label.shape)
        return batch.replace(image=pixels.flip_columns(batch.image, chosen))

    return part


def cutout(length: int = 16, value: float = 0.0) -> Part:
    """Hide one square of `length` pixels with `value` (0..255); its centre is uniform over the image's pixels, and
    what falls outside is cut off (DeVries and Taylor 2017). ISDA's recipe: length 16, black.
    """

    def part(key: jax.Array, batch: Batch, hyper: Tree, progress: Progress) -> Batch:
        of_row, of_column = jax.random.split(key)
        height, width = batch.image.shape[1:3]
        row = jax.random.randint(of_row, batch.label.shape, 0, height)
        column = jax.random.randint(of_column, batch.label.shape, 0, width)
        return batch.replace(image=pixels.fill_squares(batch.image, row, column, length, value))

    return part
