"""Transforms that cut a rectangle out: enlarged to the whole image (random_resized_crop) or erased (random_erasing)."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.augment.transform import (
    IMAGE,
    VISIBILITY,
    BatchTransform,
    check_probability,
    refuse_label_map,
    visibility_of,
)
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.types import Batch, Progress, Tree
from jaxaug.data.photographs import largest_in_the_middle
from jaxaug.ops import batched
from jaxaug.ops.resize import crop_and_resize
from jaxaug.ops.uint8 import rounded

_FILLS = ("zero", "noise", "mean")  # of random_erasing
ERASING_ATTEMPTS = 10  # torchvision's


@register("augment")
def random_resized_crop(
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    attempts: int = 10,
    soften: bool = False,
) -> BatchTransform:
    """Cut out a random box and resize it to the whole image (Szegedy et al. 2015), as torchvision draws it.

    The corner is uniform. The first box that fits is taken, else the largest one in the middle with a ratio in the
    range. Resizing is Pillow's antialiased bicubic.

    Args:
      scale: range of the box's share of the area, uniform; 0 < low <= high <= 1.
      ratio: range of columns / rows, its logarithm uniform; 0 < low <= high.
      attempts: how many boxes are drawn, at least 1.
      soften: write down that only the box is seen.

    Raises:
      UsageError: ranges or attempts that are none; and, when called, label maps.
    """
    _check_range("random_resized_crop", "scale", scale, 1.0)
    _check_range("random_resized_crop", "ratio", ratio, math.inf)
    if attempts < 1:
        raise UsageError(f"random_resized_crop: attempts must be at least 1, got {attempts}")

    def apply(key: jax.Array, batch: Batch, shared: Tree, progress: Progress) -> Batch:
        refuse_label_map("random_resized_crop", batch, "use the operation RandResizeCrop in a policy")
        height, width = batch.image.shape[1:3]
        keys = jax.random.split(key, len(batch.label))

        def box(key: jax.Array) -> tuple[jax.Array, ...]:
            fits, rows, columns, top, left = draw_box(key, height, width, scale, ratio, attempts)
            middle = largest_in_the_middle(height, width, ratio)
            drawn = (top, left, rows, columns)
            return tuple(jnp.where(fits, d, m).astype(jnp.float32) for d, m in zip(drawn, middle, strict=True))

        boxes = jax.vmap(box)(keys)
        between = rounded if batch.image.dtype == jnp.uint8 else jnp.asarray
        resize = jax.vmap(lambda image, box: crop_and_resize(image, box, between))
        image = batched.channels_last(resize(batch.image.transpose(0, 3, 1, 2), boxes))
        batch = batch.replace(image=batched.cast(jnp.clip(image, 0.0, 255.0), batch.image.dtype))
        visibility = visibility_of(batch) if soften else batch.visibility
        if visibility is None:
            return batch
        shares = jax.vmap(_enlarged)(visibility, boxes)
        if not soften:
            # Each pixel's own share again, instead of that of its area.
            shares = shares * (height * width / (boxes[2] * boxes[3]))[:, None, None]
        return batch.replace(visibility=shares)

    seen = VISIBILITY if soften else frozenset()
    return BatchTransform(
        apply, "random_resized_crop", "levels", reads=IMAGE | VISIBILITY, writes=IMAGE | seen, keeps_shares=False
    )


@register("augment")
def random_erasing(
    probability: float = 0.5,
    area: tuple[float, float] = (0.02, 0.33),
    ratio: tuple[float, float] = (0.3, 3.3),
    fill: str = "zero",
    soften: bool = False,
) -> BatchTransform:
    """Erase a random box of each image (Zhong et al. 2020), as torchvision draws it.

    The first of 10 boxes smaller than the image on both sides is taken; where there is none, nothing is erased. Label
    maps stay as they are.

    Args:
      probability: of each image to lose a box, in 0..1.
      area: range of the box's share of the image, uniform; 0 < low <= high <= 1.
      ratio: range of rows / columns, its logarithm uniform; 0 < low <= high.
      fill: what the box shows: "zero" (the data set's mean color where it stands after normalization, as the paper has
        it), "noise" (each number uniform in 0..255: the paper's best) or "mean" (the image's own mean color).
      soften: write the hole down.

    Raises:
      UsageError: other options.
    """
    _check_range("random_erasing", "area", area, 1.0)
    _check_range("random_erasing", "ratio", ratio, math.inf)
    check_probability("random_erasing", probability)
    if fill not in _FILLS:
        raise UsageError(f"random_erasing: fill must be one of {_FILLS}, got {fill!r}")

    def apply(key: jax.Array, batch: Batch, shared: Tree, progress: Progress) -> Batch:
        chance_key, box_key, fill_key = jax.random.split(key, 3)
        height, width = batch.image.shape[1:3]
        inverse = (1.0 / ratio[1], 1.0 / ratio[0])
        keys = jax.random.split(box_key, len(batch.label))
        fits, rows, columns, top, left = jax.vmap(
            lambda key: draw_box(key, height, width, area, inverse, ERASING_ATTEMPTS, smaller=True)
        )(keys)
        erased = fits & jax.random.bernoulli(chance_key, probability, (len(keys),))
        hidden = (
            batched.boxes((height, width), top + rows // 2, left + columns // 2, rows, columns) & erased[:, None, None]
        )
        image = jnp.where(hidden[..., None], _shown(fill_key, batch.image, fill), batch.image)
        if not soften:
            return batch.replace(image=image)
        return batch.replace(image=image, visibility=jnp.where(hidden, 0.0, visibility_of(batch)))

    seen = VISIBILITY if soften else frozenset()
    scale = "levels" if fill == "noise" else "any"
    return BatchTransform(apply, "random_erasing", scale, reads=IMAGE | seen, writes=IMAGE | seen)


def draw_box(
    key: jax.Array,
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    attempts: int,
    *,
    smaller: bool = False,
) -> tuple[jax.Array, ...]:
    """Draw the first box of `attempts` that fits into an image.

    Args:
      scale: range of the box's share of the area.
      ratio: range of columns / rows.
      smaller: than the image on both sides, else at most as large.

    Returns:
      (fits [] bool, rows, columns, top, left [] int32); fits is False if none did.
    """
    area_key, ratio_key, top_key, left_key = jax.random.split(key, 4)
    area = height * width * jax.random.uniform(area_key, (attempts,), minval=scale[0], maxval=scale[1])
    logs = jax.random.uniform(ratio_key, (attempts,), minval=math.log(ratio[0]), maxval=math.log(ratio[1]))
    columns = jnp.round(jnp.sqrt(area * jnp.exp(logs))).astype(jnp.int32)
    rows = jnp.round(jnp.sqrt(area * jnp.exp(-logs))).astype(jnp.int32)
    most = (height - 1, width - 1) if smaller else (height, width)
    fits = (rows > 0) & (columns > 0) & (rows <= most[0]) & (columns <= most[1])
    first = jnp.argmax(fits)
    rows, columns = (jnp.where(fits[first], x[first], 1) for x in (rows, columns))
    top = jax.random.randint(top_key, (), 0, height - rows + 1)
    left = jax.random.randint(left_key, (), 0, width - columns + 1)
    return fits[first], rows, columns, top, left


def _enlarged(visibility: jax.Array, box: tuple[jax.Array, ...]) -> jax.Array:
    """[H W]: which part of the visibility [H W] each pixel shows once the box (top, left, rows, columns) is enlarged.

    Each pixel gets the visibility on the area it was made from, so that the sum is that of the box.
    """
    top, left, rows, columns = box

    def overlap(side: int, start: jax.Array, length: jax.Array) -> jax.Array:
        edge = start + jnp.arange(side + 1) * (length / side)
        pixel = jnp.arange(side)
        shared = jnp.minimum(edge[1:, None], pixel + 1.0) - jnp.maximum(edge[:-1, None], pixel)
        return jnp.clip(shared, 0.0, 1.0)

    down, across = overlap(visibility.shape[0], top, rows), overlap(visibility.shape[1], left, columns)
    return jnp.einsum("yi,ij,xj->yx", down, visibility, across, precision="highest")


def _shown(key: jax.Array, image: jax.Array, fill: str) -> jax.Array:
    """What erased pixels show: broadcasts to the images [B H W C], in their dtype."""
    if fill == "noise":
        if jnp.issubdtype(image.dtype, jnp.integer):
            return jax.random.randint(key, image.shape, 0, 256).astype(image.dtype)
        return jax.random.uniform(key, image.shape, image.dtype, 0.0, 255.0)
    if fill == "mean":
        return batched.cast(jnp.mean(image, axis=(1, 2), keepdims=True, dtype=jnp.float32), image.dtype)
    return jnp.zeros((), image.dtype)


def _check_range(name: str, option: str, pair: tuple[float, float], most: float) -> None:
    if np.shape(pair) != (2,) or not 0 < pair[0] <= pair[1] <= most:
        limit = "" if math.isinf(most) else f" <= {most:g}"
        raise UsageError(f"{name}: {option} must be two numbers 0 < low <= high{limit}, got {pair}")
