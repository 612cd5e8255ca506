"""Inversion of features that are known functions of an image."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug.analysis.feature_inversion import invert_features

SHAPE = (2, 6, 6, 1)


def means(images):
    """[B 9]: of squares of four pixels."""
    return images.reshape(len(images), 3, 2, 3, 2).mean((2, 4)).reshape(len(images), -1) / 255


@pytest.fixture(scope="module")
def start():
    return np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)


@pytest.fixture(scope="module")
def targets():
    return np.random.default_rng(1).uniform(0.1, 0.9, (2, 9)).astype(np.float32)


def test_the_features_are_those_asked_for(start, targets):
    found = invert_features(means, targets, start, steps=100, rate=0.3, variation=0.0)
    assert (found.images.shape, found.images.min() >= 0, found.images.max() <= 255) == (SHAPE, True, True)
    assert found.distance.max() < 1e-4 < found.before.min()
    expected = np.sum((np.asarray(means(start / 255 * 255.0)) - targets) ** 2, 1) / np.sum(targets**2, 1)
    np.testing.assert_allclose(found.before, expected, rtol=1e-4)
    np.testing.assert_allclose(means(found.images), targets, atol=0.02)


def test_variation_makes_it_smooth(start, targets):
    """What the features do not ask for is what the prior decides on."""

    def rough(images):
        return np.abs(np.diff(images, axis=1)).mean() + np.abs(np.diff(images, axis=2)).mean()

    plain, smooth = (
        invert_features(means, targets, start, steps=100, rate=0.3, variation=weight).images for weight in (0.0, 0.1)
    )
    assert rough(smooth) < 0.6 * rough(plain)


def test_a_start_that_fits_stays(start):
    """Pixels of 0 and 255 are moved inside, and no further."""
    found = invert_features(means, np.asarray(means(jnp.asarray(start, jnp.float32))), start, steps=5, variation=0.0)
    assert np.abs(found.images - start).max() < 12
    assert found.before.max() < 1e-10


def test_shifts_change_what_is_looked_at(start, targets):
    still, moved = (invert_features(means, targets, start, steps=10, shift=s).images for s in (0, 2))
    assert np.abs(still - moved).max() > 1
