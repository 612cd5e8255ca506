"""Every operation at the edges of its sizes, numbers of channels and precisions, against the NumPy form or itself."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.settings import double_precision

from jaxaug import ops
from jaxaug.ops.execute import execute
from jaxaug.ops.fixed_point import fixed_point_of
from jaxaug.ops.records import ExecutionSettings, SampledOps, begin_sample

SIZES = {  # images, height, width, channels
    "one pixel": (1, 1, 1, 1),
    "one image": (1, 7, 5, 3),
    "a row of pixels": (2, 1, 9, 3),
    "RGBA": (2, 5, 8, 4),
}
DTYPES = ("float32", "bfloat16", "float16", "float64")
# Resized crops sum their weights in another order.
CLOSE = {"RandResizeCrop": 1}


@functools.cache
def images(size):
    return np.random.default_rng(0).integers(0, 256, SIZES[size]).astype(np.uint8)


def names(size):
    channels = SIZES[size][3]
    return [name for name in ops.list_ops() if not ops.find_op(name).channels or channels in ops.find_op(name).channels]


def value_of(name):
    op = ops.find_op(name)
    return 0.0 if op.neutral is None else op.low + 0.7 * (op.high - op.low)


def every_op(size, dtype):
    """[ops B H W C]: each op on each image, in one compilation with a branch for each."""
    given, used = images(size), tuple(names(size))
    exact = dtype == "uint8"
    count, (height, width) = len(given), given.shape[1:3]
    op = np.repeat(np.arange(len(used), dtype=np.int32), count)[:, None]
    value = np.float32([value_of(used[i]) for i in op[:, 0]])[:, None]
    fixed = np.zeros((len(op), 1, 6), np.int32)
    for row, i in enumerate(op[:, 0]):
        one = ops.find_op(used[i])
        if one.of_value_alone:
            fixed[row] = fixed_point_of(one, np.asarray([value_of(used[i])]), height, width)
    drawn = SampledOps(op, value, np.full((len(op), 1, 4), 0.5, np.float32), fixed if exact else None)
    settings = ExecutionSettings(used, exact=exact)

    @jax.jit
    def run(images, drawn):
        sample = begin_sample(jnp.tile(images, (len(used), 1, 1, 1)), settings)
        return execute(settings, drawn, sample).image.transpose(0, 2, 3, 1)

    return np.asarray(run(jnp.asarray(given, dtype), drawn)).reshape(len(used), *given.shape)


@pytest.mark.parametrize("size", SIZES)
def test_exact(size):
    """The pixels of the NumPy form, which equals PIL."""
    for name, found in zip(names(size), every_op(size, "uint8"), strict=True):
        for image, after in zip(images(size), found, strict=True):
            expected = ops.apply_numpy([(name, value_of(name))], image).image
            off = np.abs(after.astype(int) - expected).max()
            assert off <= CLOSE.get(name, 0), name


@pytest.mark.parametrize("size", ["one image", "RGBA"])
def test_floats(size):
    """float32 whatever the precision of the images; where these are whole numbers that it holds, the same numbers."""
    single = every_op(size, "float32")
    assert single.dtype == np.float32
    assert np.isfinite(single).all()
    assert single.min() >= 0
    assert single.max() <= 255.001


@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_precisions(dtype):
    """What half precision holds exactly gives what single precision does; x64 changes nothing."""
    given = images("one image")  # bfloat16 holds the whole numbers up to 256
    chosen = ["Rotate", "Contrast", "Equalize", "Posterize", "CutoutAbs", "RandResizeCrop"]
    for name in chosen:
        run = functools.partial(ops.apply_op, name, value=value_of(name), exact=False)
        expected = run(given.astype(np.float32))
        if dtype == "float64":
            with double_precision():
                found = np.asarray(run(given.astype(np.float64)))
                exact = np.asarray(ops.apply_op(name, given, value_of(name)))
            np.testing.assert_array_equal(exact, ops.apply_op(name, given, value_of(name)), err_msg=name)
        else:
            found = run(jnp.asarray(given, dtype))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3, err_msg=name)
