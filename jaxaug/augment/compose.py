"""From a config to one function that turns raw batches into what the model sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxaug.augment.transform import BatchTransform, LearnedTransform
from jaxaug.core.errors import UsageError
from jaxaug.core.types import Batch, MetaParams, Progress, Tree

Augment = Callable[..., Batch]


def build_pipeline(
    train: Sequence[BatchTransform],
    after: Sequence[BatchTransform] = (),
    *,
    mean: Sequence[float],
    std: Sequence[float],
    size: int = 0,
    views: int = 1,
) -> tuple[Augment, MetaParams]:
    """(augment, meta): the pipeline, and what a search may change of its transforms, as they begin.

    augment(batch, shared, key, progress, train) -> batch with float32 images of mean 0 and deviation 1; shared is that
    of `MetaParams.shared`. The transforms run only if `train`, number i with `fold_in(key, i)`. With v views it has
    v * B rows, view by view.

    Args:
      train: transforms in order, on the 0..255 scale.
      after: transforms of the normalised float32 images.
      mean, std: per channel, on the 0..1 scale.
      size: side of the square that is cut from the middle of the images after `train`, and in evaluations; 0: all.
      views: how many independently augmented copies of a batch the model sees (batch augmentation, Hoffer et al. 2020).

    Raises:
      UsageError: numbers out of range, or more than one learned policy.
    """
    if views < 1 or size < 0:
        raise UsageError(f"views must be at least 1 and size at least 0, got {views} and {size}")
    before, after = list(train), list(after)
    learned = learned_transform_of([*before, *after])

    def augment(batch: Batch, meta: Tree, key: jax.Array | None, progress: Progress | None, *, train: bool) -> Batch:
        if not train:
            batch = center_crop(batch, size)
            return batch.replace(image=normalize(batch.image, mean, std))
        assert key is not None, "training needs a key"
        assert progress is not None, "training needs the progress"
        if views > 1:
            batch = jax.tree.map(lambda x: jnp.concatenate([x] * views), batch)
        for i, part in enumerate(before):
            batch = part(jax.random.fold_in(key, i), batch, meta, progress)
        batch = center_crop(batch, size)
        batch = batch.replace(image=normalize(batch.image, mean, std))
        for i, part in enumerate(after, start=len(before)):
            batch = part(jax.random.fold_in(key, i), batch, meta, progress)
        return batch

    return augment, learned.meta if learned else MetaParams()


def learned_transform_of(transforms: Sequence[BatchTransform]) -> LearnedTransform | None:
    """The transform that a search may change, or None. Raises UsageError if there are two."""
    learned = [one for one in transforms if isinstance(one, LearnedTransform)]
    if len(learned) > 1:
        raise UsageError(f"there are {len(learned)} learned policies: set `learned` of one of them alone")
    return learned[0] if learned else None


def center_crop(batch: Batch, size: int) -> Batch:
    """The batch cut to the square of `size` pixels in the middle of its images; 0 for all of it.

    Raises UsageError if the images are smaller.
    """
    height, width = batch.image.shape[1:3]
    if not size:
        return batch
    if size > min(height, width):
        raise UsageError(f"size is {size}, but images have {height} x {width} pixels")
    top, left = (height - size) // 2, (width - size) // 2

    def cut(x: jax.Array) -> jax.Array:
        return x[:, top : top + size, left : left + size]

    label = cut(batch.label) if batch.label.ndim == 3 else batch.label
    visibility = None if batch.visibility is None else cut(batch.visibility)
    return batch.replace(image=cut(batch.image), label=label, visibility=visibility)


def normalize(image: jax.Array, mean: Sequence[float], std: Sequence[float]) -> jax.Array:
    """(image / 255 - mean) / std in float32, for images [... C] on the 0..255 scale."""
    scale = 1.0 / (255.0 * jnp.asarray(std, jnp.float32))
    return image.astype(jnp.float32) * scale - jnp.asarray(mean, jnp.float32) / jnp.asarray(std, jnp.float32)
