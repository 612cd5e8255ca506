"""Parts of an augmentation pipeline: `part(**options)` gives `(key, batch, meta, progress) -> batch`.

They see images on the 0..255 scale, before normalisation. A part with `soften` writes down what it hid in `Batch.visibility`,
for `losses.targets.soften`; `flip` and policies carry a visibility along, a crop without `soften` leaves it as it was.
A label map, that is a `Batch.label` [B H W], moves with its image; where a move uncovers nothing it gets -1, no label.
"""

from __future__ import annotations

import jax

from jaxaug.augment.transform import BatchTransform, moved_label, visibility_of
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.types import Batch, Progress, Tree
from jaxaug.ops import batched
from jaxaug.ops.apply import VOID

_FILLS = {"zero": "constant", "reflect": "reflect", "edge": "edge"}  # -> mode of jnp.pad


@register("augment")
def pad_and_crop(padding: int = 4, fill: str = "reflect", soften: bool = False) -> BatchTransform:
    """Random translation: pad by `padding` pixels, cut a window of the old size anywhere, uniformly.

    fill: "reflect" (ISDA's CIFAR recipe), "zero" (the usual one) or "edge". soften: write down what is left of the
    image; what the padding repeats counts as hidden. With padding 16 of 32 and zeros it is the "aggressive hard crop"
    of Soft Augmentation's first figure. A label map gets -1 where the padding is, whatever the fill.
    Raises UsageError for another fill or a negative padding.
    """
    if fill not in _FILLS or not padding >= 0:
        raise UsageError(
            f"augment 'parts.pad_and_crop': fill must be one of {tuple(_FILLS)} and padding at least 0, "
            f"got {fill!r} and {padding}"
        )

    def part(key: jax.Array, batch: Batch, meta: Tree, progress: Progress) -> Batch:
        top, left = jax.random.randint(key, (2, len(batch.label)), 0, 2 * padding + 1)
        image = batched.crop_windows(batch.image, top, left, padding, _FILLS[fill])
        # Moved by VOID, because "constant" pads with 0.
        label = moved_label(
            batch, lambda label: batched.crop_windows(label - VOID, top, left, padding, "constant") + VOID
        )
        if not soften:
            return batch.replace(image=image, label=label)
        visibility = batched.crop_windows(visibility_of(batch)[..., None], top, left, padding, "constant")[..., 0]
        return batch.replace(image=image, label=label, visibility=visibility)

    return part


@register("augment")
def flip(probability: float = 0.5) -> BatchTransform:
    """Mirror left and right with the given probability, in 0..1. Raises UsageError for another one."""
    if not 0 <= probability <= 1:
        raise UsageError(f"augment 'parts.flip': probability must be in 0..1, got {probability}")

    def part(key: jax.Array, batch: Batch, meta: Tree, progress: Progress) -> Batch:
        chosen = jax.random.bernoulli(key, probability, (len(batch.label),))
        label = moved_label(batch, lambda label: batched.flip_columns(label, chosen))
        visibility = batch.visibility
        if visibility is not None:
            visibility = batched.flip_columns(visibility[..., None], chosen)[..., 0]
        return batch.replace(image=batched.flip_columns(batch.image, chosen), label=label, visibility=visibility)

    return part


@register("augment")
def cutout(length: int = 16, value: float = 0.0, soften: bool = False) -> BatchTransform:
    """Hide one square of `length` pixels with `value` (0..255); its centre is uniform over the image's pixels, and
    what falls outside is cut off (DeVries and Taylor 2017). ISDA's recipe: length 16, black. soften: write the hole
    down. Label maps stay as they are. Raises UsageError for a negative length or another value.
    """
    if not length >= 0 or not 0 <= value <= 255:
        raise UsageError(
            f"augment 'parts.cutout': length must be at least 0 and value in 0..255, got {length} and {value}"
        )

    def part(key: jax.Array, batch: Batch, meta: Tree, progress: Progress) -> Batch:
        row_key, column_key = jax.random.split(key)
        height, width = batch.image.shape[1:3]
        count = (len(batch.label),)
        row = jax.random.randint(row_key, count, 0, height)
        column = jax.random.randint(column_key, count, 0, width)
        image = batched.fill_squares(batch.image, row, column, length, value)
        if not soften:
            return batch.replace(image=image)
        visibility = batched.fill_squares(visibility_of(batch)[..., None], row, column, length, 0.0)[..., 0]
        return batch.replace(image=image, visibility=visibility)

    return part
