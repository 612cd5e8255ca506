"""Soft Augmentation's crop: pixels and visible shares as the released code's, offsets of the exact distribution."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.settings import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxaug.augment import basic
from jaxaug.augment.soft_crop import draw_offsets, soft_crop
from jaxaug.augment.transform import closing_phase
from jaxaug.core.errors import UsageError
from jaxaug.core.types import Batch, Progress
from jaxaug.ops import batched

golden = functools.lru_cache(lambda: np.load(GOLDEN / "soft_augmentation.npz"))
shift = jax.jit(batched.shift)
EARLY = Progress(jnp.asarray(0.5), jnp.asarray(0.5))


def batch_of(dtype=np.float32, rows=64, height=9, width=8):
    image = np.random.default_rng(0).integers(1, 256, (rows, height, width, 3)).astype(dtype)
    return Batch(jnp.asarray(image), jnp.arange(rows) % 5, jnp.arange(rows))


@pytest.mark.parametrize("fill", ["0.01", "1", "0"])
def test_released_images(fill):
    """The released code's crops of one image, to the bit: same offsets, same colors outside."""
    image = np.moveaxis(golden()["crop_img_norm"], 0, -1)
    rows, columns = golden()["crop_offsets"].astype(np.int32).T
    moved = shift(np.broadcast_to(image, (6, 32, 32, 3)), rows, columns, golden()[f"crop_bg{fill}_fill"])
    np.testing.assert_array_equal(np.moveaxis(moved, -1, 1), golden()[f"crop_bg{fill}_out"])


