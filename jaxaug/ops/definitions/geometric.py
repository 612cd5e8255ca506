"""Operations that say where each pixel comes from."""

from __future__ import annotations

from jaxaug.ops.backend import Array, DisplacementBackend, Six
from jaxaug.ops.definitions.sources import AUTODO, DEEPAA
from jaxaug.ops.registry import geometric_op


@geometric_op(
    "ShearX", -0.3, 0.3, unit="pixels per row", neutral=0.0, signed=True, source="PIL AFFINE (1, v, 0, 0, 1, 0)"
)
def _shear_x(backend: DisplacementBackend, value: Array, random: Array, height: int, width: int) -> Six:
    return 0, value, 0, 0, 0, 0


@geometric_op(
    "ShearY", -0.3, 0.3, unit="pixels per column", neutral=0.0, signed=True, source="PIL AFFINE (1, 0, 0, v, 1, 0)"
)
def _shear_y(backend: DisplacementBackend, value: Array, random: Array, height: int, width: int) -> Six:
    return 0, 0, 0, value, 0, 0


@geometric_op("TranslateX", -0.45, 0.45, unit="of the width", neutral=0.0, signed=True, source="PIL AFFINE, v * width")
def _translate_x(backend: DisplacementBackend, value: Array, random: Array, height: int, width: int) -> Six:
    return 0, 0, backend.pixels(value, width), 0, 0, 0


@geometric_op(
    "TranslateY", -0.45, 0.45, unit="of the height", neutral=0.0, signed=True, source="PIL AFFINE, v * height"
)
def _translate_y(backend: DisplacementBackend, value: Array, random: Array, height: int, width: int) -> Six:
    return 0, 0, 0, 0, 0, backend.pixels(value, height)


@geometric_op(
    "TranslateXAbs", -10.0, 10.0, unit="pixels", neutral=0.0, signed=True, source="AutoAugment family; PIL AFFINE"
)
def _translate_x_abs(backend: DisplacementBackend, value: Array, random: Array, height: int, width: int) -> Six:
    return 0, 0, backend.pixels(value, 1), 0, 0, 0


@geometric_op(
    "TranslateYAbs", -10.0, 10.0, unit="pixels", neutral=0.0, signed=True, source="AutoAugment family; PIL AFFINE"
)
def _translate_y_abs(backend: DisplacementBackend, value: Array, random: Array, height: int, width: int) -> Six:
    return 0, 0, 0, 0, 0, backend.pixels(value, 1)


@geometric_op(
    "ShiftX", -150 / 331, 150 / 331, unit="of the width", neutral=0.0, signed=True, source="torchvision TranslateX"
)
def _shift_x(backend: DisplacementBackend, value: Array, random: Array, height: int, width: int) -> Six:
    # To the right, by whole pixels: torchvision's int(magnitude).
    return 0, 0, -backend.whole(value, width), 0, 0, 0


@geometric_op(
    "ShiftY", -150 / 331, 150 / 331, unit="of the height", neutral=0.0, signed=True, source="torchvision TranslateY"
)
def _shift_y(backend: DisplacementBackend, value: Array, random: Array, height: int, width: int) -> Six:
    return 0, 0, 0, 0, 0, -backend.whole(value, height)


@geometric_op("Rotate", -30.0, 30.0, unit="degrees, counter-clockwise", neutral=0.0, signed=True, source="PIL rotate")
def _rotate(backend: DisplacementBackend, value: Array, random: Array, height: int, width: int) -> Six:
    cosine, sine = backend.turn(value)
    x, y = width / 2, height / 2
    # Source = center + turned (pixel - center).
    return cosine - 1, -sine, x - cosine * x + sine * y, sine, cosine - 1, y - sine * x - cosine * y


@geometric_op(
    "ScaleX", 1.0, 1.5, unit="factor, enlarged about the center", neutral=1.0, keeps_area=False, source=AUTODO
)
def _scale_x(backend: DisplacementBackend, value: Array, random: Array, height: int, width: int) -> Six:
    longer = backend.longer(value)
    return longer, 0, -longer * (width / 2), 0, 0, 0


@geometric_op(
    "ScaleY", 1.0, 1.5, unit="factor, enlarged about the center", neutral=1.0, keeps_area=False, source=AUTODO
)
def _scale_y(backend: DisplacementBackend, value: Array, random: Array, height: int, width: int) -> Six:
    longer = backend.longer(value)
    return 0, 0, 0, 0, longer, -longer * (height / 2)


@geometric_op("Flip", source="PIL mirror")
def _flip(backend: DisplacementBackend, value: Array, random: Array, height: int, width: int) -> Six:
    return -2, 0, width, 0, 0, 0


@geometric_op("FlipVertical", source="PIL flip")
def _flip_vertical(backend: DisplacementBackend, value: Array, random: Array, height: int, width: int) -> Six:
    return 0, 0, 0, 0, -2, height


@geometric_op("RandFlip", single_level=True, source=DEEPAA)
def _random_flip(backend: DisplacementBackend, value: Array, random: Array, height: int, width: int) -> Six:
    mirrored = backend.xp.where(random[0] > 0.5, 1.0, 0.0)
    return -2 * mirrored, 0, mirrored * width, 0, 0, 0


@geometric_op(
    "RandCrop",
    0.0,
    16.0,
    unit="pixels of padding",
    neutral=0.0,
    fill="cover",
    smooth_value=False,
    single_level=True,
    source=DEEPAA,
)
def _random_crop(backend: DisplacementBackend, value: Array, random: Array, height: int, width: int) -> Six:
    # One of 2 v + 1 whole offsets in each direction.
    down, right = (backend.xp.floor(random[i] * (2 * value + 1)) - value for i in (0, 1))
    return 0, 0, right, 0, 0, down
