"""What an operation is, and the decorators by which one is written.

Kinds, by what they give: a *move* where each pixel comes from, a *tint* new pixel values, a *hide* the rectangle that
disappears, a *resample* the box that is enlarged.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import pick


@dataclasses.dataclass(frozen=True)
class Op:
    """An operation and what a policy must know of it.

    kind: "geometric", "color", "erase" or "crop_resize". low, high: the usual range of its value, in the unit named in `unit`.
    neutral: the value that changes nothing (None: the op takes no value). signed: geometric, so that a mirrored value
    is as good. fill: what a move uncovers, "black" or "cover". heavy: worth skipping where no image of a batch drew it.
    smooth_value: the float32 form has the exact derivative in the value (else a straight-through one, or none).
    keeps_area: an output pixel stands for as much of the source as it covers (of moves; resamples never do).
    """

    name: str
    kind: str
    apply: Callable[..., Any]
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    neutral: float | None = None
    signed: bool = False
    fill: str = "black"
    heavy: bool = False
    smooth_value: bool = True
    keeps_area: bool = True
    source: str = ""

    @property
    def of_value_alone(self) -> bool:
        """Whether this is a move that follows from its value, without chance: the host may compute it beforehand."""
        return self.kind == "geometric" and self.neutral is not None and self.smooth_value


OPS: dict[str, Op] = {}  # filled by `ops.py`


def _register(kind: str, name: str, low: float = 0.0, high: float = 1.0, **facts: Any) -> Callable:
    def add(function: Callable) -> Callable:
        OPS[name] = Op(name, kind, function, low, high, **facts)
        return function

    return add


def geometric(name: str, low: float = 0.0, high: float = 1.0, **facts: Any) -> Callable:
    """A move: (backend, value, random, height, width) -> displacement (ax, bx, cx, ay, by, cy).

    The pixel at (x, y) shows what was at (x + ax x + bx y + cx, y + ay x + by y + cy), in pixels from the upper left
    corner of the image (so that a pixel's centre lies at a half). Entries that are always 0 are the number 0.
    value: []; random: [4] uniform backend in [0, 1).
    """
    return _register("geometric", name, low, high, **facts)


def color(name: str, low: float = 0.0, high: float = 1.0, **facts: Any) -> Callable:
    """A tint: (backend, image [C H W], value []) -> image [C H W]."""
    return _register("color", name, low, high, **facts)


def erase(name: str, low: float = 0.0, high: float = 1.0, **facts: Any) -> Callable:
    """A hide: (backend, value, random, height, width) -> box (top, bottom, left, right), in pixels, ends included."""
    return _register("erase", name, low, high, **facts)


def crop_resize(name: str, low: float = 0.0, high: float = 1.0, **facts: Any) -> Callable:
    """A resample: (backend, value, random, height, width) -> box (top, left, rows, columns), in pixels."""
    return _register("crop_resize", name, low, high, **facts)


def find_op(name: str) -> Op:
    """The op of that name. Raises UsageError with the nearest valid names."""
    return pick("operation", name, OPS)


def check_op(name: str, shape: tuple[int, ...]) -> None:
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
