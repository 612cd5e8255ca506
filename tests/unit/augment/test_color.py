"""Color transforms against PIL, colorsys and SciPy: what each changes, in which range, how often."""

import colorsys

import dm_pix
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
from helpers.settings import double_precision
from PIL import Image, ImageEnhance

from jaxaug.augment import color
from jaxaug.core.errors import UsageError
from jaxaug.core.types import Batch, Progress

HALF = Progress(jnp.asarray(0.5), jnp.asarray(0.5))
RNG = np.random.default_rng(0)


def batch_of(image):
    return Batch(jnp.asarray(image), jnp.zeros(len(image), jnp.int32), jnp.arange(len(image)))


def changed(part, image, seed=0):
    return np.asarray(jax.jit(part)(jax.random.key(seed), batch_of(image), {}, HALF).image)


def pictures(count=6, height=12, width=10):
    """Noise, smooth gradients, and flat colors: gray ones, black and white among them."""
    image = RNG.integers(0, 256, (count, height, width, 3)).astype(np.uint8)
    image[1] = np.linspace(0, 255, height * width * 3).reshape(height, width, 3)
    image[2, :6], image[2, 6:] = 255, 0
    image[3] = image[3, ..., :1]
    return image


def test_gray():
    """PIL's convert("L") to a level, in three channels, for a fifth of the images; the others are as they were."""
    image = pictures()
    luma = np.stack([np.asarray(Image.fromarray(one).convert("L")) for one in image])
    found = changed(color.grayscale(1.0), image)
    assert (found == found[..., :1]).all()
    assert np.abs(found[..., 0].astype(int) - luma).max() <= 1
    many = RNG.integers(0, 256, (2000, 2, 2, 3)).astype(np.uint8)
    after = changed(color.grayscale(), many)
    same = (after == many).all(axis=(1, 2, 3))
    assert ((after == after[..., :1]).all(axis=(1, 2, 3)) | same).all()
    assert scipy.stats.binomtest(int((~same).sum()), 2000, 0.2).pvalue > 1e-3
    single = image[..., :1]
    np.testing.assert_array_equal(changed(color.grayscale(1.0), single), single)


@pytest.mark.parametrize("sigma", [0.1, 1.3])
def test_blur(sigma):
    """SciPy's Gaussian of the same radius with its mode "mirror", which is torchvision's reflection, and DM-PIX's."""
    image = pictures().astype(np.float32)
    found = changed(color.gaussian_blur(1.0, (sigma, sigma), 5), image)
    expected = scipy.ndimage.gaussian_filter(image.astype(np.float64), sigma, mode="mirror", radius=2, axes=(1, 2))
    np.testing.assert_allclose(found, expected, atol=1e-3)
    mirrored = np.pad(image, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    np.testing.assert_allclose(found, dm_pix.gaussian_blur(mirrored, sigma, 5, padding="VALID"), atol=1e-3)


def test_blur_draws_its_widths():
    """On an impulse: sigma from the ratio of two taps is uniform in its range; half of the images are left alone."""
    impulse = np.zeros((1000, 3, 3, 1), np.float32)
    impulse[:, 1, 1] = 255.0
    found = changed(color.gaussian_blur(0.5, (0.5, 2.0)), impulse)[..., 0]
    blurred = found[:, 1, 1] < 255.0
    assert scipy.stats.binomtest(int(blurred.sum()), 1000, 0.5).pvalue > 1e-3
    # A pixel at the border sees the impulse a second time in the mirror.
    ratio = 2.0 * found[blurred, 1, 1] / found[blurred, 1, 0]
    sigma = np.sqrt(0.5 / np.log(ratio))
    assert sigma.min() >= 0.5 - 1e-3
    assert sigma.max() <= 2.0 + 1e-3
    assert scipy.stats.kstest(sigma, "uniform", (0.5, 1.5)).pvalue > 1e-3


def test_default_kernel_is_a_tenth_of_the_side():
    impulse = np.zeros((1, 42, 50, 1), np.float32)
    impulse[:, 21, 25] = 255.0
    found = changed(color.gaussian_blur(1.0, (2.0, 2.0)), impulse)[0, ..., 0] > 0
    assert found.sum() == 25


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.9])
@pytest.mark.parametrize(
    ("function", "enhancer"),
    [
        (color.adjust_brightness, ImageEnhance.Brightness),
        (color.adjust_contrast, ImageEnhance.Contrast),
        (color.adjust_saturation, ImageEnhance.Color),
    ],
)
def test_blends_are_those_of_pil(function, enhancer, factor):
    """To the roundings of PIL: of the gray image, of its mean and of the result, each times the factor's distance."""
    for image in pictures():
        found = np.asarray(function(jnp.asarray(image, jnp.float32).transpose(2, 0, 1), jnp.asarray(factor)))
        expected = np.asarray(enhancer(Image.fromarray(image)).enhance(factor), np.float32)
        assert np.abs(found.transpose(1, 2, 0) - expected).max() <= 1.0 + abs(1.0 - factor)


