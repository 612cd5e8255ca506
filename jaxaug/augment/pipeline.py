"""From a config to one function that turns raw batches into what the model sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxaug.augment.parts import TunedPart
from jaxaug.errors import UsageError
from jaxaug.find import call, find
from jaxaug.types import Batch, Hyper, Progress, Tree

Augment = Callable[..., Batch]
# Parts whose arithmetic is that of grey levels: on normalised images they would go wrong without a word.
OF_GREY_LEVELS = ("policy.", "colour.", "crops.")


def build(config: ConfigDict, mean: Sequence[float], std: Sequence[float]) -> tuple[Augment, Hyper]:
    """(augment, hyper): the pipeline, and what a search may change of its parts, as they begin.

    config.train: addresses of parts in order, for example ("parts.pad_and_crop", "parts.flip"), on the 0..255 scale;
    config.after: of parts that run on the normalised float32 images; config.<last word>: options.
    config.size: side of the square that is cut from the middle of the images after `train`, and in evaluations; 0 for
    all of it. config.views: how many independently augmented copies of a batch the model sees (batch augmentation,
    Hoffer et al. 2020). mean, std: per channel, on the 0..1 scale.

    augment(batch, hyper, key, progress, train) -> batch with float32 images of mean 0 and deviation 1; hyper is that
    of `Hyper.shared`. The parts run only if `train`, part i with `fold_in(key, i)`. With v views it has v * B rows,
    view by view.
    """
    if config.views < 1:
        raise UsageError(f"config.augment.views must be at least 1, got {config.views}")
    for address in config.after:
        if address.startswith(OF_GREY_LEVELS):
            raise UsageError(
                f"augment {address!r} works on the 0..255 scale: put it into config.augment.train, not after"
            )
    if config.size < 0:
        raise UsageError(f"config.augment.size must be at least 0, got {config.size}")
    before, after = _parts(config, config.train), _parts(config, config.after)
    tuned = _tuned([*before, *after])

    def augment(batch: Batch, hyper: Tree, key: jax.Array | None, progress: Progress | None, *, train: bool) -> Batch:
        if not train:
            batch = middle(batch, config.size)
            return batch.replace(image=normalise(batch.image, mean, std))
        assert key is not None, "training needs a key"
        assert progress is not None, "training needs the progress"
        if config.views > 1:
            batch = jax.tree.map(lambda x: jnp.concatenate([x] * config.views), batch)
        for i, part in enumerate(before):
            batch = part(jax.random.fold_in(key, i), batch, hyper, progress)
        batch = middle(batch, config.size)
        batch = batch.replace(image=normalise(batch.image, mean, std))
        for i, part in enumerate(after, start=len(before)):
            batch = part(jax.random.fold_in(key, i), batch, hyper, progress)
        return batch

    return augment, tuned.hyper if tuned else Hyper()


def tuned_part(config: ConfigDict) -> TunedPart | None:
    """The part of a config (as for `build`) that a search may change, or None. Raises UsageError if there are two."""
    return _tuned([*_parts(config, config.train), *_parts(config, config.after)])


def _tuned(parts: Sequence[Callable]) -> TunedPart | None:
    tuned = [part for part in parts if isinstance(part, TunedPart)]
    if len(tuned) > 1:
        raise UsageError(f"config.augment has {len(tuned)} learned policies: set `learned` of one of them alone")
    return tuned[0] if tuned else None


def _parts(config: ConfigDict, addresses: Sequence[str]) -> list[Callable]:
    return [
        call(f"augment {address!r}", find("augment", address), options=config.get(address.split(".")[-1], {}))
        for address in addresses
    ]


def middle(batch: Batch, size: int) -> Batch:
    """The batch cut to the square of `size` pixels in the middle of its images; 0 for all of it.

    Raises UsageError if the images are smaller.
    """
    height, width = batch.image.shape[1:3]
    if not size:
        return batch
    if size > min(height, width):
        raise UsageError(f"config.augment.size is {size}, but images have {height} x {width} pixels")
    top, left = (height - size) // 2, (width - size) // 2

    def cut(x: jax.Array) -> jax.Array:
        return x[:, top : top + size, left : left + size]

    label = cut(batch.label) if batch.label.ndim == 3 else batch.label
    mass = None if batch.mass is None else cut(batch.mass)
    return batch.replace(image=cut(batch.image), label=label, mass=mass)


def normalise(image: jax.Array, mean: Sequence[float], std: Sequence[float]) -> jax.Array:
    """(image / 255 - mean) / std in float32, for images [... C] on the 0..255 scale."""
    scale = 1.0 / (255.0 * jnp.asarray(std, jnp.float32))
    return image.astype(jnp.float32) * scale - jnp.asarray(mean, jnp.float32) / jnp.asarray(std, jnp.float32)
