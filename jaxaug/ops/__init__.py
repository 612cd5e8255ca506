"""Image operations, each written once for all backends: one function per op on plain arrays, and how to add one.

    turned = jaxaug.ops.rotate(images, 30.0)

    @jaxaug.ops.color_op("Red", source="mine")
    def red(backend, image, value):
        return backend.xp.concatenate([image[:1], 0 * image[1:]])

`apply_op` takes any op by name; `apply_numpy` does without JAX, for worker processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jaxaug.ops.definitions  # noqa: F401  (fills the registry)
from jaxaug.core.lazy import lazy_names
from jaxaug.ops.numpy_execute import NumpyOp, NumpySample, apply_numpy
from jaxaug.ops.registry import (
    Op,
    color_op,
    crop_resize_op,
    erase_op,
    find_op,
    geometric_op,
    list_ops,
    warp_op,
)

if TYPE_CHECKING:
    from jaxaug.ops.functional import (
        apply_op,
        auto_contrast,
        brightness,
        color,
        contrast,
        cutout,
        cutout_abs,
        equalize,
        flip,
        flip_vertical,
        invert,
        posterize,
        rand_crop,
        rand_cutout,
        rand_cutout_60,
        rand_flip,
        rand_resize_crop,
        rotate,
        scale_x,
        scale_y,
        sharpness,
        shear_x,
        shear_y,
        shift_x,
        shift_y,
        solarize,
        translate_x,
        translate_x_abs,
        translate_y,
        translate_y_abs,
    )

__all__ = [
    "NumpyOp",
    "NumpySample",
    "Op",
    "apply_numpy",
    "apply_op",
    "auto_contrast",
    "brightness",
    "color",
    "color_op",
    "contrast",
    "crop_resize_op",
    "cutout",
    "cutout_abs",
    "equalize",
    "erase_op",
    "find_op",
    "flip",
    "flip_vertical",
    "geometric_op",
    "invert",
    "list_ops",
    "posterize",
    "rand_crop",
    "rand_cutout",
    "rand_cutout_60",
    "rand_flip",
    "rand_resize_crop",
    "rotate",
    "scale_x",
    "scale_y",
    "sharpness",
    "shear_x",
    "shear_y",
    "shift_x",
    "shift_y",
    "solarize",
    "translate_x",
    "translate_x_abs",
    "translate_y",
    "translate_y_abs",
    "warp_op",
]

__getattr__ = lazy_names(__name__, dict.fromkeys(__all__, "functional"))


def __dir__() -> list[str]:
    return __all__
