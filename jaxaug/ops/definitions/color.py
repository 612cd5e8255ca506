"""Operations that give new pixel values."""

from __future__ import annotations

from collections.abc import Callable

from jaxaug.ops.backend import Array, Backend
from jaxaug.ops.registry import color_op

LUT = (1, 3)  # channels that PIL's ImageOps take; they refuse an alpha
ENHANCED = (1, 3, 4)  # those of its ImageEnhance, which keeps the alpha


@color_op("AutoContrast", channels=LUT, source="PIL ImageOps.autocontrast, cutoff 0")
def _auto_contrast(backend: Backend, image: Array, value: Array) -> Array:
    return backend.stretch(image)


@color_op("Invert", channels=LUT, source="PIL ImageOps.invert")
def _invert(backend: Backend, image: Array, value: Array) -> Array:
    return 255 - image


@color_op("Equalize", channels=LUT, heavy=True, source="PIL ImageOps.equalize")
def _equalize(backend: Backend, image: Array, value: Array) -> Array:
    return backend.equalize(image)


@color_op(
    "Solarize",
    0.0,
    256.0,
    unit="threshold",
    channels=LUT,
    neutral=256.0,
    smooth_value=False,
    source="PIL ImageOps.solarize",
)
def _solarize(backend: Backend, image: Array, value: Array) -> Array:
    return backend.invert_from(image, value)


@color_op(
    "Posterize",
    4.0,
    8.0,
    unit="bits",
    channels=LUT,
    neutral=8.0,
    smooth_value=False,
    source="PIL ImageOps.posterize, int(bits)",
)
def _posterize(backend: Backend, image: Array, value: Array) -> Array:
    return backend.keep_bits(image, value)


@color_op("Contrast", 0.1, 1.9, unit="factor", neutral=1.0, channels=ENHANCED, source="PIL ImageEnhance.Contrast")
def _contrast(backend: Backend, image: Array, value: Array) -> Array:
    return _beside_alpha(backend, image, lambda x: backend.blend(backend.mean(backend.grayscale(x)), x, value))


@color_op(
    "Color", 0.1, 1.9, unit="factor", neutral=1.0, channels=ENHANCED, needs_color=True, source="PIL ImageEnhance.Color"
)
def _color(backend: Backend, image: Array, value: Array) -> Array:
    return _beside_alpha(backend, image, lambda x: backend.blend(backend.grayscale(x), x, value))


@color_op("Brightness", 0.1, 1.9, unit="factor", neutral=1.0, source="PIL ImageEnhance.Brightness")
def _brightness(backend: Backend, image: Array, value: Array) -> Array:
    return _beside_alpha(backend, image, lambda x: backend.blend(backend.xp.zeros((), x.dtype), x, value))


@color_op("Sharpness", 0.1, 1.9, unit="factor", neutral=1.0, source="PIL ImageEnhance.Sharpness")
def _sharpness(backend: Backend, image: Array, value: Array) -> Array:
    return _beside_alpha(backend, image, lambda x: backend.blend(backend.smoothed(x), x, value))


def _beside_alpha(backend: Backend, image: Array, change: Callable[[Array], Array]) -> Array:
    """The image [C H W] changed, but for the alpha of RGBA."""
    return backend.xp.concatenate([change(image[:3]), image[3:]]) if len(image) == 4 else change(image)
