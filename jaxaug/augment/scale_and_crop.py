"""The augmentation of label maps: another scale, and a window of a fixed size anywhere."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.augment.transform import MOVES, VISIBILITY, BatchTransform, moved_label
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.types import Batch, Progress, Tree
from jaxaug.ops import batched
from jaxaug.ops.registry import VOID

# The mean of ImageNet's pixels, red green blue, which is what zeros after its subtraction are (ISDA's Cityscapes code).
IMAGENET_MEAN = (123, 117, 104)
FACTOR_STEPS = 2**16  # of factors between one and two
ONE = 2**11  # a pixel, in the whole numbers that OpenCV's weights are


@register("augment")
def random_scale_and_crop(
    size: tuple[int, int] = (769, 769),
    scale: tuple[float, float] = (0.5, 2.0),
    step: float = 0.0,
    fill: tuple[float, ...] = IMAGENET_MEAN,
) -> BatchTransform:
    """Enlarge or shrink each image by a random factor, and cut a window of one size from it, anywhere.

    Pixels are interpolated bilinearly, as OpenCV does it, without averaging when made smaller; label maps take the
    nearest. Where the scaled image is smaller than the window it lies in its upper left corner; the rest has the color
    of `fill`, label -1 and nothing visible. Batches with one label for each image are moved alike.

    Args:
      size: rows and columns of the window in pixels, which become those of the batch.
      scale: the least and greatest factor, above 0.
      step: factors are scale[0], scale[0] + step, ..., up to scale[1], equally likely; 0 for any between them.
      fill: one gray level in 0..255, or one for each channel; images of one channel get the mean.

    Raises:
      UsageError: options out of range; and, when called, a number of colors that is neither 1 nor that of the channels.
    """
    _check(size, scale, step, fill)
    low, high = scale

    def apply(key: jax.Array, batch: Batch, shared: Tree, progress: Progress) -> Batch:
        count, height, width, channels = batch.image.shape
        scale_key, row_key, column_key = jax.random.split(key, 3)
        factor = _factors(scale_key, count, low, high, step)
        places = []
        for side_key, whole, side in ((row_key, height, size[0]), (column_key, width, size[1])):
            room = jnp.maximum(jnp.round(whole * factor) - side, 0.0)
            start = jnp.floor(jax.random.uniform(side_key, (count,)) * (room + 1.0))
            # The place in the old image of each new pixel's centre, from the first one's. Rounded, so that ties between
            # two pixels, which steps of a tenth have many of, fall alike whatever a compiler makes of the division.
            place = (start[:, None] + jnp.arange(side) + 0.5) / factor[:, None] - 0.5
            places.append(jnp.round(ONE * place).astype(jnp.int32))
        rows, columns = places
        inside = _inside(rows, height)[:, :, None, None] & _inside(columns, width)[:, None, :, None]
        color = _color(fill, channels)
        image = jnp.where(inside, _bilinear(batch.image, rows, columns), color)
        label = moved_label(batch, lambda label: jnp.where(inside, _nearest(label, rows, columns), VOID))
        visibility = batch.visibility
        if visibility is not None:
            # An enlarged pixel shows less of the image, and fewer pixels weigh more in the mean, which is its share.
            area = (size[0] * size[1]) / (height * width) / factor[:, None, None] ** 2
            seen = jnp.where(inside, _bilinear(visibility[..., None], rows, columns), 0.0)[..., 0]
            visibility = area * seen
        return batch.replace(image=batched.cast(image, batch.image.dtype), label=label, visibility=visibility)

    return BatchTransform(
        apply, "random_scale_and_crop", "levels", reads=MOVES | VISIBILITY, writes=MOVES, keeps_shares=False
    )


def _check(size: tuple[int, int], scale: tuple[float, float], step: float, fill: tuple[float, ...]) -> None:
    pairs = np.shape(size) == np.shape(scale) == (2,)
    if not pairs or min(size) < 1 or not 0 < scale[0] <= scale[1] or step < 0 or not 0 <= min(fill) <= max(fill) <= 255:
        raise UsageError(
            "random_scale_and_crop: size must be two sides, scale two factors above 0, the smaller one first, step at "
            f"least 0 and fill in 0..255, got {size}, {scale}, {step} and {fill}"
        )


def _factors(key: jax.Array, count: int, low: float, high: float, step: float) -> jax.Array:
    """[B], without sums of products, which a compiler rounds once or twice."""
    if not step:
        first, last = (round(x * FACTOR_STEPS) for x in (low, high))
        return jax.random.randint(key, (count,), first, last + 1) / FACTOR_STEPS
    # A step may not go into the range exactly in floating point.
    known = low + step * np.arange(int((high - low) / step + 1e-6) + 1)
    return jnp.asarray(known, jnp.float32)[jax.random.randint(key, (count,), 0, len(known))]


def _color(fill: Sequence[float], channels: int) -> jax.Array:
    if len(fill) not in (1, channels) and channels != 1:
        raise UsageError(f"random_scale_and_crop: fill has {len(fill)} colors, images have {channels} channels")
    color = jnp.asarray(fill, jnp.float32)
    return jnp.mean(color)[None] if channels == 1 else color


def _inside(place: jax.Array, side: int) -> jax.Array:
    """[B n] bool: whether a pixel's centre lies in the old image."""
    return (place >= -ONE // 2) & (place < side * ONE - ONE // 2)


def _bilinear(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """[B h w C]: images [B H W C] at rows [B h] and columns [B w], beyond the edge what is on it.

    Float32 of float images; of uint8 int32 gray levels, exactly.
    """

    def one(image: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
        return _between(_between(image, rows, 0), columns, 1)

    found = jax.vmap(one)(images, rows, columns)
    return found if found.dtype == jnp.float32 else (found + ONE**2 // 2) // ONE**2


def _between(image: jax.Array, place: jax.Array, axis: int) -> jax.Array:
    """[.. n ..] of an image at n places along an axis; of integers `ONE` times of it."""
    place = jnp.clip(place, 0, (image.shape[axis] - 1) * ONE)
    first = place // ONE
    second = jnp.minimum(first + 1, image.shape[axis] - 1)
    share = (place % ONE)[(slice(None), *(None,) * (image.ndim - 1 - axis))]
    dtype = jnp.int32 if jnp.issubdtype(image.dtype, jnp.integer) else jnp.float32
    before, after = (jnp.take(image, at, axis=axis).astype(dtype) for at in (first, second))
    if dtype == jnp.int32:
        return ONE * before + share * (after - before)
    return before + share / ONE * (after - before)


def _nearest(maps: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """[B h w 1]: maps [B H W 1] at the nearest pixels."""
    sides = zip((rows, columns), maps.shape[1:3], strict=True)
    at = [jnp.clip((place + ONE // 2) // ONE, 0, side - 1) for place, side in sides]
    return jax.vmap(lambda image, i, j: image[i[:, None], j])(maps, *at)
