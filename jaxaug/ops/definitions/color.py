"""Operations that give new pixel values."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaug.ops.backend import Backend
from jaxaug.ops.registry import color


@color("AutoContrast", source="PIL ImageOps.autocontrast, cutoff 0")
def _auto_contrast(backend, image, value):
    return backend.stretch(image)


@color("Invert", source="PIL ImageOps.invert")
def _invert(backend, image, value):
    return 255 - image


@color("Equalize", heavy=True, source="PIL ImageOps.equalize")
def _equalize(backend, image, value):
    return backend.equalize(image)


@color("Solarize", 0.0, 256.0, unit="threshold", neutral=256.0, smooth_value=False, source="PIL ImageOps.solarize")
def _solarize(backend, image, value):
    return backend.invert_from(image, value)


@color("Posterize", 4.0, 8.0, unit="bits", neutral=8.0, smooth_value=False, source="PIL ImageOps.posterize, int(bits)")
def _posterize(backend, image, value):
    return backend.keep_bits(image, value)


@color("Contrast", 0.1, 1.9, unit="factor", neutral=1.0, source="PIL ImageEnhance.Contrast")
def _contrast(backend, image, value):
    return backend.blend(backend.mean(backend.grey(image)), image, value)


@color("Color", 0.1, 1.9, unit="factor", neutral=1.0, source="PIL ImageEnhance.Color")
def _color(backend, image, value):
    return backend.blend(backend.grey(image), image, value)


@color("Brightness", 0.1, 1.9, unit="factor", neutral=1.0, source="PIL ImageEnhance.Brightness")
def _brightness(backend, image, value):
    return backend.blend(jnp.zeros((), image.dtype), image, value)


@color("Sharpness", 0.1, 1.9, unit="factor", neutral=1.0, source="PIL ImageEnhance.Sharpness")
def _sharpness(backend, image, value):
    return backend.blend(backend.smoothed(image), image, value)
