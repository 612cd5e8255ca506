"""The kernel for TPUs: its pixels, interpreted here; where it is used, and what is done elsewhere."""

import functools
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from jaxaug.core.sharding import make_mesh, sharded_along
from jaxaug.core.target import Target, traced_for
from jaxaug.ops import numpy_uint8, tpu_gather, uint8
from jaxaug.planning.compiled import cost_of
from jaxaug.planning.topology import devices_of, has_compiler, prepare_environment


def drawn(batch, channels, height, width, dtype=np.uint8):
    """(planes [B C H W], index [B H W])"""
    random = np.random.default_rng(width)
    planes = random.integers(0, 256, (batch, channels, height, width)).astype(dtype)
    return planes, random.integers(0, height * width, (batch, height, width)).astype(np.int32)


def expected(planes, index):
    return np.stack([one.reshape(len(one), -1)[:, at] for one, at in zip(planes, index, strict=True)])


@pytest.mark.parametrize("shape", [(3, 9, 133), (1, 16, 8)])
def test_pixels_of_the_kernel(shape):
    """Any places, the image as it is, and all of them the last pixel; parts of registers and of tiles are empty."""
    planes, index = drawn(4, *shape)
    count = shape[1] * shape[2]
    index[1] = np.arange(count).reshape(shape[1:])
    index[2] = count - 1
    index[3] = np.roll(index[1], 3, axis=0)
    kernel = jax.jit(jax.vmap(functools.partial(tpu_gather.by_kernel, interpret=True)))
    np.testing.assert_array_equal(kernel(planes, index), expected(planes, index))


@pytest.fixture
def given(monkeypatch):
    """The shapes that the kernel was traced for; a gather stands in for it, some devices of this machine for TPUs."""
    shapes, found = [], []

    def instead(planes, index):
        shapes.append(planes.shape)
        return planes.reshape(len(planes), -1)[:, index]

    monkeypatch.setattr(tpu_gather, "by_kernel", instead)
    monkeypatch.setattr(tpu_gather, "target", lambda: found[-1])
    monkeypatch.setattr(uint8, "target", lambda: found[-1])

    def on(devices):
        found.append(Target("tpu", make_mesh(None, jax.devices()[:devices])))
        return shapes

    return on


looked_up = jax.vmap(tpu_gather.look_up)


def jitted(function):
    """A function of its own each time: nothing is found in a cache that was traced for other devices."""
    return jax.jit(lambda *given: function(*given))


@pytest.mark.parametrize("devices", [1, 2])
def test_a_batch_is_for_the_kernel(given, devices):
    shapes = given(devices)
    planes, index = drawn(4, 3, 5, 6)
    np.testing.assert_array_equal(jitted(looked_up)(planes, index), expected(planes, index))
    assert shapes == [(3, 5, 6)]
    same = jitted(jax.vmap(tpu_gather.look_up, (None, 0)))(planes[0], index)
    np.testing.assert_array_equal(same, expected(np.stack([planes[0]] * 4), index))
    assert len(shapes) == 2
    twice = jitted(jax.vmap(looked_up))(planes.reshape(2, 2, 3, 5, 6), index.reshape(2, 2, 5, 6))
    np.testing.assert_array_equal(twice.reshape(planes.shape), expected(planes, index))


@pytest.mark.parametrize(
    ("batch", "channels", "dtype"), [(3, 3, np.uint8), (4, 5, np.uint8), (4, 3, np.float32), (4, 1, np.int32)]
)
def test_what_the_kernel_cannot_take(given, batch, channels, dtype):
    """A batch that two devices cannot halve, more channels than a word has bytes, other numbers than bytes."""
    shapes = given(2)
    planes, index = drawn(batch, channels, 5, 6, dtype)
    np.testing.assert_array_equal(jitted(looked_up)(planes, index), expected(planes, index))
    assert not shapes


def test_images_too_large(given, monkeypatch):
    shapes = given(1)
    monkeypatch.setattr(tpu_gather, "PIXELS", 8 * 128 - 1)
    planes, index = drawn(2, 3, 5, 6)
    np.testing.assert_array_equal(jitted(looked_up)(planes, index), expected(planes, index))
    assert not shapes


def test_inside_of_shard_map(given):
    shapes, rows = given(2), PartitionSpec("data")
    planes, index = drawn(4, 3, 5, 6)
    mesh = make_mesh(None, jax.devices()[:2])
    spread = jax.shard_map(looked_up, mesh=mesh, in_specs=(rows, rows), out_specs=rows)
    np.testing.assert_array_equal(jitted(spread)(planes, index), expected(planes, index))
    assert not shapes


def test_unknown_devices(monkeypatch, given):
    """Of several, whose rows are spread as nobody says."""
    shapes = given(1)
    monkeypatch.setattr(tpu_gather, "target", lambda: Target("tpu"))
    assert jax.device_count() > 1
    planes, index = drawn(2, 3, 5, 6)
    np.testing.assert_array_equal(jitted(looked_up)(planes, index), expected(planes, index))
    assert not shapes


def test_a_displacement_for_tpus(given):
    """Images through `take`, channel by channel, are one call with all channels; and a derivative passes by."""
    shapes, planes = given(1), drawn(2, 3, 5, 6)[0]
    coefficients = np.array([[60_000, 20_000, -9_000, -20_000, 60_000, 70_000], [65_536, 0, 0, 0, 65_536, 0]], np.int32)

    def seen(planes, six):
        found = uint8.where_from(tuple(six), 5, 6)
        return jax.vmap(uint8.take, (0, None, None))(planes, found, 9)

    def total(factor):
        return jnp.sum(factor * jax.vmap(seen)(planes, coefficients))

    value, slope = jax.jit(jax.value_and_grad(total))(2.0)
    kept = [
        numpy_uint8.take(plane, numpy_uint8.where_from(tuple(six), 5, 6), 9)
        for image, six in zip(planes, coefficients, strict=True)
        for plane in image
    ]
    np.testing.assert_array_equal(jax.jit(jax.vmap(seen))(planes, coefficients), np.reshape(kept, planes.shape))
    assert value == 2 * slope == 2 * np.sum(kept, dtype=np.float32)
    assert set(shapes) == {(3, 5, 6)}


@pytest.mark.slow
@pytest.mark.scale
@pytest.mark.parametrize("topology", ["v5e:2x4", "v6e:2x4"])
def test_compiled_for_eight_chips(topology):
    """The compiler takes the kernel, for each chip's share of the batch, and images go through memory a few times."""
    if not has_compiler(topology):
        pytest.skip("the TPU compiler is not installed")
    prepare_environment(topology, os.environ)
    mesh = make_mesh(None, devices_of(topology).devices)
    rows = sharded_along(mesh, 0)
    shapes = [((16, 3, 100, 200), np.uint8), ((16, 100, 200), np.int32)]
    given = [jax.ShapeDtypeStruct(shape, dtype, sharding=rows) for shape, dtype in shapes]
    cost = cost_of(jax.jit(traced_for(mesh, looked_up)), *given, platform="tpu", devices=8)
    assert not cost.collectives
    assert cost.bytes_accessed < 100 * 2 * 100 * 200  # a gather: 900 a pixel
