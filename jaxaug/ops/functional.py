"""One function for each operation, on plain arrays: what `jaxaug.ops` offers."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.arguments import as_key
from jaxaug.core.target import target
from jaxaug.ops.arguments import check_images, check_scale_of, values_of
from jaxaug.ops.batched import channels_last
from jaxaug.ops.execute import execute
from jaxaug.ops.fixed_point import fixed_point_of
from jaxaug.ops.records import ExecutionSettings, SampledOps, begin_sample
from jaxaug.ops.registry import check_op, find_op

Images = jax.Array | np.ndarray
Value = jax.Array | np.ndarray | float


def apply_op(
    name: str, images: Images, value: Value | None = None, *, exact: bool = True, key: jax.Array | int | None = None
) -> jax.Array:
    """Apply one operation to images.

    Works under jit, vmap, grad (exact=False) and shard_map. Known values are brought to fixed point in float64, as PIL.

    Args:
      name: of the op, as `list_ops` gives them.
      images: [B H W C] or one [H W C], uint8; if not exact also float on the 0..255 scale.
      value: [B] or a number for all, in the op's unit; None for an op without a value.
      exact: bit for bit what PIL gives, in uint8; else float32, differentiable in the images and the value.
      key: draws what an op does by chance of its own (where a cutout lies, whether RandFlip mirrors), for each image;
        a random key, or a whole number as its seed; None for the middle of its chance.

    Raises:
      UsageError: an unknown op, another shape or dtype, channels first, floats within 0..1, or a value that is missing,
        not finite or of another shape.
    """
    op = find_op(name)
    check_images(name, images, exact=exact, ranks=(4, 3))
    check_scale_of(name, images)
    batch = images[None] if images.ndim == 3 else images
    check_op(name, tuple(batch.shape[1:]))
    amounts = values_of(op, value, len(batch))
    fixed = None
    if exact and op.of_value_alone and not isinstance(amounts, jax.Array):
        fixed = jnp.asarray(fixed_point_of(op, amounts, *batch.shape[1:3]))[:, None]
    single = jnp.asarray(amounts, jnp.float32)[:, None]
    random = jnp.full((*single.shape, 4), 0.5)
    random = random if key is None else jax.random.uniform(as_key(name, key), random.shape, jnp.float32)
    drawn = SampledOps(jnp.zeros(single.shape, jnp.int32), single, random, fixed)
    scheduler = "map" if target().platform == "cpu" else "fused"
    after = _execute(ExecutionSettings((name,), exact=exact, scheduler=scheduler), drawn, batch)
    return after[0] if images.ndim == 3 else after


def shear_x(images: Images, slope: Value, *, exact: bool = True) -> jax.Array:
    """Shear rows against each other.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      slope: pixels to the left for each row further down, [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("ShearX", images, slope, exact=exact)


def shear_y(images: Images, slope: Value, *, exact: bool = True) -> jax.Array:
    """Shear columns against each other.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      slope: pixels up for each column further right, [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("ShearY", images, slope, exact=exact)


def translate_x(images: Images, share: Value, *, exact: bool = True) -> jax.Array:
    """Translate to the left, uncovering black.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      share: of the width, [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("TranslateX", images, share, exact=exact)


def translate_y(images: Images, share: Value, *, exact: bool = True) -> jax.Array:
    """Translate up, uncovering black.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      share: of the height, [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("TranslateY", images, share, exact=exact)


def translate_x_abs(images: Images, pixels: Value, *, exact: bool = True) -> jax.Array:
    """Translate to the left by pixels, uncovering black.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      pixels: how many, [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("TranslateXAbs", images, pixels, exact=exact)


def translate_y_abs(images: Images, pixels: Value, *, exact: bool = True) -> jax.Array:
    """Translate up by pixels, uncovering black.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      pixels: how many, [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("TranslateYAbs", images, pixels, exact=exact)


def shift_x(images: Images, share: Value, *, exact: bool = True) -> jax.Array:
    """Translate to the right by whole pixels, as torchvision does.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      share: of the width, rounded toward zero; [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("ShiftX", images, share, exact=exact)


def shift_y(images: Images, share: Value, *, exact: bool = True) -> jax.Array:
    """Translate down by whole pixels, as torchvision does.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      share: of the height, rounded toward zero; [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("ShiftY", images, share, exact=exact)


def rotate(images: Images, degrees: Value, *, exact: bool = True) -> jax.Array:
    """Rotate counter-clockwise about the center, uncovering black.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      degrees: [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("Rotate", images, degrees, exact=exact)


def scale_x(images: Images, factor: Value, *, exact: bool = True) -> jax.Array:
    """Enlarge about the center, across.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      factor: [B] or one for all; below 1 makes the image smaller.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("ScaleX", images, factor, exact=exact)


def scale_y(images: Images, factor: Value, *, exact: bool = True) -> jax.Array:
    """Enlarge about the center, down.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      factor: [B] or one for all; below 1 makes the image smaller.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("ScaleY", images, factor, exact=exact)


def flip(images: Images, *, exact: bool = True) -> jax.Array:
    """Mirror left and right.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("Flip", images, exact=exact)


def flip_vertical(images: Images, *, exact: bool = True) -> jax.Array:
    """Mirror top and bottom.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("FlipVertical", images, exact=exact)


def rand_flip(images: Images, *, exact: bool = True, key: jax.Array | int | None = None) -> jax.Array:
    """Mirror left and right with probability 1/2.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      exact: PIL's result in uint8, else differentiable float32.
      key: draws it for each image; None for the middle of the chance.
    """
    return apply_op("RandFlip", images, exact=exact, key=key)


def rand_crop(images: Images, pixels: Value, *, exact: bool = True, key: jax.Array | int | None = None) -> jax.Array:
    """Pad with black and cut out a window of the old size at random.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      pixels: of padding, whole; [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
      key: draws it for each image; None for the middle of the chance.
    """
    return apply_op("RandCrop", images, pixels, exact=exact, key=key)


def auto_contrast(images: Images, *, exact: bool = True) -> jax.Array:
    """Stretch each channel's range to 0..255.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("AutoContrast", images, exact=exact)


def invert(images: Images, *, exact: bool = True) -> jax.Array:
    """Invert all levels, 255 - i.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("Invert", images, exact=exact)


def equalize(images: Images, *, exact: bool = True) -> jax.Array:
    """Make all levels of a channel equally frequent.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("Equalize", images, exact=exact)


def solarize(images: Images, threshold: Value, *, exact: bool = True) -> jax.Array:
    """Invert the levels from a threshold on.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      threshold: 0..256, [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("Solarize", images, threshold, exact=exact)


def posterize(images: Images, bits: Value, *, exact: bool = True) -> jax.Array:
    """Keep the upper bits of each level.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      bits: 0..8, rounded down; [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("Posterize", images, bits, exact=exact)


def contrast(images: Images, factor: Value, *, exact: bool = True) -> jax.Array:
    """Blend with the mean gray: 0 gives gray, 1 the image.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      factor: [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("Contrast", images, factor, exact=exact)


def color(images: Images, factor: Value, *, exact: bool = True) -> jax.Array:
    """Blend with the grayscale image: 0 gives grayscale, 1 the image.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      factor: [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("Color", images, factor, exact=exact)


def brightness(images: Images, factor: Value, *, exact: bool = True) -> jax.Array:
    """Blend with black: 0 gives black, 1 the image.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      factor: [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("Brightness", images, factor, exact=exact)


def sharpness(images: Images, factor: Value, *, exact: bool = True) -> jax.Array:
    """Blend with the smoothed image: 0 gives the smoothed one, 1 the image.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      factor: [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
    """
    return apply_op("Sharpness", images, factor, exact=exact)


def cutout(images: Images, share: Value, *, exact: bool = True, key: jax.Array | int | None = None) -> jax.Array:
    """Cover a square with black, measured by the width.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      share: side of the square as a share of the width, [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
      key: draws it for each image; None for the middle of the chance.
    """
    return apply_op("Cutout", images, share, exact=exact, key=key)


def cutout_abs(images: Images, pixels: Value, *, exact: bool = True, key: jax.Array | int | None = None) -> jax.Array:
    """Cover a square with black, measured in pixels.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      pixels: side of the square, [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
      key: draws it for each image; None for the middle of the chance.
    """
    return apply_op("CutoutAbs", images, pixels, exact=exact, key=key)


def rand_cutout(images: Images, pixels: Value, *, exact: bool = True, key: jax.Array | int | None = None) -> jax.Array:
    """Cover a square around a random center with black.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      pixels: side of the square, [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
      key: draws it for each image; None for the middle of the chance.
    """
    return apply_op("RandCutout", images, pixels, exact=exact, key=key)


def rand_cutout_60(
    images: Images, pixels: Value, *, exact: bool = True, key: jax.Array | int | None = None
) -> jax.Array:
    """Cover a square around a center in the middle 256 x 256 pixels with black.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      pixels: side of the square, [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
      key: draws it for each image; None for the middle of the chance.
    """
    return apply_op("RandCutout60", images, pixels, exact=exact, key=key)


def rand_resize_crop(
    images: Images, share: Value, *, exact: bool = True, key: jax.Array | int | None = None
) -> jax.Array:
    """Enlarge a random box to the whole image.

    Args:
      images: [B H W C] or one [H W C], uint8; float on the 0..255 scale too if not exact.
      share: least share of the area that the box has, [B] or one for all.
      exact: PIL's result in uint8, else differentiable float32.
      key: draws it for each image; None for the middle of the chance.
    """
    return apply_op("RandResizeCrop", images, share, exact=exact, key=key)


@functools.partial(jax.jit, static_argnums=0)
def _execute(settings: ExecutionSettings, drawn: SampledOps, images: Images) -> jax.Array:
    return channels_last(execute(settings, drawn, begin_sample(images, settings)).image)
