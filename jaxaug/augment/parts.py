"""Parts of an augmentation pipeline: `part(**options)` gives `(key, batch, hyper, progress) -> batch`.

They see images on the 0..255 scale, before normalisation. A part with `soften` writes down what it hid in `Batch.mass`,
for `losses.targets.soften`; `flip` and policies carry a mass along, a crop without `soften` leaves it as it was.
A label map, that is a `Batch.label` [B H W], moves with its image; where a move uncovers nothing it gets -1, no label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxaug.augment import pixels
from jaxaug.augment.apply import VOID
from jaxaug.augment.policies import Policy
from jaxaug.errors import UsageError
from jaxaug.types import Batch, Hyper, Progress, Tree

Part = Callable[[jax.Array, Batch, Tree, Progress], Batch]


@dataclasses.dataclass(frozen=True, eq=False)  # hashed by identity, as its arrays cannot be
class TunedPart:
    """A part of which a search may change something: hyper is that as it begins (see `types.Hyper`), of `policy`.

    It is called like any part, and finds its own again in `batch.own` and in `hyper`, that is `Hyper.shared`.
    """

    apply: Part
    hyper: Hyper
    policy: Policy

    def __call__(self, key: jax.Array, batch: Batch, hyper: Tree, progress: Progress) -> Batch:
        return self.apply(key, batch, hyper, progress)


_FILLS = {"zero": "constant", "reflect": "reflect", "edge": "edge"}  # -> mode of jnp.pad


def mass_of(batch: Batch) -> jax.Array:
    """[B H W] float32: `batch.mass`, one for every pixel if nothing was hidden yet. For parts that hide something.

    Raises UsageError after a part that mixes rows: their shares would no longer be known apart.
    """
    if batch.mix is not None:
        raise UsageError(
            "parts that soften targets come before those that mix rows: change the order in config.augment"
        )
    return jnp.ones(batch.image.shape[:3], jnp.float32) if batch.mass is None else batch.mass


def moved_label(batch: Batch, move: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """`batch.label`, moved if it is a label map: move takes and gives [B H W 1] int32."""
    return move(batch.label[..., None])[..., 0] if batch.label.ndim == 3 else batch.label


def refuse_label_map(what: str, batch: Batch, instead: str) -> None:
    """For parts that make no sense for label maps. Raises UsageError if the batch has one; instead: what to do."""
    if batch.label.ndim == 3:
        raise UsageError(f"augment {what!r}: label maps are not supported, {instead}")


def closing_phase(progress: Progress, closing: float) -> jax.Array:
    """[] bool: is this one of the last epochs, that is in the last share `closing` (0..1) of the training?"""
    # Less than one epoch of 100,000, more than the rounding of a float32 next to 1.
    return progress.epoch >= 1.0 - closing - 1e-6


def pad_and_crop(padding: int = 4, fill: str = "reflect", soften: bool = False) -> Part:
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

    def part(key: jax.Array, batch: Batch, hyper: Tree, progress: Progress) -> Batch:
        top, left = jax.random.randint(key, (2, len(batch.label)), 0, 2 * padding + 1)
        image = pixels.crop_windows(batch.image, top, left, padding, _FILLS[fill])
        # Moved by VOID, because "constant" pads with 0.
        label = moved_label(
            batch, lambda label: pixels.crop_windows(label - VOID, top, left, padding, "constant") + VOID
        )
        if not soften:
            return batch.replace(image=image, label=label)
        mass = pixels.crop_windows(mass_of(batch)[..., None], top, left, padding, "constant")[..., 0]
        return batch.replace(image=image, label=label, mass=mass)

    return part


def flip(probability: float = 0.5) -> Part:
    """Mirror left and right with the given probability, in 0..1. Raises UsageError for another one."""
    if not 0 <= probability <= 1:
        raise UsageError(f"augment 'parts.flip': probability must be in 0..1, got {probability}")

    def part(key: jax.Array, batch: Batch, hyper: Tree, progress: Progress) -> Batch:
        chosen = jax.random.bernoulli(key, probability, (len(batch.label),))
        label = moved_label(batch, lambda label: pixels.flip_columns(label, chosen))
        mass = batch.mass
        if mass is not None:
            mass = pixels.flip_columns(mass[..., None], chosen)[..., 0]
        return batch.replace(image=pixels.flip_columns(batch.image, chosen), label=label, mass=mass)

    return part


def cutout(length: int = 16, value: float = 0.0, soften: bool = False) -> Part:
    """Hide one square of `length` pixels with `value` (0..255); its centre is uniform over the image's pixels, and
    what falls outside is cut off (DeVries and Taylor 2017). ISDA's recipe: length 16, black. soften: write the hole
    down. Label maps stay as they are. Raises UsageError for a negative length or another value.
    """
    if not length >= 0 or not 0 <= value <= 255:
        raise UsageError(
            f"augment 'parts.cutout': length must be at least 0 and value in 0..255, got {length} and {value}"
        )

    def part(key: jax.Array, batch: Batch, hyper: Tree, progress: Progress) -> Batch:
        of_row, of_column = jax.random.split(key)
        height, width = batch.image.shape[1:3]
        count = (len(batch.label),)
        row = jax.random.randint(of_row, count, 0, height)
        column = jax.random.randint(of_column, count, 0, width)
        image = pixels.fill_squares(batch.image, row, column, length, value)
        if not soften:
            return batch.replace(image=image)
        mass = pixels.fill_squares(mass_of(batch)[..., None], row, column, length, 0.0)[..., 0]
        return batch.replace(image=image, mass=mass)

    return part