def test_released_visible_share():
    """Every pair of offsets from -32 to 32: the mean of the shifted visibility, and its overlap form."""
    rows, columns = (x.ravel() for x in np.meshgrid(golden()["offsets"], golden()["offsets"], indexing="ij"))
    visibility = shift(jnp.ones((65 * 65, 32, 32, 1)), rows, columns, jnp.zeros((65 * 65, 1)))[..., 0]
    visible = np.asarray(Batch(visibility, jnp.asarray(rows), None, visibility).visible_fraction, np.float64).reshape(
        65, 65
    )
    np.testing.assert_array_equal(visible, golden()["vis_fg"])
    np.testing.assert_allclose(visible / (2 - visible), golden()["vis_iou"], rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_shift_of_oblong_images(dtype):
    """Against slices, offsets up to the side and beyond, with a picture outside; dtype kept."""
    image = np.asarray(batch_of(dtype).image)
    rng = np.random.default_rng(1)
    rows, columns = (rng.integers(-size - 1, size + 2, 64).astype(np.int32) for size in (9, 8))
    outside = rng.uniform(-10, 300, image.shape).astype(np.float32)
    moved = shift(image, rows, columns, outside)
    assert moved.dtype == dtype
    inside = np.clip(np.round(outside), 0, 255).astype(dtype) if dtype == np.uint8 else outside
    for b, (row, column) in enumerate(zip(rows, columns, strict=True)):
        expected = inside[b].copy()
        for i in range(max(-row, 0), min(9 - row, 9)):
            for j in range(max(-column, 0), min(8 - column, 8)):
                expected[i, j] = image[b, i + row, j + column]
        np.testing.assert_array_equal(moved[b], expected)


@pytest.mark.parametrize("sigma", [12.0, 9.6])
def test_offsets(sigma):
    """Chi-squared of 100,000 draws against the exact distribution; cells of at least 10 expected draws."""
    drawn = np.asarray(draw_offsets(jax.random.key(0), 100_000, 32, sigma))
    assert np.abs(drawn).max() <= 31
    expected = 100_000 * golden()[f"pmf_sigma{sigma:g}"]
    counts = np.bincount(drawn + 32, minlength=65)
    cells = expected >= 10
    statistic = ((counts - expected)[cells] ** 2 / expected[cells]).sum()
    assert cells.sum() >= 55
    assert statistic < 110  # the 99.98 % point of chi-squared with 62 degrees of freedom


@pytest.mark.parametrize("sigma", [0.0, 0.012, 1e9])
def test_offsets_at_the_limits(sigma):
    """Nothing moves in the closing phase; a very wide spread stays inside and is uniform."""
    drawn = np.asarray(draw_offsets(jax.random.key(0), 20_000, 8, sigma))
    if sigma < 1:
        np.testing.assert_array_equal(drawn, 0)
    else:
        counts = np.bincount(drawn + 7, minlength=15)
        np.testing.assert_allclose(counts, np.where(np.arange(15) == 7, 2, 1) * 20_000 / 16, rtol=0.15)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("fill", ["zero", "constant", "noise", "mean"])
def test_fills(fill, dtype):
    """Where the visibility is 0 stands what the option says, where it is 1 a pixel of the image."""
    batch = batch_of(dtype)
    after = soft_crop(0.3, True, fill, fill_std=20.0)(jax.random.key(3), batch, {}, EARLY)
    image, outside = np.asarray(after.image, np.float64), np.asarray(after.visibility) == 0
    assert after.image.dtype == dtype
    assert 0.2 < outside.mean() < 0.6
    assert (image[~outside] >= 1).all()
    seen = image[outside]
    colors = [row[hole] for row, hole in zip(image, outside, strict=True) if hole.sum() > 1]
    if fill == "zero":
        np.testing.assert_array_equal(seen, 0)
    elif fill == "noise":
        assert all(len(np.unique(color)) > 1 for color in colors)
        assert seen.min() == 0 if dtype == np.uint8 else 15 < seen.std() < 25
    else:
        assert all((color == color[0]).all() for color in colors)
    if fill == "mean":
        means = np.asarray(batch.image, np.float64).mean(axis=(1, 2))[np.nonzero(outside)[0]]
        np.testing.assert_allclose(seen, means, atol=0.5001 if dtype == np.uint8 else 1e-3)


def test_sigma_relative_to_each_side():
    """0.3 relative moves an oblong image further along its long side: standard deviations of 12 and 6 pixels."""
    image = jnp.zeros((2000, 40, 20, 1)).at[:, 20, 10].set(1.0)
    part = soft_crop(0.15, True, "zero", closing=0.0)
    visibility = np.asarray(part(jax.random.key(0), Batch(image, jnp.zeros(2000), None), {}, EARLY).visibility)
    hidden_rows, hidden_columns = 40 - visibility.any(axis=2).sum(1), 20 - visibility.any(axis=1).sum(1)
    half_normal = np.sqrt(2 / np.pi)
    np.testing.assert_allclose(
        [hidden_rows.mean(), hidden_columns.mean()], [6 * half_normal, 3 * half_normal], atol=0.6
    )


def test_closing_phase():
    """Images stand still, and are all visible, from the first closing epoch on; one compilation serves both phases."""
    part, batch = jax.jit(soft_crop(2.0, closing=21 / 501)), batch_of()
    still = [
        bool(
            (
                part(jax.random.key(1), batch, {}, Progress(jnp.zeros(()), jnp.asarray(epoch / 501))).visibility == 1
            ).all()
        )
        for epoch in (0, 479, 480, 500)
    ]
    assert still == [False, False, True, True]
    assert part._cache_size() == 1


@settings(max_examples=100, deadline=None)
@given(epochs=st.integers(1, 2000), data=st.data())
def test_closing_epoch(epochs, data):
    """closing = n / epochs or n means the last n epochs, in spite of rounding; of fewer epochs all."""
    last = data.draw(st.integers(1, epochs))
    first = epochs - last
    for epoch in {max(first - 1, 0), min(first, epochs - 1)}:
        done = np.float32(epoch) / np.float32(epochs)
        for closing in {last / epochs, last} - {1.0}:
            assert bool(closing_phase(Progress(done, done, epochs), closing)) == (epoch >= first)
    assert closing_phase(Progress(np.float32(0), np.float32(0), epochs), epochs + 1)


def test_closing_epochs_need_their_number():
    with pytest.raises(UsageError, match="give a share below 1"):
        closing_phase(Progress(jnp.zeros(()), jnp.zeros(())), 2)


SOFTENING = {
    "soft_crop": soft_crop(2.0, fill="zero"),
    "flip": basic.flip(),
    "pad_and_crop": basic.pad_and_crop(3, "zero", soften=True),
    "cutout": basic.cutout(4, soften=True),
}


@pytest.mark.parametrize("first", SOFTENING)
@pytest.mark.parametrize("second", SOFTENING)
def test_visibility_moves_with_the_pixels(first, second):
    """An image of ones on which the hidden is black looks like its own visibility, whatever follows whatever."""
    batch = batch_of().replace(image=jnp.ones((64, 9, 8, 1)))
    for key, name in enumerate((first, second, "flip", "pad_and_crop")):
        batch = SOFTENING[name](jax.random.key(key), batch, {}, EARLY)
    np.testing.assert_array_equal(batch.image[..., 0], batch.visibility)
    np.testing.assert_allclose(batch.visible_fraction, np.mean(batch.image, axis=(1, 2, 3)), rtol=1e-6)


@pytest.mark.parametrize("fill", ["reflect", "edge"])
def test_repeated_pixels_show_nothing(fill):
    """The visibility does not depend on what the padding repeats, nor the image on `soften`."""
    batch, key = batch_of(), jax.random.key(0)
    soft = basic.pad_and_crop(3, fill, soften=True)(key, batch, {}, EARLY)
    np.testing.assert_array_equal(
        soft.visibility, basic.pad_and_crop(3, "zero", soften=True)(key, batch, {}, EARLY).visibility
    )
    hard = basic.pad_and_crop(3, fill)(key, batch, {}, EARLY)
    np.testing.assert_array_equal(soft.image, hard.image)
    assert hard.visibility is None


def test_hard_crop_leaves_the_visibility_alone():
    batch, key = batch_of(), jax.random.key(0)
    hard = soft_crop(2.0, soften=False)(key, batch, {}, EARLY)
    assert hard.visibility is None
    np.testing.assert_array_equal(hard.image, soft_crop(2.0)(key, batch, {}, EARLY).image)


@pytest.mark.parametrize(
    "options",
    [
        {"fill": "black"},
        *({name: value} for name in ("sigma", "fill_std") for value in (-1.0, math.nan, math.inf)),
        *({"closing": value} for value in (-0.1, 1.5, math.nan)),
        *({"closing_ratio": value} for value in (0.0, math.nan)),
    ],
)
def test_mistakes(options):
    with pytest.raises(UsageError, match=r"soft_crop: (fill must be one of|closing must be)"):
        soft_crop(**options)
    mixed = batch_of().replace(mix_ratio=jnp.ones(64))
    with pytest.raises(UsageError, match="come before those that mix"):
        soft_crop()(jax.random.key(0), mixed, {}, EARLY)
