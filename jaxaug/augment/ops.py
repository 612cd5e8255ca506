"""The operations of the field, each written once for both number systems (`exact`, `smooth`), with range and source."""

from __future__ import annotations

import math
from types import ModuleType

import jax
import jax.numpy as jnp

from jaxaug.augment.kinds import OPS, Op, hide, move, resample, tint
from jaxaug.errors import UsageError
from jaxaug.find import choose

DEEPAA = "DeepAA (Zheng et al. 2022), table of operations"
AUTODO = "AutoDO (Gudovskiy et al. 2021)"


@tint("Identity", source=DEEPAA)
def _identity(numbers: ModuleType, image: jax.Array, value: jax.Array) -> jax.Array:
    return image


@move("ShearX", -0.3, 0.3, unit="pixels per row", neutral=0.0, signed=True, source="PIL AFFINE (1, v, 0, 0, 1, 0)")
def _shear_x(numbers, value, random, height, width):
    return 0, value, 0, 0, 0, 0


@move("ShearY", -0.3, 0.3, unit="pixels per column", neutral=0.0, signed=True, source="PIL AFFINE (1, 0, 0, v, 1, 0)")
def _shear_y(numbers, value, random, height, width):
    return 0, 0, 0, value, 0, 0


@move("TranslateX", -0.45, 0.45, unit="of the width", neutral=0.0, signed=True, source="PIL AFFINE, v * width")
def _translate_x(numbers, value, random, height, width):
    return 0, 0, numbers.pixels(value, width), 0, 0, 0


@move("TranslateY", -0.45, 0.45, unit="of the height", neutral=0.0, signed=True, source="PIL AFFINE, v * height")
def _translate_y(numbers, value, random, height, width):
    return 0, 0, 0, 0, 0, numbers.pixels(value, height)


@move("TranslateXAbs", -10.0, 10.0, unit="pixels", neutral=0.0, signed=True, source="AutoAugment family; PIL AFFINE")
def _translate_x_abs(numbers, value, random, height, width):
    return 0, 0, numbers.pixels(value, 1), 0, 0, 0


@move("TranslateYAbs", -10.0, 10.0, unit="pixels", neutral=0.0, signed=True, source="AutoAugment family; PIL AFFINE")
def _translate_y_abs(numbers, value, random, height, width):
    return 0, 0, 0, 0, 0, numbers.pixels(value, 1)


@move("ShiftX", -150 / 331, 150 / 331, unit="of the width", neutral=0.0, signed=True, source="torchvision TranslateX")
def _shift_x(numbers, value, random, height, width):
    # To the right, by whole pixels: torchvision's int(magnitude).
    return 0, 0, -numbers.whole(value, width), 0, 0, 0


@move("ShiftY", -150 / 331, 150 / 331, unit="of the height", neutral=0.0, signed=True, source="torchvision TranslateY")
def _shift_y(numbers, value, random, height, width):
    return 0, 0, 0, 0, 0, -numbers.whole(value, height)


@move("Rotate", -30.0, 30.0, unit="degrees, counter-clockwise", neutral=0.0, signed=True, source="PIL rotate")
def _rotate(numbers, value, random, height, width):
    cosine, sine = numbers.turn(value)
    x, y = width / 2, height / 2
    # Source = centre + turned (pixel - centre).
    return cosine - 1, -sine, x - cosine * x + sine * y, sine, cosine - 1, y - sine * x - cosine * y


@move("ScaleX", 1.0, 1.5, unit="factor, enlarged about the centre", neutral=1.0, keeps_area=False, source=AUTODO)
def _scale_x(numbers, value, random, height, width):
    longer = numbers.longer(value)
    return longer, 0, -longer * (width / 2), 0, 0, 0


@move("ScaleY", 1.0, 1.5, unit="factor, enlarged about the centre", neutral=1.0, keeps_area=False, source=AUTODO)
def _scale_y(numbers, value, random, height, width):
    longer = numbers.longer(value)
    return 0, 0, 0, 0, longer, -longer * (height / 2)


@move("Flip", source="PIL mirror")
def _flip(numbers, value, random, height, width):
    return -2, 0, width, 0, 0, 0


@move("FlipVertical", source="PIL flip")
def _flip_vertical(numbers, value, random, height, width):
    return 0, 0, 0, 0, -2, height


@move("RandFlip", source=DEEPAA)
def _random_flip(numbers, value, random, height, width):
    mirrored = jnp.where(random[0] > 0.5, 1.0, 0.0)
    return -2 * mirrored, 0, mirrored * width, 0, 0, 0


@move("RandCrop", 0.0, 16.0, unit="pixels of padding", neutral=0.0, fill="cover", smooth_value=False, source=DEEPAA)
def _random_crop(numbers, value, random, height, width):
    # One of 2 v + 1 whole offsets in each direction.
    down, right = (jnp.floor(random[i] * (2 * value + 1)) - value for i in (0, 1))
    return 0, 0, right, 0, 0, down


@tint("AutoContrast", source="PIL ImageOps.autocontrast, cutoff 0")
def _auto_contrast(numbers, image, value):
    return numbers.stretch(image)


@tint("Invert", source="PIL ImageOps.invert")
def _invert(numbers, image, value):
    return 255 - image


