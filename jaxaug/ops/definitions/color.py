"""Operations that give new pixel values."""

from __future__ import annotations

from jaxaug.ops.backend import Array, Backend
from jaxaug.ops.registry import color_op


@color_op("AutoContrast", source="PIL ImageOps.autocontrast, cutoff 0")
def _auto_contrast(backend: Backend, image: Array, value: Array) -> Array:
    return backend.stretch(image)


@color_op("Invert", source="PIL ImageOps.invert")
def _invert(backend: Backend, image: Array, value: Array) -> Array:
    return 255 - image


@color_op("Equalize", heavy=True, source="PIL ImageOps.equalize")
def _equalize(backend: Backend, image: Array, value: Array) -> Array:
    return backend.equalize(image)


@color_op("Solarize", 0.0, 256.0, unit="threshold", neutral=256.0, smooth_value=False, source="PIL ImageOps.solarize")
def _solarize(backend: Backend, image: Array, value: Array) -> Array:
    return backend.invert_from(image, value)


@color_op(
    "Posterize", 4.0, 8.0, unit="bits", neutral=8.0, smooth_value=False, source="PIL ImageOps.posterize, int(bits)"
)
def _posterize(backend: Backend, image: Array, value: Array) -> Array:
    return backend.keep_bits(image, value)


@color_op("Contrast", 0.1, 1.9, unit="factor", neutral=1.0, channels=(1, 3), source="PIL ImageEnhance.Contrast")
def _contrast(backend: Backend, image: Array, value: Array) -> Array:
    return backend.blend(backend.mean(backend.grayscale(image)), image, value)


@color_op(
    "Color", 0.1, 1.9, unit="factor", neutral=1.0, channels=(1, 3), needs_color=True, source="PIL ImageEnhance.Color"
)
def _color(backend: Backend, image: Array, value: Array) -> Array:
    return backend.blend(backend.grayscale(image), image, value)


@color_op("Brightness", 0.1, 1.9, unit="factor", neutral=1.0, source="PIL ImageEnhance.Brightness")
def _brightness(backend: Backend, image: Array, value: Array) -> Array:
    return backend.blend(backend.xp.zeros((), image.dtype), image, value)


@color_op("Sharpness", 0.1, 1.9, unit="factor", neutral=1.0, source="PIL ImageEnhance.Sharpness")
def _sharpness(backend: Backend, image: Array, value: Array) -> Array:
    return backend.blend(backend.smoothed(image), image, value)
