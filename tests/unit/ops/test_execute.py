"""The schedulers agree; visibility, label maps and derivatives are what they say."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import pil_oracle
from helpers.op_runner import NAMES, drawn, run, settings, share_of, value_of
from helpers.settings import double_precision

from jaxaug.ops import float64
from jaxaug.ops import uint8 as pil
from jaxaug.ops.execute import execute
from jaxaug.ops.records import ExecutionSettings, Sample
from jaxaug.ops.registry import OPS, VOID

SIDE, COUNT = 32, 96
# Where the float32 form samples whole pixels, or does not sample at all.
WHOLE = [op for op in NAMES if OPS[op].kind == "color" or op in ("Flip", "FlipVertical", "RandFlip", "RandCrop")]


def images_of(seed):
    smooth = np.random.default_rng(seed).normal(size=(COUNT, 3, SIDE, SIDE)).cumsum(-1).cumsum(-2)
    smooth -= smooth.min((2, 3), keepdims=True)
    return (255 * smooth / smooth.max((2, 3), keepdims=True)).astype(np.uint8)


def random_draw(seed, ops=NAMES, layers=2):
    rng = np.random.default_rng(seed)
    names = rng.choice(ops, (COUNT, layers))
    values = np.vectorize(value_of)(names, rng.random((COUNT, layers)))
    values = np.where(names == "RandCrop", np.round(values), values)
    return drawn(names, values.astype(np.float32), rng.random((COUNT, layers, 4)).astype(np.float32))


def fixed_size(rows):
    """Lists of fewer rows filled up, so that the tests share their compilations."""
    return [*rows, *[rows[-1]] * (COUNT - len(rows))]


def after(draw, scheduler="map", exact=True, images=None):
    """(sample after the draw, its visible share [B]), with label maps."""
    images = jnp.asarray(images_of(0) if images is None else images)
    label = jnp.asarray(np.random.default_rng(0).integers(1, 200, (COUNT, SIDE, SIDE)), jnp.int32)
    how = settings(scheduler, exact)
    seen = run(how, draw, Sample(images if exact else images.astype(jnp.float32), label))
    return seen, np.asarray(share_of(how, draw, NAMES, (3, SIDE, SIDE)), np.float64).mean((1, 2))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("exact", [True, False])
def test_schedulers_agree(exact, seed):
    """Two layers of random ops: image and label map; uint8 bit for bit, float32 to rounding."""
    images = images_of(seed)
    first, second = (after(random_draw(seed), scheduler, exact, images)[0] for scheduler in ("map", "fused"))
    np.testing.assert_array_equal(first.label, second.label)
    if exact:
        np.testing.assert_array_equal(first.image, second.image)
    else:
        # Where a rounded decision (a threshold, a bit) falls the other way by one rounding, grey levels jump.
        far = np.abs(np.asarray(first.image - second.image)) > 0.02
        assert far.mean() < 1e-3


def test_float_numbers_follow_the_exact_ones():
    """On ops that do not interpolate the float32 form is within the rounding of the uint8 form."""
    draw = random_draw(7, [*WHOLE, *WHOLE])
    draw = draw.replace(op=draw.op.at[:, 1].set(NAMES.index("Identity")))
    exact, floats = (np.asarray(after(draw, exact=numbers)[0].image, np.float32) for numbers in (True, False))
    ops = np.asarray(NAMES)[np.asarray(draw.op[:, 0])]
    assert set(ops) == set(WHOLE)
    far = np.abs(exact - floats).reshape(COUNT, -1)
    for op in set(ops):
        # PIL cuts off up to 1, and the smoothed image that it sharpens against is rounded: 0.9 of a half more.
        assert np.quantile(far[ops == op], 0.999) <= 1.45, op


def test_mass_follows_the_pixels():
    """An image of ones under the same moves and holes, with black covers, is its own mask: equal for every pixel."""
    ops = [op for op in NAMES if OPS[op].kind in ("geometric", "erase") and OPS[op].keeps_area]
    draw = random_draw(4, ops)
    how = ExecutionSettings(NAMES, (0.0,), True, "map")
    ones = run(how, draw, Sample(jnp.ones((COUNT, 3, SIDE, SIDE), jnp.uint8))).image[:, 0]
    visibility = share_of(how, draw, NAMES, (3, SIDE, SIDE))
    np.testing.assert_allclose(visibility, ones, atol=1e-4)
    before = jnp.asarray(np.random.default_rng(0).integers(0, 2, (COUNT, SIDE, SIDE)), jnp.float32)
    kept = share_of(how, draw, NAMES, (3, SIDE, SIDE), before)
    moved = run(how, draw, Sample(jnp.repeat(before[:, None].astype(jnp.uint8), 3, axis=1))).image[:, 0]
    np.testing.assert_allclose(kept, moved, atol=1e-4)


def test_only_named_ops_soften():
    ops = ("CutoutAbs", "TranslateXAbs", "RandCrop")
    draw = drawn(ops, [9.0, 5.0, 0.0]).replace(op=jnp.arange(3, dtype=jnp.int32)[:, None])
    share = share_of(ExecutionSettings(ops), draw, ("CutoutAbs",), (3, SIDE, SIDE)).mean((1, 2))
    np.testing.assert_allclose(share, [1 - 100 / SIDE**2, 1, 1], rtol=1e-6)


def test_other_ops_take_the_mass_along():
    """Between a cutout and a crop that count, a mirror that does not count still mirrors."""
    ops = ["RandCutout", "Flip", "RandCrop"]
    random = np.random.default_rng(0).random((40, 3, 4))
    draw = drawn([ops] * 40, np.tile(np.float32([12, 0, 4]), (40, 1)), random)
    some, everything = (share_of(settings(), draw, names, (3, SIDE, SIDE)) for names in (tuple(ops[::2]), NAMES))
    np.testing.assert_array_equal(some, everything)
    assert some.mean() < 0.9


def visible_by_supersampling(ops, values, random, numbers, fine=16):
    """Share of the original area that is seen, from 16 x 16 points in each output pixel; every op keeps areas."""
    y, x = (np.mgrid[: SIDE * fine, : SIDE * fine] + 0.5) / fine
    seen = np.ones_like(x, bool)
    for op, value, chance in reversed(list(zip(ops, values, random, strict=True))):
        if OPS[op].kind == "erase":
            top, bottom, left, right = (float(edge) for edge in OPS[op].apply(pil, value, chance, SIDE, SIDE))
            seen &= ~((y >= top) & (y < bottom + 1) & (x >= left) & (x < right + 1))
        else:
            a, b, c, d, e, f = OPS[op].apply(numbers, np.float64(value), chance, SIDE, SIDE)
            x, y = x + a * x + b * y + c, y + d * x + e * y + f
            seen &= (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
    return seen.mean()


@pytest.mark.parametrize("exact", [True, False])
def test_visible_share(exact):
    """Within 2 % of a 16 x supersampled count: rotations, shears, shifts and compositions with holes."""
    rng = np.random.default_rng(3)
    names = rng.choice(["Rotate", "ShearX", "ShearY", "TranslateX", "ShiftY", "CutoutAbs"], (COUNT, 2))
    names[:30, 1] = "Identity"
    values = np.vectorize(value_of)(names, rng.random((COUNT, 2)))
    values = np.where(names == "CutoutAbs", np.round(values) + 4, values)
    random = rng.random((COUNT, 2, 4)).astype(np.float32)
    random = np.floor(random * SIDE) / SIDE  # holes of whole pixels in both number systems
    share = after(drawn(names, values, random), exact=exact)[1]
    unrounded = types.SimpleNamespace(xp=np, pixels=np.multiply, whole=np.multiply, turn=float64.turn)
    for row in range(COUNT):
        kept = names[row] != "Identity"
        case = names[row][kept], values[row][kept], random[row][kept]
        wanted = visible_by_supersampling(*case, float64 if exact else unrounded)
        assert abs(share[row] - wanted) < 0.02, (*case, share[row], wanted)


@pytest.mark.parametrize("exact", [True, False])
def test_visible_share_of_an_enlarged_crop(exact):
    """The visibility of a resized crop is its share of the area, in both number systems."""
    random = np.random.default_rng(0).random((COUNT, 2, 4)).astype(np.float32)
    share = after(drawn([["RandResizeCrop", "Identity"]] * COUNT, np.full((COUNT, 2), 0.2), random), exact=exact)[1]
    box = jax.vmap(lambda r: OPS["RandResizeCrop"].apply(pil, 0.2, r, SIDE, SIDE))(random[:, 0])
    np.testing.assert_allclose(share, box[2] * box[3] / SIDE**2, atol=0.04)


def test_label_maps_move_with_the_image():
    """Nearest, void where nothing is; tints and cutouts leave them."""
    ops = fixed_size(["Rotate", "ShearX", "TranslateY", "Flip", "Invert", "CutoutAbs"])
    values = np.float32(fixed_size([17.0, 0.2, 0.3, 0, 0, 9]))
    label = np.random.default_rng(0).integers(1, 200, (COUNT, SIDE, SIDE))
    draw = drawn([[op, "Identity"] for op in ops], np.stack([values, values], axis=1))
    moved = np.asarray(after(draw)[0].label)
    for op, value, before, found in list(zip(ops, values, label, moved, strict=True))[:6]:
        expected = before
        if OPS[op].kind == "geometric":
            as_image = before.astype(np.uint8)[..., None]
            inside = pil_oracle.apply(op, np.full_like(as_image, 255), value)[..., 0] > 0
            expected = np.where(inside, pil_oracle.apply(op, as_image, value)[..., 0].astype(int), VOID)
        np.testing.assert_array_equal(found, expected)


DIFFERENTIABLE = [op for op in NAMES if OPS[op].neutral is not None and OPS[op].smooth_value]


@functools.partial(jax.jit, static_argnums=0)
def weighted(settings, draw, sample, weight):
    """One number per row, and with it what reverse mode gives for values, gates and images."""

    def total(value, gate, image):
        rows = execute(settings, draw.replace(value=value, gate=gate), sample.replace(image=image)).image
        return jnp.sum(rows * weight), jnp.sum(rows * weight, axis=(1, 2, 3))

    arguments = (draw.value, draw.gate, sample.image)
    return jax.grad(total, argnums=(0, 1, 2), has_aux=True)(*arguments)


def test_gradients_equal_finite_differences():
    """Of every differentiable op in its value, in the probability by which it is blended in, and in the image."""
    with double_precision():
        ops = DIFFERENTIABLE * 2
        rng = np.random.default_rng(5)
        values = np.asarray(
            [value_of(op, share) for op, share in zip(ops, rng.uniform(0.15, 0.85, len(ops)), strict=True)]
        )
        gate = rng.uniform(0.2, 0.8, (len(ops), 1))
        image = jnp.asarray(rng.uniform(60, 190, (len(ops), 3, 9, 12)))
        weight, direction = (jnp.asarray(rng.normal(size=image.shape)) for _ in range(2))
        draw = drawn(ops, values, rng.random((len(ops), 4)), gate=gate)
        rows = functools.partial(weighted, settings("map", False))
        (of_value, of_gate, of_image), _ = rows(draw, Sample(image), weight)
        step = 1e-6

        def difference(change):
            up, down = (rows(*change(sign * step), weight)[1] for sign in (1, -1))
            return np.asarray(up - down) / (2 * step)

        by_value = difference(lambda d: (draw.replace(value=draw.value + d), Sample(image)))
        by_gate = difference(lambda d: (draw.replace(gate=draw.gate + d), Sample(image)))
        by_image = difference(lambda d: (draw, Sample(image + d * direction)))
        moving = np.asarray([OPS[op].kind != "erase" for op in ops])
        assert np.abs(by_value[moving]).min() > 0
        np.testing.assert_allclose(of_value[:, 0], by_value, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(of_gate[:, 0], by_gate, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(jnp.sum(of_image * direction, axis=(1, 2, 3)), by_image, rtol=1e-4, atol=1e-4)