@tint("Equalize", heavy=True, source="PIL ImageOps.equalize")
def _equalize(numbers, image, value):
    return numbers.equalize(image)


@tint("Solarize", 0.0, 256.0, unit="threshold", neutral=256.0, smooth_value=False, source="PIL ImageOps.solarize")
def _solarize(numbers, image, value):
    return numbers.invert_from(image, value)


@tint("Posterize", 4.0, 8.0, unit="bits", neutral=8.0, smooth_value=False, source="PIL ImageOps.posterize, int(bits)")
def _posterize(numbers, image, value):
    return numbers.keep_bits(image, value)


@tint("Contrast", 0.1, 1.9, unit="factor", neutral=1.0, source="PIL ImageEnhance.Contrast")
def _contrast(numbers, image, value):
    return numbers.blend(numbers.mean(numbers.grey(image)), image, value)


@tint("Color", 0.1, 1.9, unit="factor", neutral=1.0, source="PIL ImageEnhance.Color")
def _color(numbers, image, value):
    return numbers.blend(numbers.grey(image), image, value)


@tint("Brightness", 0.1, 1.9, unit="factor", neutral=1.0, source="PIL ImageEnhance.Brightness")
def _brightness(numbers, image, value):
    return numbers.blend(jnp.zeros((), image.dtype), image, value)


@tint("Sharpness", 0.1, 1.9, unit="factor", neutral=1.0, source="PIL ImageEnhance.Sharpness")
def _sharpness(numbers, image, value):
    return numbers.blend(numbers.smoothed(image), image, value)


@hide("CutoutAbs", 0.0, 20.0, unit="pixels", neutral=0.0, source="AutoAugment family; PIL rectangle, ends included")
def _cutout_abs(numbers, value, random, height, width):
    top, left = (
        numbers.corner(jnp.maximum(0.0, random[i] * side - value / 2)) for i, side in ((1, height), (0, width))
    )
    # PIL's code draws nothing at 0; at any other value the rectangle's ends are included.
    top = jnp.where(value > 0, top, height + 1.0)
    return top, jnp.minimum(height, top + value), left, jnp.minimum(width, left + value)


@hide("Cutout", 0.0, 0.2, unit="of the width", neutral=0.0, source="Fast AutoAugment (Lim et al. 2019)")
def _cutout(numbers, value, random, height, width):
    return _cutout_abs(numbers, value * width, random, height, width)


def _around(y, x, value, height, width):
    """The square of side `value` around (y, x), cut off at the image's edges; none at 0."""
    half = value / 2
    top = jnp.where(value > 0, jnp.maximum(0.0, y - half), height + 1.0)
    return top, jnp.minimum(height, y + half), jnp.maximum(0.0, x - half), jnp.minimum(width, x + half)


@hide("RandCutout", 0.0, 60.0, unit="pixels", neutral=0.0, source=DEEPAA + " (16; on images above 120 pixels 60)")
def _random_cutout(numbers, value, random, height, width):
    return _around(random[1] * height, random[0] * width, value, height, width)


@hide("RandCutout60", 0.0, 60.0, unit="pixels", neutral=0.0, source=DEEPAA + ", its ImageNet search")
def _random_cutout_60(numbers, value, random, height, width):
    # The centre lies in the middle 256 x 256.
    (top, high), (left, wide) = ((max(0, side - 256) / 2, min(side, 256)) for side in (height, width))
    return _around(top + random[1] * high, left + random[0] * wide, value, height, width)


@resample(
    "RandResizeCrop", 0.08, 1.0, unit="least share of area", neutral=1.0, heavy=True, smooth_value=False, source=DEEPAA
)
def _random_resize_crop(numbers, value, random, height, width):
    """(top, left, rows, columns) of the crop that is resized to the whole image.

    Area uniform in value..1, log of the aspect ratio uniform in 3/4..4/3; a box that does not fit is replaced by the
    whole image at once, as the released code does.
    """
    area = height * width * (value + random[0] * (1.0 - value))
    ratio = jnp.exp(math.log(3 / 4) + random[1] * math.log(16 / 9))
    columns, rows = (jnp.maximum(jnp.round(jnp.sqrt(side)), 1.0) for side in (area * ratio, area / ratio))
    fits = (columns <= width) & (rows <= height)
    columns, rows = jnp.where(fits, columns, width), jnp.where(fits, rows, height)
    top, left = jnp.floor(random[2] * (height - rows + 1)), jnp.floor(random[3] * (width - columns + 1))
    return top, left, rows, columns


def find_op(name: str) -> Op:
    """The op of that name. Raises UsageError with the nearest valid names."""
    return choose("operation", name, OPS)


def check(name: str, shape: tuple[int, ...]) -> None:
    """Raises UsageError unless the op exists and can work on images [H W C] of that shape."""
    find_op(name)
    height, width, channels = shape
    if height * width > 2**24 or max(height, width) > 2**14:
        raise UsageError(
            f"images of {height} x {width} pixels are too large for 16.16 fixed point and sums of 32 bits: make them "
            "smaller than 16,384 on a side and 16 million in all"
        )
    if name in ("Contrast", "Color") and channels not in (1, 3):
        raise UsageError(f"operation {name!r} needs images with 1 or 3 channels (grey or RGB), got {channels}")
