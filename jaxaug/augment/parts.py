"""Parts of an augmentation pipeline: `part(**options)` gives `(key, batch, hyper, progress) -> batch`.

They see images on the 0..255 scale, before normalisation. A part with `soften` writes down what it hid in
`Batch.mass`, for `losses.targets.soften`; every part that moves pixels moves the mass with them.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxaug.augment import pixels
from jaxaug.errors import UsageError
from jaxaug.types import Batch, Progress, Tree

Part = Callable[[jax.Array, Batch, Tree, Progress], Batch]

FILLS = {"zero": "constant", "reflect": "reflect", "edge": "edge"}


def mass_of(batch: Batch) -> jax.Array:
    """[B H W] float32: `batch.mass`, one for every pixel if nothing was hidden yet. For parts that hide something.

    Raises UsageError after a part that mixes rows: their shares would no longer be known apart.
    """
    if batch.mix is not None:
        raise UsageError(
            "parts that soften targets come before those that mix rows: change the order in config.augment"
        )
    return jnp.ones(batch.image.shape[:3], jnp.float32) if batch.mass is None else batch.mass


def closing_phase(progress: Progress, closing: float) -> jax.Array:
    """[] bool: is this one of the last epochs, that is in the last share `closing` (0..1) of the training?"""
    # Less than one epoch of 100,000, more than the rounding of a float32 next to 1.
    return progress.epoch >= 1.0 - closing - 1e-6


def pad_and_crop(padding: int = 4, fill: str = "reflect", soften: bool = False) -> Part:
    """Random translation: pad by `padding` pixels, cut a window of the old size anywhere, uniformly.

    fill: "reflect" (ISDA's CIFAR recipe), "zero" (the usual one) or "edge". soften: write down what is left of the
    image; what the padding repeats counts as hidden. With padding 16 of 32 and zeros it is the "aggressive hard crop"
    of Soft Augmentation's first figure.
    """
    if fill not in FILLS or padding < 0:
        raise UsageError(
            f"augment 'parts.pad_and_crop': fill must be one of {tuple(FILLS)} and padding at least 0, "
            f"got {fill!r} and {padding}"
        )

    def part(key: jax.Array, batch: Batch, hyper: Tree, progress: Progress) -> Batch:
        top, left = jax.random.randint(key, (2, len(batch.label)), 0, 2 * padding + 1)
        image = pixels.crop_windows(batch.image, top, left, padding, FILLS[fill])
        if not soften:
            return batch.replace(image=image)
        mass = pixels.crop_windows(mass_of(batch)[..., None], top, left, padding, "constant")[..., 0]
        return batch.replace(image=image, mass=mass)

    return part


def flip(probability: float = 0.5) -> Part:
    """Mirror left and right with the given probability."""

    def part(key: jax.Array, batch: Batch, hyper: Tree, progress: Progress) -> Batch:
        chosen = jax.random.bernoulli(key, probability, batch.label.shape)
        mass = batch.mass
        if mass is not None:
            mass = pixels.flip_columns(mass[..., None], chosen)[..., 0]
        return batch.replace(image=pixels.flip_columns(batch.image, chosen), mass=mass)

    return part


def cutout(length: int = 16, value: float = 0.0, soften: bool = False) -> Part:
    """Hide one square of `length` pixels with `value` (0..255); its centre is uniform over the image's pixels, and
    what falls outside is cut off (DeVries and Taylor 2017). ISDA's recipe: length 16, black. soften: write the hole
    down.
    """

    def part(key: jax.Array, batch: Batch, hyper: Tree, progress: Progress) -> Batch:
        of_row, of_column = jax.random.split(key)
        height, width = batch.image.shape[1:3]
        row = jax.random.randint(of_row, batch.label.shape, 0, height)
        column = jax.random.randint(of_column, batch.label.shape, 0, width)
        image = pixels.fill_squares(batch.image, row, column, length, value)
        if not soften:
            return batch.replace(image=image)
        mass = pixels.fill_squares(mass_of(batch)[..., None], row, column, length, 0.0)[..., 0]
        return batch.replace(image=image, mass=mass)

    return part