@pytest.mark.parametrize("turns", [-0.5, -0.1, 0.0, 0.3])
def test_hue_is_that_of_colorsys(turns):
    image = np.concatenate(pictures()).reshape(-1, 3)[:300]
    found = np.asarray(color.adjust_hue(jnp.asarray(image, jnp.float32).T[:, None], jnp.asarray(turns)))[:, 0].T
    hsv = [colorsys.rgb_to_hsv(*pixel) for pixel in image / 255.0]
    expected = 255.0 * np.array([colorsys.hsv_to_rgb((h + turns) % 1.0, s, v) for h, s, v in hsv])
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_changes_follow_the_order():
    image = jnp.asarray(pictures()[0], jnp.float32).transpose(2, 0, 1)
    names, amount = ["brightness", "contrast", "hue"], jnp.asarray([1.8, 1.7, 0.2])
    results = []
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        expected = image
        for i in order:
            expected = color.CHANGES[names[i]](expected, amount[i])
        found = color._changed(names, image, jnp.asarray(order), amount)
        np.testing.assert_allclose(found, expected, atol=1e-3)
        results.append(np.asarray(found))
    assert np.abs(results[0] - results[2]).max() > 1.0


@pytest.mark.parametrize(("strength", "low"), [(0.4, 0.6), (1.2, 0.0)])
def test_jitter_draws_its_factors(strength, low):
    """On one color: the factor of the brightness is uniform in max(0, 1 - x)..1 + x; 8 of 10 images are changed."""
    flat = np.full((2000, 1, 1, 3), 100.0, np.float32)
    found = changed(color.color_jitter(strength, 0.0, 0.0, 0.0), flat)[:, 0, 0, 0] / 100.0
    factor = found[found != 1.0]
    assert scipy.stats.binomtest(len(factor), 2000, 0.8).pvalue > 1e-3
    assert scipy.stats.kstest(factor, "uniform", (low, 1.0 + strength - low)).pvalue > 1e-3


def test_jitter_draws_its_hues():
    flat = np.broadcast_to(np.array([200.0, 100.0, 50.0], np.float32), (1000, 1, 1, 3))
    found = changed(color.color_jitter(0.0, 0.0, 0.0, 0.1, 1.0), flat)[:, 0, 0] / 255.0
    start = colorsys.rgb_to_hsv(200 / 255, 100 / 255, 50 / 255)[0]
    turned = np.array([colorsys.rgb_to_hsv(*map(float, pixel))[0] for pixel in found]) - start
    turned = (turned + 0.5) % 1.0 - 0.5
    assert scipy.stats.kstest(turned, "uniform", (-0.1, 0.2)).pvalue > 1e-3


def test_jitter_of_everything():
    """uint8 in and out, in range, every image its own; gray ones stay gray and ignore saturation and hue."""
    same = np.repeat(pictures()[1:2], 16, axis=0)
    found = changed(color.color_jitter(probability=1.0), same)
    assert found.dtype == np.uint8
    assert len({one.tobytes() for one in found}) == 16
    single = same[..., :1]
    np.testing.assert_array_equal(changed(color.color_jitter(0.0, 0.0, 0.4, 0.1, 1.0), single), single)
    assert (changed(color.color_jitter(probability=1.0), single) != single).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("part", [color.grayscale(1.0), color.gaussian_blur(1.0), color.color_jitter(probability=1.0)])
def test_double_precision(part):
    """Arithmetic stays float32, the draws are the same: so is the image, to a rounding."""
    image = pictures(4)
    expected = changed(part, image).astype(int)
    with double_precision():
        assert np.abs(changed(part, image) - expected).max() <= 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: color.grayscale(1.1), "^grayscale: probability"),
        (lambda: color.gaussian_blur(sigma=(0.0, 1.0)), "sigma must be above 0"),
        (lambda: color.gaussian_blur(sigma=(2.0, 1.0)), "the smaller one first"),
        (lambda: color.gaussian_blur(kernel_size=4), "kernel_size odd or 0"),
        (lambda: color.color_jitter(hue=0.6), r"hue in 0\.\.0\.5"),
        (lambda: color.color_jitter(contrast=-0.1), "at least 0"),
        (lambda: changed(color.gaussian_blur(kernel_size=31), pictures()), "too large for 10 pixels"),
        (lambda: changed(color.color_jitter(), pictures()[..., :2]), "1 or 3 channels, got 2"),
        (lambda: changed(color.grayscale(), pictures()[..., :2]), "1 or 3 channels, got 2"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_lighting():
    """One color for all pixels of an image, along ImageNet's principal colors, rounded and cut off for uint8."""
    from jaxaug.augment import lighting

    image = jnp.full((4000, 2, 2, 3), 100.0)
    batch = Batch(image, jnp.zeros(4000, jnp.int32), jnp.arange(4000))
    found = lighting(0.1)(jax.random.key(0), batch, {}, None).image
    assert (found == found[:, :1, :1]).all()
    color = np.asarray(found[:, 0, 0] - 100.0) / 255
    vectors = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
    values = np.array([0.2175, 0.0188, 0.0045])
    np.testing.assert_allclose((color @ vectors).std(0), 0.1 * values, rtol=0.05, atol=2e-5)
    whole = lighting(0.1)(jax.random.key(0), batch.replace(image=image.astype(jnp.uint8)), {}, None).image
    np.testing.assert_array_equal(whole, np.clip(np.round(found), 0, 255))
    for make, message in ((lambda: lighting(-1.0), "deviation must be"), (lambda: gray(), "must have 3 channels")):
        with pytest.raises(UsageError, match=message):
            make()


def gray():
    from jaxaug.augment import lighting

    batch = Batch(jnp.zeros((1, 2, 2, 1)), jnp.zeros(1, jnp.int32), jnp.arange(1))
    return lighting()(jax.random.key(0), batch, {}, None)
