"""Layers of moves in smooth numbers are one map; what it uncovers, and the visibility it leaves."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.op_runner import run, share_of, value_of
from helpers.settings import double_precision

from jaxaug.augment.policy_transform import execution_settings
from jaxaug.core.errors import UsageError
from jaxaug.ops import float32, float64
from jaxaug.ops.execute import execute
from jaxaug.ops.records import ExecutionSettings, Sample, SampledOps
from jaxaug.ops.registry import OPS, VOID
from jaxaug.ops.warp import composed, folds
from jaxaug.policies import autodo

HEIGHT, WIDTH, COUNT, LAYERS = 9, 14, 24, 4
MOVES = [name for name, op in OPS.items() if op.kind == "geometric" and op.fill == "black" and name != "RandFlip"]
NAMES = ("Identity", *MOVES)
UNROUNDED = types.SimpleNamespace(
    xp=np, pixels=np.multiply, whole=np.multiply, turn=float64.turn, longer=float64.longer
)
CHOICES = [("map", "fill"), ("fused", "edge")]


def settings(scheduler="fused", border="fill", names=NAMES):
    return ExecutionSettings(names, (0.0,), False, scheduler, border)


def drawn(chosen, values, names=NAMES):
    position = np.vectorize(names.index)(chosen).astype(np.int32)
    random = jnp.full((*position.shape, 4), 0.5)
    return SampledOps(jnp.asarray(position), jnp.asarray(values, jnp.float32), random)


def random_draw(seed=0, names=NAMES):
    rng = np.random.default_rng(seed)
    chosen = rng.choice(names, (COUNT, LAYERS))
    values = np.vectorize(value_of)(chosen, rng.random((COUNT, LAYERS)))
    return chosen, np.where(np.char.endswith(chosen, "Abs"), values / 4, values)


def places_of(names, values):
    """(column, row) [H W], in float64: where one map of all layers shows every pixel from."""
    whole = np.eye(3)
    for name, value in zip(names, values, strict=True):
        if name != "Identity":
            a, b, c, d, e, f = OPS[name].apply(UNROUNDED, np.float64(value), None, HEIGHT, WIDTH)
            whole = whole @ np.array([[1 + a, b, c], [d, 1 + e, f], [0, 0, 1]])
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return np.tensordot(whole[:2], np.stack([x, y, np.ones_like(x)]), 1) - 0.5, abs(np.linalg.det(whole))


def bilinear(image, column, row):
    """The image [H W], black around it, at places in float64."""
    wide = np.pad(image, 1)
    column, row = np.clip(column + 1, 0, WIDTH + 1 - 1e-9), np.clip(row + 1, 0, HEIGHT + 1 - 1e-9)
    left, top = column.astype(int), row.astype(int)
    across, down = column - left, row - top
    upper = wide[top, left] * (1 - across) + wide[top, left + 1] * across
    return upper * (1 - down) + (wide[top + 1, left] * (1 - across) + wide[top + 1, left + 1] * across) * down


@pytest.mark.parametrize(("scheduler", "border"), CHOICES)
def test_one_map_of_all_layers(scheduler, border):
    """Image and label map equal the composition in float64, with both schedulers and both borders."""
    names, values = random_draw()
    rng = np.random.default_rng(1)
    images, labels = rng.uniform(0, 255, (COUNT, 2, HEIGHT, WIDTH)), rng.integers(1, 99, (COUNT, HEIGHT, WIDTH))
    sample = Sample(jnp.asarray(images, jnp.float32), jnp.asarray(labels, jnp.int32))
    found = run(settings(scheduler, border), drawn(names, values), sample)
    for i in range(COUNT):
        (column, row), _ = places_of(names[i], values[i])
        inside = (np.abs(column - (WIDTH - 1) / 2) < WIDTH / 2) & (np.abs(row - (HEIGHT - 1) / 2) < HEIGHT / 2)
        clear = (np.abs(column % 1 - 0.5) > 1e-3) & (np.abs(row % 1 - 0.5) > 1e-3)
        nearest = np.rint(np.clip([row, column], 0, [[[HEIGHT - 1]], [[WIDTH - 1]]])).astype(int)
        expected = np.where(inside, labels[i][tuple(nearest)], VOID)
        np.testing.assert_array_equal(found.label[i][clear], expected[clear])
        if border == "edge":
            column, row = np.clip(column, 0, WIDTH - 1), np.clip(row, 0, HEIGHT - 1)
        for channel in range(2):
            seen = bilinear(images[i, channel], column, row)
            np.testing.assert_allclose(found.image[i, channel], seen, atol=0.02, err_msg=str(names[i]))


@pytest.mark.parametrize(("scheduler", "border"), CHOICES)
def test_neutral_values_change_nothing(scheduler, border):
    valued = [name for name in MOVES if OPS[name].neutral is not None]
    names = np.resize(["Identity", *valued], (COUNT, LAYERS))
    values = np.vectorize(lambda name: OPS[name].neutral or 0.0)(names)
    images = jnp.asarray(np.random.default_rng(2).uniform(0, 255, (COUNT, 2, HEIGHT, WIDTH)), jnp.float32)
    label = jnp.ones((COUNT, HEIGHT, WIDTH), jnp.int32)
    found = run(settings(scheduler, border), drawn(names, values), Sample(images, label))
    np.testing.assert_array_equal(found.image, images)
    np.testing.assert_array_equal(found.label, label)


def test_the_center_stays():
    """Under factors that differ, and a turn, on an image that is not square; factors near 0 give no singular map."""
    names, values = [["ScaleX", "ScaleY", "Rotate", "Identity"]] * 2, [[1.4, 0.7, 25, 0], [-3.0, 0.0, 25, 0]]
    place = jax.jit(jax.vmap(lambda one: composed(settings(), one, (1, HEIGHT, WIDTH))))(drawn(names, values))
    place, center = tuple(np.asarray(c) for c in place), ((WIDTH - 1) / 2, (HEIGHT - 1) / 2)
    for found, wanted in zip(float32.source(place, *center), center, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_allclose(float32.area(place), [1 / (1.4 * 0.7), 100], rtol=1e-4)


def test_what_folds():
    """Only moves, only smooth numbers, no gate, one color for what they uncover."""
    some = drawn([["Rotate", "ShearX"]], [[3, 0.1]])
    assert folds(settings(), some)
    assert not folds(settings(), some.replace(gate=jnp.ones((1, 2))))
    assert not folds(ExecutionSettings(NAMES), some)
    assert not folds(settings(names=(*NAMES, "Invert")), some)
    assert not folds(settings(names=(*NAMES, "RandCrop")), some)
    assert folds(settings(border="edge", names=(*NAMES, "RandCrop")), some)


SHAPE = (1, HEIGHT, WIDTH)
FEW = ("Identity", "ScaleX", "Rotate", "Flip", "TranslateX", "TranslateY")


def test_mass_of_a_map():
    """An image of ones through the same map is what is seen; a pixel stands for as much as the map shrinks it."""
    names, values = random_draw(3, FEW)
    names[0], before = ["Flip", *["Identity"] * 3], np.ones((COUNT, HEIGHT, WIDTH), np.float32)
    before[0] = np.random.default_rng(0).integers(0, 2, (HEIGHT, WIDTH))
    draws, how = drawn(names, values, FEW), settings(names=FEW)
    visibility = share_of(how, draws, FEW[1:], SHAPE, before)
    seen = run(how, draws, Sample(jnp.asarray(before[:, None]))).image[:, 0]
    areas = np.asarray([places_of(*pair)[1] for pair in zip(names, values, strict=True)])
    np.testing.assert_allclose(visibility, seen * areas[:, None, None], atol=1e-3)
    assert 0.2 < np.mean(seen) < 0.9


@pytest.mark.parametrize("exact", [True, False])
def test_mass_where_some_ops_count(exact):
    """Enlarged by s, 1 / s of the image is seen; made smaller, all. What does not count goes on showing all; what one
    layer moves out of the image and another back is lost only where layers do not fold."""
    cases = [
        *(("ScaleX", 1.4, "Identity", 0, 1 / 1.4), ("ScaleX", 0.6, "Identity", 0, 1), ("ScaleX", 1, "Identity", 0, 1)),
        *(("Rotate", 40, "Identity", 0, 1), ("TranslateY", 1 / 3, "Identity", 0, 1)),
        *(
            ("TranslateX", 3 / WIDTH, "Identity", 0, 1 - 3 / WIDTH),
            ("TranslateX", 3 / WIDTH, "Rotate", 0, 1 - 3 / WIDTH),
        ),
        ("TranslateX", 6 / WIDTH, "TranslateX", -6 / WIDTH, 1 - 6 / WIDTH if exact else 1),
    ]
    draws = drawn([case[0:4:2] for case in cases], [case[1:4:2] for case in cases], FEW)
    how = ExecutionSettings(FEW, scheduler="fused") if exact else settings(names=FEW)
    shares = share_of(how, draws, ("ScaleX", "TranslateX"), SHAPE).mean((1, 2))
    np.testing.assert_allclose(shares, [case[-1] for case in cases], atol=0.05)


def test_gradients_equal_finite_differences():
    """Of all seven values of AutoDO's affine map, through one gather and its border, in float64."""
    names, rng = tuple(autodo.AFFINE), np.random.default_rng(0)
    how = settings(border="edge", names=names)
    with double_precision():
        image, weight = (jnp.asarray(rng.uniform(0, 255, (6, 1, HEIGHT, WIDTH))) for _ in range(2))
        op, random = jnp.tile(jnp.arange(7), (6, 1)), jnp.zeros((6, 7, 4))
        low, high = np.asarray(list(autodo.AFFINE.values())).T
        values = jnp.asarray(low + rng.normal(size=(6, 7)) * (high - low) / 2)

        @jax.jit
        @functools.partial(jax.grad, has_aux=True)
        def slope(values):
            rows = jnp.sum(weight * execute(how, SampledOps(op, values, random), Sample(image)).image, axis=(1, 2, 3))
            return jnp.sum(rows), rows

        slopes, step = slope(values)[0], 1e-6
        for layer in range(7):
            up, down = (slope(values.at[:, layer].add(sign * step))[1] for sign in (1, -1))
            np.testing.assert_allclose(slopes[:, layer], (up - down) / (2 * step), rtol=1e-4, atol=1e-2)
        assert np.abs(slopes).max(0).min() > 1


def test_mistakes():
    for options, message in (
        ((True, "map", "edge"), "needs exact=False"),
        ((False, "map", "mirror"), "border must be"),
    ):
        with pytest.raises(UsageError, match=message):
            execution_settings(autodo.affine(), *options)
