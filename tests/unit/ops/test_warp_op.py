"""A warp that a test registers from a file of its own works wherever an op does."""

import importlib
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.op_runner import run, share_of
from helpers.settings import double_precision

from jaxaug import ops
from jaxaug.ops.execute import execute
from jaxaug.ops.records import ExecutionSettings, Sample, SampledOps
from jaxaug.ops.registry import OPS, VOID
from jaxaug.policies import apply_numpy, make_policy
from jaxaug.policies.sampling import sample, value_table

HEIGHT, WIDTH, COUNT = 20, 24, 12
NAMES = ("Identity", "Invert", "Rotate", "CutoutAbs", "Swirl")


@pytest.fixture(autouse=True)
def swirl():
    """The op, while a test runs."""
    module = importlib.import_module("helpers.swirl")
    importlib.reload(module)
    yield OPS["Swirl"]
    del OPS["Swirl"]


def images_of(seed=0, channels=3):
    rough = np.random.default_rng(seed).normal(size=(COUNT, HEIGHT, WIDTH, channels)).cumsum(1).cumsum(2)
    rough -= rough.min((1, 2), keepdims=True)
    return (255 * rough / rough.max((1, 2), keepdims=True)).astype(np.uint8)


def mixed_draw(seed=0):
    """Two layers, a swirl in at least one of them for most images."""
    rng = np.random.default_rng(seed)
    op = rng.choice([1, 2, 3, 4, 4, 4], (COUNT, 2)).astype(np.int32)
    value = np.select([op == 4, op == 2, op == 3], [rng.uniform(-120, 120, op.shape), 17.0, 7.0], 0.0)
    random = rng.random((COUNT, 2, 4)).astype(np.float32)
    return SampledOps(jnp.asarray(op), jnp.asarray(value, jnp.float32), jnp.asarray(random))


@pytest.mark.parametrize("exact", [True, False])
def test_schedulers_agree(exact):
    """Image, label map and visibility, with other ops before and after it; uint8 bit for bit."""
    planes = jnp.asarray(images_of().transpose(0, 3, 1, 2), jnp.uint8 if exact else jnp.float32)
    label = jnp.asarray(np.random.default_rng(1).integers(1, 99, (COUNT, HEIGHT, WIDTH)), jnp.int32)
    first, second = (
        run(ExecutionSettings(NAMES, exact=exact, scheduler=scheduler), mixed_draw(), Sample(planes, label))
        for scheduler in ("map", "fused")
    )
    np.testing.assert_array_equal(first.label, second.label)
    if exact:
        np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_allclose(first.image, second.image, atol=0.02)
    assert np.abs(np.asarray(first.image, int) - np.asarray(planes, int)).mean() > 5


def places(value):
    """(columns, rows) in float64."""
    backend = SimpleNamespace(xp=np, grid=lambda h, w: (np.arange(w)[None], np.arange(h)[:, None]))
    return OPS["Swirl"].apply(backend, np.float64(value), None, HEIGHT, WIDTH)


def test_pixels_are_where_the_field_says():
    """uint8: the nearest; float32: between four; what lies outside is black, in a label map void."""
    images, value = images_of(channels=1)[:1], 70.0
    columns, rows = places(value)
    inside = (columns > -0.5) & (columns < WIDTH - 0.5) & (rows > -0.5) & (rows < HEIGHT - 0.5)
    nearest = np.clip(np.rint(rows), 0, HEIGHT - 1).astype(int), np.clip(np.rint(columns), 0, WIDTH - 1).astype(int)
    clear = (np.abs(columns % 1 - 0.5) > 1e-3) & (np.abs(rows % 1 - 0.5) > 1e-3)
    expected = np.where(inside, images[0, ..., 0][nearest], 0)
    found = np.asarray(ops.apply_op("Swirl", images, value))[0, ..., 0]
    np.testing.assert_array_equal(found[clear], expected[clear])
    ramp = np.broadcast_to(np.arange(WIDTH, dtype=np.float32)[None, :, None], (HEIGHT, WIDTH, 1))
    smooth = np.asarray(ops.apply_op("Swirl", ramp, value, exact=False))[..., 0]
    well = (columns > 0) & (columns < WIDTH - 1) & (rows > 0) & (rows < HEIGHT - 1)
    np.testing.assert_allclose(smooth[well], columns[well], atol=1e-3)
    label = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    moved = ops.apply_numpy([("Swirl", value)], images[0], label)
    np.testing.assert_array_equal(moved.image[..., 0][clear], expected[clear])
    np.testing.assert_array_equal(moved.label[clear], np.where(inside, label[nearest], VOID)[clear])


