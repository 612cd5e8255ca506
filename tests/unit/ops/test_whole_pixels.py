"""Values in shares of a side as whole pixels: the exact product of a float32 and a whole number, rounded once."""

import math
from fractions import Fraction

import jax
import numpy as np
import pytest

from jaxaug.ops import numpy_uint8, uint8

SIDES = (1, 2, 7, 10, 32, 33, 224, 1023)


def values_of(side):
    """Random shares; those whose product is a whole number or a half, exactly or nearly; and their neighbors."""
    near = np.float32(np.arange(-2 * side, 2 * side + 1)[:: max(side // 16, 1)] / (2 * side))
    near = np.concatenate([near, np.nextafter(near, np.float32(1)), np.nextafter(near, np.float32(-1))])
    power = side & -side  # the largest power of 2 in the side: these products are exact
    exact = np.arange(-2 * power, 2 * power + 1, dtype=np.float32) / (2 * power)
    found = np.concatenate([near, exact, np.random.default_rng(side).uniform(-1, 1, 50).astype(np.float32)])
    return found[np.abs(found) > 1e-30]  # XLA takes subnormal numbers for 0


@pytest.mark.parametrize("side", SIDES)
def test_as_fractions_say(side):
    """`pixels` rounds to the nearest, halves up; `whole` toward zero; under JAX and NumPy alike."""
    values = values_of(side)
    products = [Fraction(float(value)) * side for value in values]
    nearest = [math.floor(product + Fraction(1, 2)) for product in products]
    toward_zero = [math.trunc(product) for product in products]
    assert any(product.denominator == 2 for product in products), "no tie is tried"
    pixels, whole = jax.jit(lambda v: (uint8.pixels(v, side), uint8.whole(v, side)))(values)
    np.testing.assert_array_equal(pixels, nearest)
    np.testing.assert_array_equal(whole, toward_zero)
    np.testing.assert_array_equal(numpy_uint8.pixels(values, side), nearest)
    np.testing.assert_array_equal(numpy_uint8.whole(values, side), toward_zero)
