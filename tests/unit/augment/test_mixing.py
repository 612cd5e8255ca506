"""Mixup and CutMix: what is mixed with what, in which shares, and how the shares are drawn."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from helpers.settings import GOLDEN

from jaxaug.augment.mixing import cutmix, mixup, symmetric_beta
from jaxaug.core.errors import UsageError
from jaxaug.core.types import Batch, Progress
from jaxaug.ops import batched

golden = functools.lru_cache(lambda: np.load(GOLDEN / "soft_augmentation.npz"))
ROWS = 250
EARLY = Progress(jnp.asarray(0.5), jnp.asarray(0.5))


def batch_of(dtype=np.uint8):
    """Row b is an image of the color b: what an output pixel says tells where it came from."""
    image = np.broadcast_to(np.arange(ROWS).astype(dtype)[:, None, None, None], (ROWS, 10, 8, 1))
    return Batch(jnp.asarray(image), jnp.arange(ROWS) % 5, jnp.arange(ROWS))


@pytest.mark.parametrize("classes", [10, 100])
def test_released_mixup_images(classes):
    stem = f"st_C{classes}_mixup_"
    image = golden()[stem + "x"]
    share = jnp.full(16, golden()[stem + "lam"], jnp.float32)
    mixed = batched.blend(jnp.asarray(image), jnp.asarray(image[golden()[stem + "perm"]]), share)
    np.testing.assert_allclose(mixed, golden()[stem + "out"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("per", ["batch", "example"])
def test_mixup(per, dtype):
    """mix * row + (1 - mix) * row before, rounded for uint8; labels and order kept."""
    batch = batch_of(dtype)
    after = mixup(per=per)(jax.random.key(0), batch, {}, EARLY)
    mix = np.asarray(after.mix_ratio, np.float64)
    assert (len(np.unique(mix)) > 200) == (per == "example")
    color = mix * np.arange(ROWS) + (1 - mix) * np.roll(np.arange(ROWS), 1)
    assert after.image.dtype == dtype
    seen = np.asarray(after.image, np.float64)
    assert (seen == seen[:, :1, :1]).all()
    np.testing.assert_allclose(seen[:, 0, 0, 0], color, atol=0.5001 if dtype == np.uint8 else 1e-4)
    np.testing.assert_array_equal(after.label, batch.label)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("per", ["batch", "example"])
def test_cutmix(per, dtype):
    """One box from the row before; mix is exactly the share of pixels that stay."""
    after = cutmix(per=per)(jax.random.key(0), batch_of(dtype), {}, EARLY)
    assert after.image.dtype == dtype
    own = np.asarray(after.image)[..., 0] == np.arange(ROWS)[:, None, None]
    before = np.asarray(after.image)[..., 0] == np.roll(np.arange(ROWS), 1)[:, None, None]
    assert (own ^ before).all()
    np.testing.assert_allclose(after.mix_ratio, own.mean(axis=(1, 2)), atol=1e-6)
    np.testing.assert_array_equal(before.any(axis=2).sum(1) * before.any(axis=1).sum(1), before.sum(axis=(1, 2)))
    assert (len(np.unique(np.asarray(after.mix_ratio))) > 20) == (per == "example")


def test_cutmix_box():
    """lambda is 0.5 for a very large alpha: a box of 7 x 5 of 10 x 8 pixels, centered anywhere, cut off outside."""
    after = cutmix(alpha=1e6, per="example")(jax.random.key(0), batch_of(), {}, EARLY)
    pasted = np.asarray(after.image)[..., 0] != np.arange(ROWS)[:, None, None]
    heights, widths = pasted.any(axis=2).sum(1), pasted.any(axis=1).sum(1)
    assert (heights.min(), heights.max(), widths.min(), widths.max()) == (4, 7, 3, 5)
    center = (pasted * np.arange(10)[None, :, None]).sum((1, 2)) / pasted.sum((1, 2))
    assert abs(center.mean() - 4.5) < 0.5


@pytest.mark.parametrize("part", [mixup, cutmix])
def test_probability_and_closing(part):
    """Rows that are not mixed stay as they are, bit for bit, with mix 1; none is mixed in the closing phase."""
    batch = batch_of()
    run = jax.jit(part(per="example", probability=0.4, closing=0.1))
    after = run(jax.random.key(0), batch, {}, EARLY)
    alone = np.asarray(after.mix_ratio) == 1
    assert 0.5 < alone.mean() < 0.75  # 0.6, and the boxes of CutMix that are too small to hold a pixel
    np.testing.assert_array_equal(after.image[alone], batch.image[alone])
    last = run(jax.random.key(0), batch, {}, Progress(jnp.asarray(0.9), jnp.asarray(0.9)))
    np.testing.assert_array_equal(last.mix_ratio, 1)
    np.testing.assert_array_equal(last.image, batch.image)
    assert run._cache_size() == 1


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.5, 1.0, 2.0, 8.0])
def test_symmetric_beta(alpha):
    """Kolmogorov's distance of 100,000 draws to Beta(alpha, alpha), where a float32 can tell them from 0 and 1."""
    drawn = np.asarray(symmetric_beta(jax.random.key(0), alpha, (100_000,)), np.float64)
    points = np.linspace(0.001, 0.999, 999)
    expected = scipy.stats.beta(alpha, alpha).cdf(points)
    distance = np.abs(np.searchsorted(np.sort(drawn), points) / 100_000 - expected).max()
    assert distance < 2.0 / np.sqrt(100_000)  # exceeded with probability 0.07 %
    assert ((drawn >= 0) & (drawn <= 1)).all()


@pytest.mark.parametrize("part", [mixup, cutmix])
@pytest.mark.parametrize(
    "options",
    [
        {"alpha": 0.0},
        {"alpha": math.nan},
        {"per": "row"},
        {"probability": 1.1},
        {"closing": -0.1},
        {"closing": 1.5},
    ],
)
def test_mistakes(part, options):
    with pytest.raises(UsageError, match=f"{part.__name__}.*{next(iter(options))}"):
        part(**options)
    with pytest.raises(UsageError, match="mixed already"):
        part()(jax.random.key(0), batch_of().replace(mix_ratio=jnp.ones(ROWS)), {}, EARLY)