@pytest.mark.parametrize("exact", [True, False])
def test_visibility(exact):
    """Of an image of ones what is seen, weighted by how the field shrinks it: the share of the original area."""
    value = np.float32([0, 40, 90, -120])
    draw = SampledOps(jnp.full((4, 1), 4, jnp.int32), jnp.asarray(value)[:, None], jnp.full((4, 1, 4), 0.5))
    found = np.asarray(share_of(ExecutionSettings(NAMES, exact=exact), draw, ("Swirl",), (1, HEIGHT, WIDTH)))
    np.testing.assert_allclose(found[0], 1.0, atol=1e-5)
    for i in range(4):
        columns, rows = places(value[i])
        inside = (columns > -0.5) & (columns < WIDTH - 0.5) & (rows > -0.5) & (rows < HEIGHT - 0.5)
        (down, across), (down_rows, across_rows) = np.gradient(columns), np.gradient(rows)
        expected = inside * np.abs(across * down_rows - down * across_rows)
        # Between two pixels float32 counts a share of what lies over the edge.
        assert found[i].mean() == pytest.approx(expected.mean(), abs=0.01 if exact else 0.03)
        if not exact:
            continue
        in_numpy = ops.apply_numpy([("Swirl", float(value[i]))], np.zeros((HEIGHT, WIDTH, 1), np.uint8)).visibility
        assert in_numpy.mean() == pytest.approx(found[i].mean(), abs=0.01)
    nothing = share_of(ExecutionSettings(NAMES, exact=exact), draw, ("Rotate",), (1, HEIGHT, WIDTH))
    np.testing.assert_array_equal(nothing, 1)


def test_visibility_of_what_was_hidden_before_it():
    """A hole that is swirled is where an image of ones with that hole shows it."""
    draw = SampledOps(
        jnp.asarray([[3, 4]], jnp.int32), jnp.asarray([[9.0, 80.0]]), jnp.full((1, 2, 4), 0.5, jnp.float32)
    )
    settings = ExecutionSettings(NAMES)
    seen = run(settings, draw, Sample(jnp.ones((1, 1, HEIGHT, WIDTH), jnp.uint8))).image[0, 0]
    visibility = share_of(settings, draw, ("CutoutAbs",), (1, HEIGHT, WIDTH))[0]
    columns, rows = places(80.0)
    inside = (columns > 0) & (columns < WIDTH - 1) & (rows > 0) & (rows < HEIGHT - 1)
    np.testing.assert_array_equal(visibility[inside], seen[inside])
    assert 50 < (seen[inside] == 0).sum() < 150


def test_derivative_in_the_value():
    """Equals finite differences in float64, through the bilinear sampling."""
    with double_precision():
        rng = np.random.default_rng(0)
        image, weight = (jnp.asarray(rng.uniform(0, 255, (2, HEIGHT, WIDTH, 1))) for _ in range(2))
        settings = ExecutionSettings(("Swirl",), exact=False)

        @jax.jit
        @jax.grad
        def slope(value):
            return jnp.sum(total(value))

        def total(value):
            draw = SampledOps(jnp.zeros((2, 1), jnp.int32), value[:, None], jnp.zeros((2, 1, 4)))
            after = execute(settings, draw, Sample(image.transpose(0, 3, 1, 2))).image.transpose(0, 2, 3, 1)
            return jnp.sum(after * weight, axis=(1, 2, 3))

        value, step = jnp.asarray([35.0, -60.0]), 1e-6
        difference = (total(value + step) - total(value - step)) / (2 * step)
        np.testing.assert_allclose(slope(value), difference, rtol=1e-4)


def test_in_a_policy(tmp_path):
    """Drawn, mirrored and carried out, under JAX and in NumPy; saved with the module that defines it."""
    policy = make_policy([[[("Swirl", 1.0, 1.0)]]], {"Swirl": (0.0, 90.0)}, signed=("Swirl",), noise=("sign",))
    drawn = sample(jax.random.key(0), policy, jnp.arange(16), value_table(policy, HEIGHT, WIDTH))
    assert set(np.asarray(drawn.value).ravel().tolist()) == {-90.0, 90.0}
    image, visible = apply_numpy(policy, np.random.default_rng(0), images_of()[0])
    assert image.shape == (HEIGHT, WIDTH, 3)
    assert 0.8 < visible <= 1
    policy.save(tmp_path / "policy.json")
    assert '"modules": ["helpers.swirl"]' in (tmp_path / "policy.json").read_text()
