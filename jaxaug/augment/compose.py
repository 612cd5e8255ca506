"""From transforms to one function that turns raw batches into what the model sees."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxaug.augment.arguments import check_labels
from jaxaug.augment.policy_transform import policy
from jaxaug.augment.transform import BatchTransform, LearnedTransform, as_transform, check_order, check_scale
from jaxaug.core.arguments import as_key, as_progress
from jaxaug.core.errors import UsageError
from jaxaug.core.layout import check_statistics
from jaxaug.core.types import Batch, MetaParams, Progress, Tree
from jaxaug.ops.arguments import check_images, check_scale_of
from jaxaug.policies.policy import Policy

Augment = Callable[..., Batch]


class Augmented(NamedTuple):
    """An augmented batch.

    Attributes:
      images: [B H W C], float32 where they were normalized, else of the type that the last transform gives.
      labels: as they were given; label maps [B H W] int32, moved with the images, -1 where they show nothing; or None.
      visible: [B] float32 in 0..1, the share of each image that is still seen, where a transform wrote down what it
        hid; for `losses.soft_targets`.
      mix_ratio: [B] float32, the share of a row's own label where it was mixed with the row before it, as
        `jnp.roll(labels, 1)` brings them together; None where no transform mixes.
    """

    images: jax.Array
    labels: jax.Array | None
    visible: jax.Array
    mix_ratio: jax.Array | None


@dataclasses.dataclass(frozen=True, eq=False)  # hashed by identity, so that it may be jitted
class Pipeline:
    """Transforms as one function of plain arrays, as `compose` makes it; see `__call__`."""

    transforms: tuple[BatchTransform, ...]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    after: tuple[BatchTransform, ...] = ()
    size: int = 0

    @property
    def writes(self) -> frozenset[str]:
        """What its transforms change of a batch, see `BatchTransform.writes`."""
        return frozenset().union(*(one.writes for one in (*self.transforms, *self.after)))

    @property
    def meta(self) -> MetaParams:
        """What a search may change of its transforms, as they begin."""
        learned = learned_transform_of([*self.transforms, *self.after])
        return learned.meta if learned else MetaParams()

    def __call__(
        self,
        key: Any,
        images: Any,
        labels: Any = None,
        *,
        progress: Any = 0.0,
        meta: MetaParams | None = None,
    ) -> Augmented:
        """Augment a batch; pure, so that it works inside of jit, grad, vmap, scan and shard_map.

        Args:
          key: a random key, or a whole number as its seed.
          images: [B H W C], uint8 or float on the 0..255 scale.
          labels: [B] int, or label maps [B H W] int, -1 for pixels without a label; None: there are none.
          progress: how far the training is, in 0..1, for transforms that stop or fade; or a `Progress`.
          meta: what a learned transform has learned, `per_example` with a leading axis of rows (None: as it begins).

        Returns:
          An `Augmented`, rows in their order.

        Raises:
          UsageError: arrays of another shape or type, or transforms in an order that cannot be; with what to do.
        """
        key = as_key("augment", key)
        check_images("augment", images)
        if self.mean is not None or any(one.scale == "levels" for one in self.transforms):
            check_scale_of("augment", images)
        images, count = jnp.asarray(images), len(images)
        if labels is not None:
            check_labels("augment", labels, images)
            labels = jnp.asarray(labels)
        meta = meta or MetaParams()
        self._check_names(meta)
        batch = Batch(
            images,
            jnp.zeros(count, jnp.int32) if labels is None else labels.astype(jnp.int32),
            jnp.arange(count, dtype=jnp.int32),
            per_example=meta.per_example or None,
        )
        progress = as_progress("augment", progress)
        after = run_transforms(
            key, batch, meta.shared, progress, first=self.transforms, finish=self._finish, last=self.after
        )
        if labels is not None and labels.ndim == 3:
            labels = after.label
        return Augmented(after.image, labels, after.visible_fraction, after.mix_ratio)

    def _check_names(self, meta: MetaParams) -> None:
        """Raises UsageError if something is given, but not what a transform learns, which would then begin anew."""
        given = {*meta.per_example, *meta.shared}
        for kind in ("per_example", "shared"):
            missing = [name for name in getattr(self.meta, kind) if name not in getattr(meta, kind)]
            if given and missing:
                raise UsageError(
                    f"augment: {kind} of meta lacks {', '.join(missing)}, which these transforms learn; it has "
                    f"{', '.join(sorted(getattr(meta, kind))) or 'nothing'}"
                )

    def _finish(self, batch: Batch) -> Batch:
        batch = center_crop(batch, self.size)
        if self.mean is None or self.std is None:
            return batch
        return batch.replace(image=normalize(batch.image, self.mean, self.std))


def compose(
    *transforms: Any,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    after: Sequence[Any] = (),
    size: int = 0,
) -> Pipeline:
    """Transforms as one function of plain arrays: `pipeline(key, images, labels) -> Augmented`.

        pipeline = augment.compose(augment.pad_and_crop(4), augment.flip(), mean=(0.5,), std=(0.25,))
        images, labels, visible, mix_ratio = jax.jit(pipeline)(key, images, labels)

    Args:
      *transforms: in order, on the 0..255 scale: what `augment.flip` and the like give, policies, or functions
        (key, batch, shared, progress) -> Batch.
      mean: per channel, on the 0..1 scale; with std, images are normalized to float32 (None: they are not).
      std: per channel, on the 0..1 scale.
      after: transforms of the normalized images.
      size: side of the square that is cut from the middle of the images before they are normalized; 0: all.

    Raises:
      UsageError: something else than a transform, mean without std, numbers that are none of the 0..1 scale, `after`
        without them, or a transform of gray levels in `after`, or one that comes too late after mixing; cutmix before
        the middle is cut out.
    """
    if (mean is None) != (std is None):
        raise UsageError("compose: mean and std go together: give both, or none")
    if mean is not None and std is not None:
        check_statistics("compose", mean, std)
    if after and mean is None:
        raise UsageError("compose: `after` is for transforms of normalized images: give mean and std")
    if size < 0:
        raise UsageError(f"compose: size must be at least 0, got {size}")
    first, last = transforms_of(transforms), transforms_of(after)
    check_scale(last)
    check_order(first, last, size)
    learned_transform_of([*first, *last])
    center, spread = (None if side is None else tuple(map(float, side)) for side in (mean, std))
    return Pipeline(tuple(first), center, spread, tuple(last), size)


def build_pipeline(
    train: Sequence[Any],
    after: Sequence[Any] = (),
    *,
    mean: Sequence[float],
    std: Sequence[float],
    size: int = 0,
    views: int = 1,
) -> tuple[Augment, MetaParams]:
    """The pipeline of a trainer, and what a search may change of its transforms, as they begin.

    The pipeline is augment(batch, shared, key, progress, *, train) -> batch with float32 images of mean 0 and deviation
    1; shared is that of `MetaParams.shared`. The transforms run only if `train`, number i with `fold_in(key, i)`. With
    v views it has v * B rows, view by view.

    Args:
      train: transforms in order, on the 0..255 scale.
      after: transforms of the normalized float32 images.
      mean: per channel, on the 0..1 scale.
      std: per channel, on the 0..1 scale.
      size: side of the square that is cut from the middle of the images after `train`, and in evaluations; 0: all.
      views: how many independently augmented copies of a batch the model sees (batch augmentation, Hoffer et al. 2020).

    Raises:
      UsageError: numbers out of range, a transform of gray levels in `after`, an order as `compose` refuses it, or more
        than one learned policy.
    """
    for name, number, least in (("views", views, 1), ("size", size, 0)):
        if number < least:
            raise UsageError(f"build_pipeline: {name} must be at least {least}, got {number}")
    check_statistics("build_pipeline", mean, std)
    first, last = transforms_of(train), transforms_of(after)
    check_scale(last)
    check_order(first, last, size)
    learned = learned_transform_of([*first, *last])

    def finish(batch: Batch) -> Batch:
        batch = center_crop(batch, size)
        return batch.replace(image=normalize(batch.image, mean, std))

    def augment(batch: Batch, shared: Tree, key: jax.Array | None, progress: Progress | None, *, train: bool) -> Batch:
        if not train:
            return finish(batch)
        assert key is not None, "training needs a key"
        assert progress is not None, "training needs the progress"
        if views > 1:
            batch = jax.tree.map(lambda x: jnp.concatenate([x] * views), batch)
        return run_transforms(key, batch, shared, progress, first=first, finish=finish, last=last)

    return augment, learned.meta if learned else MetaParams()


def run_transforms(
    key: jax.Array,
    batch: Batch,
    shared: Tree,
    progress: Progress,
    *,
    first: Sequence[BatchTransform],
    finish: Callable[[Batch], Batch],
    last: Sequence[BatchTransform],
) -> Batch:
    """`first`, then `finish`, then `last`; transform number i of them all with `fold_in(key, i)`."""
    for _, after in pipeline_steps(key, batch, shared, progress, first=first, finish=finish, last=last):
        batch = after
    return batch


def pipeline_steps(
    key: jax.Array,
    batch: Batch,
    shared: Tree,
    progress: Progress,
    *,
    first: Sequence[BatchTransform],
    finish: Callable[[Batch], Batch],
    last: Sequence[BatchTransform] = (),
) -> Iterator[tuple[str, Batch]]:
    """(name of a transform, the batch after it) of each that `run_transforms` runs; `finish` has the name ""."""
    for i, transform in enumerate(first):
        batch = transform(jax.random.fold_in(key, i), batch, shared, progress)
        yield transform.name, batch
    batch = finish(batch)
    yield "", batch
    for i, transform in enumerate(last, start=len(first)):
        batch = transform(jax.random.fold_in(key, i), batch, shared, progress)
        yield transform.name, batch


def transforms_of(transforms: Sequence[Any]) -> list[BatchTransform]:
    """Transforms, policies and functions (key, batch, shared, progress) -> Batch, all as transforms."""
    return [as_transform(policy(one) if isinstance(one, Policy) else one) for one in transforms]


def learned_transform_of(transforms: Sequence[Any]) -> LearnedTransform | None:
    """The transform that a search may change, or None.

    Raises:
      UsageError: there are two.
    """
    learned = [one for one in transforms if isinstance(one, LearnedTransform)]
    if len(learned) > 1:
        raise UsageError(f"there are {len(learned)} learned policies: set `learned` of one of them alone")
    return learned[0] if learned else None


def center_crop(batch: Batch, size: int) -> Batch:
    """The batch cut to the square in the middle of its images, label maps and visibility alike.

    Args:
      batch: images [B H W C].
      size: side of the square in pixels; 0 for all of them.

    Raises:
      UsageError: the images are smaller.
    """
    height, width = batch.image.shape[1:3]
    if not size:
        return batch
    if size > min(height, width):
        raise UsageError(f"center_crop: size is {size}, but images have {height} x {width} pixels")
    top, left = (height - size) // 2, (width - size) // 2

    def cut(x: jax.Array) -> jax.Array:
        return x[:, top : top + size, left : left + size]

    label = cut(batch.label) if batch.label.ndim == 3 else batch.label
    visibility = None if batch.visibility is None else cut(batch.visibility)
    return batch.replace(image=cut(batch.image), label=label, visibility=visibility)


def normalize(image: jax.Array, mean: Sequence[float], std: Sequence[float]) -> jax.Array:
    """(image / 255 - mean) / std in float32.

    Args:
      image: [... C] on the 0..255 scale.
      mean: per channel, or one for all, on the 0..1 scale.
      std: as mean.

    Raises:
      UsageError: another number of them.
    """
    for what, numbers in (("mean", mean), ("std", std)):
        if jnp.shape(jnp.asarray(numbers)) not in ((1,), image.shape[-1:]):
            raise UsageError(
                f"normalize: images have {image.shape[-1]} channels, {what} must have as many numbers, got {numbers}"
            )
    scale = 1.0 / (255.0 * jnp.asarray(std, jnp.float32))
    return image.astype(jnp.float32) * scale - jnp.asarray(mean, jnp.float32) / jnp.asarray(std, jnp.float32)
