"""Forms for XLA's CPU compiler and those for accelerators: both give NumPy's pixels, whatever is traced for."""

import jax
import numpy as np
import pytest

from jaxaug.core.target import Target
from jaxaug.ops import batched, numpy_uint8, uint8

SHAPES = [(3, 7, 10), (1, 5, 4), (3, 3, 3), (3, 1, 9), (1, 2, 2), (3, 16, 3)]


@pytest.fixture(params=["cpu", "gpu"])
def platform(request, monkeypatch):
    """What is being traced for; it runs here in any case."""
    for module in (uint8, batched):
        monkeypatch.setattr(module, "target", lambda: Target(request.param))
    return request.param


def pixels(shape):
    return np.random.default_rng(sum(shape)).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("shape", SHAPES)
def test_pixels(platform, shape):
    """Grayscale, smoothing, and a blend with the one plane of the former."""
    image, factor = pixels(shape), np.float32(1.7)

    def all_of(backend, image):
        gray = backend.grayscale(image)
        return gray, backend.smoothed(image), backend.blend(gray, image, factor)

    for found, expected in zip(jax.jit(lambda x: all_of(uint8, x))(image), all_of(numpy_uint8, image), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_extremes(platform):
    """The largest sums: white, and single white pixels on black."""
    for image in (np.full((3, 6, 5), 255, np.uint8), np.zeros((3, 6, 5), np.uint8)):
        image[:, 2, 2] = 255
        np.testing.assert_array_equal(uint8.smoothed(image), numpy_uint8.smoothed(image))
        np.testing.assert_array_equal(uint8.grayscale(image), numpy_uint8.grayscale(image))


@pytest.mark.parametrize("moved", [(0, 0), (2, 0), (0, -3), (-1, 4), (9, 1), (-10, -7), (30_000, -30_000), (5, -6)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_whole_pixels(moved, dtype):
    """A translation as one piece of the row of all pixels: what is outside, however far, is filled."""
    plane, (columns, rows) = pixels((1, 7, 10))[0].astype(dtype), moved
    x, y = np.arange(10)[None] + columns, np.arange(7)[:, None] + rows
    within = (x >= 0) & (x < 10) & (y >= 0) & (y < 7)
    expected = np.where(within, plane[np.clip(y, 0, 6), np.clip(x, 0, 9)], dtype(9))
    found = uint8.take(plane, (np.int32(columns), np.int32(rows), within), 9)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == dtype


def test_channels_last(platform):
    planes = pixels((2, 3, 5, 4))
    np.testing.assert_array_equal(batched.channels_last(planes), planes.transpose(0, 2, 3, 1))
