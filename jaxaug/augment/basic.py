"""The usual transforms of small images: translation, mirroring, and a hidden square."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaug.augment.transform import (
    IMAGE,
    MOVES,
    VISIBILITY,
    BatchTransform,
    check_closing,
    check_probability,
    closing_phase,
    moved_label,
    visibility_of,
)
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.types import Batch, Progress, Tree
from jaxaug.ops import batched
from jaxaug.ops.registry import VOID

_FILLS = {"zero": "constant", "reflect": "reflect", "edge": "edge"}  # -> mode of jnp.pad


@register("augment")
def pad_and_crop(padding: int = 4, fill: str = "reflect", soften: bool = False) -> BatchTransform:
    """Random translation: pad the images, and cut a window of the old size anywhere, uniformly.

    A label map gets -1 where the padding is, whatever the fill. With padding 16 of 32 and zeros it is the "aggressive
    hard crop" of Soft Augmentation's first figure.

    Args:
      padding: pixels added on each side, at least 0.
      fill: what the padding shows: "reflect" (ISDA's CIFAR recipe), "zero" (the usual one) or "edge".
      soften: write down what is left of the image; what the padding repeats counts as hidden.

    Raises:
      UsageError: another fill, or a negative padding.
    """
    if fill not in _FILLS or not padding >= 0:
        raise UsageError(
            f"pad_and_crop: fill must be one of {tuple(_FILLS)} and padding at least 0, got {fill!r} and {padding}"
        )

    def apply(key: jax.Array, batch: Batch, shared: Tree, progress: Progress) -> Batch:
        top, left = jax.random.randint(key, (2, len(batch.label)), 0, 2 * padding + 1)
        image = batched.crop_windows(batch.image, top, left, padding, _FILLS[fill])
        # Moved by VOID, because "constant" pads with 0.
        label = moved_label(
            batch, lambda label: batched.crop_windows(label - VOID, top, left, padding, "constant") + VOID
        )

        def window(shares: jax.Array, mode: str) -> jax.Array:
            return batched.crop_windows(shares[..., None], top, left, padding, mode)[..., 0]

        visibility = batch.visibility
        if soften:
            visibility = window(visibility_of(batch), "constant")
        elif visibility is not None:
            # What comes in is as visible as what it repeats; black hides nothing here.
            visibility = 1.0 - window(1.0 - visibility, _FILLS[fill])
        return batch.replace(image=image, label=label, visibility=visibility)

    seen = VISIBILITY if soften else frozenset()
    return BatchTransform(
        apply, "pad_and_crop", reads=MOVES | VISIBILITY, writes=MOVES | seen, keeps_shares=padding == 0
    )


@register("augment")
def flip(probability: float = 0.5) -> BatchTransform:
    """Mirror left and right.

    Args:
      probability: of each image to be mirrored, in 0..1.

    Raises:
      UsageError: another probability.
    """
    check_probability("flip", probability)

    def apply(key: jax.Array, batch: Batch, shared: Tree, progress: Progress) -> Batch:
        chosen = jax.random.bernoulli(key, probability, (len(batch.label),))
        label = moved_label(batch, lambda label: batched.flip_columns(label, chosen))
        visibility = batch.visibility
        if visibility is not None:
            visibility = batched.flip_columns(visibility[..., None], chosen)[..., 0]
        return batch.replace(image=batched.flip_columns(batch.image, chosen), label=label, visibility=visibility)

    return BatchTransform(apply, "flip", reads=MOVES | VISIBILITY, writes=MOVES)


@register("augment")
def cutout(
    length: int = 16, value: float = 0.0, soften: bool = False, holes: int = 1, closing: float = 0.0
) -> BatchTransform:
    """Hide squares of each image; a centre is uniform over the pixels, and what falls outside is cut off.

    DeVries and Taylor 2017; ISDA's recipe is the default. Label maps stay as they are.

    Args:
      length: side of the square in pixels, at least 0.
      value: what the square shows in every channel, in 0..255.
      soften: write the holes down.
      holes: how many, at least 1; they may overlap.
      closing: the last epochs, in which nothing is hidden, as in Soft Augmentation's code: below 1 their share, 0 for
        never, else their number.

    Raises:
      UsageError: a negative length, another value, no hole, or closing neither a share nor a number.
    """
    if not length >= 0 or length != int(length) or not 0 <= value <= 255 or holes < 1:
        raise UsageError(
            "cutout: length must be a whole number of pixels of at least 0, value in 0..255 and holes at least 1, "
            f"got {length}, {value} and {holes}"
        )
    check_closing("cutout", closing)

    def apply(key: jax.Array, batch: Batch, shared: Tree, progress: Progress) -> Batch:
        row_key, column_key = jax.random.split(key)
        height, width = batch.image.shape[1:3]
        rows = jax.random.randint(row_key, (holes, len(batch.label)), 0, height)
        columns = jax.random.randint(column_key, (holes, len(batch.label)), 0, width)
        image, visibility = batch.image, visibility_of(batch)[..., None] if soften else None
        side = jnp.where(closing_phase(progress, closing), 0, length) if closing else length
        for row, column in zip(rows, columns, strict=True):
            image = batched.fill_squares(image, row, column, side, value)
            visibility = None if visibility is None else batched.fill_squares(visibility, row, column, side, 0.0)
        return batch.replace(image=image, visibility=batch.visibility if visibility is None else visibility[..., 0])

    seen = VISIBILITY if soften else frozenset()
    return BatchTransform(apply, "cutout", reads=IMAGE | seen, writes=IMAGE | seen)
