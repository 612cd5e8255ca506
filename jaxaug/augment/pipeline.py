"""From a config to one function that turns raw batches into what the model sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxaug.find import call, find
from jaxaug.types import Batch, Progress, Tree

Augment = Callable[..., Batch]


def build(config: ConfigDict, mean: Sequence[float], std: Sequence[float]) -> tuple[Augment, Tree]:
    """(augment, hyper): the pipeline, and the tunable description of the data it starts with (empty so far).

    config.train: addresses of parts in order, for example ("parts.pad_and_crop", "parts.flip");
    config.<last word>: options. mean, std: per channel, on the 0..1 scale.
    augment(batch, hyper, key, progress, train) -> batch with float32 images of mean 0 and deviation 1; the parts run
    only if `train`, part i with `fold_in(key, i)`.
    """
    parts = []
    for address in config.train:
        options = config.get(address.split(".")[-1], {})
        parts.append(call(f"augment {address!r}", find("augment", address), options=options))

    def augment(batch: Batch, hyper: Tree, key: jax.Array | None, progress: Progress | None, *, train: bool) -> Batch:
        if train:
            assert key is not None, "training needs a key"
            assert progress is not None, "training needs the progress"
            for i, part in enumerate(parts):
                batch = part(jax.random.fold_in(key, i), batch, hyper, progress)
        return batch.replace(image=normalise(batch.image, mean, std))

    return augment, {}


def normalise(image: jax.Array, mean: Sequence[float], std: Sequence[float]) -> jax.Array:
    """(image / 255 - mean) / std in float32, for images [... C] on the 0..255 scale."""
    scale = 1.0 / (255.0 * jnp.asarray(std, jnp.float32))
    return image.astype(jnp.float32) * scale - jnp.asarray(mean, jnp.float32) / jnp.asarray(std, jnp.float32)
