"""What an operation is written against: the functions that each backend has, as protocols.

An operation is a function of a backend, of its value and of the image or its size. The same lines run with PIL's uint8
arithmetic under JAX (`uint8`), with differentiable float32 (`float32`), with PIL's uint8 arithmetic in NumPy alone
(`numpy_uint8`) and, where a displacement follows from its value, in NumPy's float64 (`float64`). mypy checks all four.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

Array = Any  # jax.Array or np.ndarray, whichever the backend computes with
Scalar = Any  # an array without axes, or a number known before compiling
Six = tuple[Scalar, Scalar, Scalar, Scalar, Scalar, Scalar]
Box = tuple[Scalar, Scalar, Scalar, Scalar]


class DisplacementBackend(Protocol):
    """What a displacement that follows from its value alone may use; such an op also runs in float64."""

    xp: Any  # the array functions: jax.numpy or numpy

    def pixels(self, value: Array, side: int, /) -> Array:
        """By how many pixels an image moves: value * side, whole where sampling takes the nearest pixel."""

    def whole(self, value: Array, side: int, /) -> Array:
        """value * side, rounded toward zero where sampling takes the nearest pixel."""

    def turn(self, degrees: Array, /) -> tuple[Array, Array]:
        """(cos, sin)."""

    def longer(self, factor: Array, /) -> Array:
        """1 / factor - 1, of factors of at least `LEAST_FACTOR`."""


class Backend(DisplacementBackend, Protocol):
    """What every operation may use. Images are [C H W] on the 0..255 scale."""

    def blend(self, base: Array, image: Array, factor: Array, /) -> Array:
        """base + factor * (image - base), in 0..255."""

    def grayscale(self, image: Array, /) -> Array:
        """[1 H W]: the luma."""

    def mean(self, plane: Array, /) -> Array:
        """[]: the mean of all pixels."""

    def smoothed(self, image: Array, /) -> Array:
        """PIL's 3 x 3 SMOOTH filter; the border is kept."""

    def invert_from(self, image: Array, threshold: Array, /) -> Array:
        """255 - i where i >= threshold."""

    def keep_bits(self, image: Array, bits: Array, /) -> Array:
        """The upper int(bits) of 8 bits."""

    def stretch(self, image: Array, /) -> Array:
        """Each channel's range to 0..255."""

    def equalize(self, image: Array, /) -> Array:
        """Equal counts of all levels, channel by channel."""

    def corner(self, position: Array, /) -> Array:
        """A rectangle's first corner: cut to a whole number by PIL's code."""

    def grid(self, height: int, width: int, /) -> tuple[Array, Array]:
        """(x [1 W], y [H 1]) of all pixels, counted from the first one."""


class PixelBackend(Backend, Protocol):
    """What the schedulers use besides."""

    def fixed(self, displacement: Six, /) -> Six:
        """The coefficients that `source` takes for a displacement; those known before compiling stay numbers."""

    def source(self, coefficients: Six, x: Array, y: Array, /) -> tuple[Array, Array]:
        """(column, row) of what is seen at the pixels x, y."""

    def inside(self, column: Array, row: Array, height: int, width: int, /) -> Array:
        """How much of (column, row) lies on the image: 0, 1 or, between two pixels, a share."""

    def where_from(self, coefficients: Six, height: int, width: int, /) -> tuple[Array, ...]:
        """What `take` takes for a displacement."""

    def located(self, columns: Array, rows: Array, height: int, width: int, /) -> tuple[Array, ...]:
        """What `take` takes for the places columns, rows [H W] float, counted from the center of the first pixel."""

    def stepped(self, columns: Array, rows: Array, /) -> tuple[Array, Array]:
        """The places columns, rows in the backend's own form: of the nearest pixel, or as they are."""

    def area(self, coefficients: Six, /) -> Array:
        """[]: how many pixels of the source one output pixel stands for."""

    def take(self, plane: Array, found: tuple[Array, ...], fill: Array | float, /) -> Array:
        """The plane [H W] of any dtype seen through `where_from` or `located`; `fill` where nothing is."""

    def covered(self, box: Box, x: Array, y: Array, /) -> Array:
        """In 0..1: how much of the pixels x, y lies in the box (top, bottom, left, right), its ends included."""

    def cover(self, image: Array, amount: Array, color: Array | np.ndarray, /) -> Array:
        """The image under `color` [C 1 1], by amount [H W]."""

    def rounded(self, image: Array, /) -> Array:
        """Float32 brought to what the backend's images are: the nearest uint8, or within 0..255."""
