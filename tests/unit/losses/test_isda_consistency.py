"""ISDA on rows without a label: its bound by the definition in float64, what it bounds, and what it leaves alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug import losses
from jaxaug.losses import FeatureStatistics

ROWS, CLASSES, DEPTH = 9, 5, 6


@pytest.fixture(scope="module")
def case():
    """(features, kernel, bias, full covariances) of random numbers."""
    random = np.random.default_rng(0)
    factors = random.normal(size=(CLASSES, DEPTH, DEPTH))
    covariance = factors @ factors.transpose(0, 2, 1) / DEPTH
    kernel = random.normal(size=(DEPTH, CLASSES)) + 3.0  # a common offset moves nothing
    return random.normal(size=(ROWS, DEPTH)), kernel, random.normal(size=CLASSES), covariance


def of(covariance, diagonal):
    given = np.diagonal(covariance, axis1=1, axis2=2) if diagonal else covariance
    return FeatureStatistics(jnp.ones(CLASSES), jnp.zeros((CLASSES, DEPTH)), jnp.asarray(given, jnp.float32))


@pytest.mark.parametrize("diagonal", [False, True])
def test_the_definition(case, diagonal):
    features, kernel, bias, covariance = case
    logits = features @ kernel + bias
    if diagonal:
        covariance = np.stack([np.diag(np.diag(one)) for one in covariance])
    said = np.exp(logits - logits.max(1, keepdims=True))
    said /= said.sum(1, keepdims=True)
    expected = np.zeros(ROWS)
    for row in range(ROWS):
        spread = covariance[said[row].argmax()]
        for k in range(CLASSES):
            apart = kernel - kernel[:, [k]]
            exponent = logits[row] - logits[row, k] + 0.5 * 0.7 * np.einsum("dj,de,ej->j", apart, spread, apart)
            expected[row] += said[row, k] * (np.log(np.exp(exponent).sum()) + np.log(said[row, k]))
    arrays = jnp.asarray(logits, jnp.float32), jnp.asarray(kernel, jnp.float32)
    found = jax.jit(losses.isda_consistency)(of(covariance, diagonal), *arrays, 0.7)
    np.testing.assert_allclose(found, expected, rtol=2e-5)


def test_it_bounds_the_divergence(case):
    """Of 20,000 draws of augmented features; and more augmentation has a larger bound."""
    features, kernel, bias, covariance = case
    logits = features @ kernel + bias
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    random, divergence = np.random.default_rng(1), np.zeros(ROWS)
    for row in range(ROWS):
        noise = random.multivariate_normal(np.zeros(DEPTH), 0.3 * covariance[log_p[row].argmax()], 20_000)
        drawn = (features[row] + noise) @ kernel + bias
        drawn -= np.log(np.exp(drawn - drawn.max(1, keepdims=True)).sum(1, keepdims=True)) + drawn.max(1, keepdims=True)
        divergence[row] = (np.exp(log_p[row]) * (log_p[row] - drawn)).sum(1).mean()
    arrays = jnp.asarray(logits, jnp.float32), jnp.asarray(kernel, jnp.float32)
    bounds = [np.asarray(losses.isda_consistency(of(covariance, False), *arrays, s)) for s in (0.3, 0.6)]
    assert (bounds[0] > divergence * 0.98).all()
    assert (divergence > 0.001).all()
    assert (bounds[1] > bounds[0]).all()


def test_without_augmentation_nothing_is_asked(case):
    """The bound and its gradient are 0; with it the kernel is pulled, the statistics are not."""
    features, kernel, bias, covariance = case
    logits, kernel = jnp.asarray(features @ kernel + bias, jnp.float32), jnp.asarray(kernel, jnp.float32)

    @jax.jit
    def total(covariance, logits, kernel, strength):
        given = of(np.zeros((CLASSES, DEPTH, DEPTH)), False).replace(covariance=covariance)
        return jnp.sum(losses.isda_consistency(given, logits, kernel, strength))

    full = jnp.asarray(covariance, jnp.float32)
    slopes = jax.grad(total, argnums=(0, 1, 2))
    assert float(total(full, logits, kernel, 0.0)) == pytest.approx(0, abs=1e-5)
    for one in slopes(full, logits, kernel, 0.0):
        np.testing.assert_allclose(one, 0, atol=1e-5)
    of_covariance, of_logits, of_kernel = slopes(full, logits, kernel, 0.5)
    assert not np.asarray(of_covariance).any()
    assert np.abs(of_logits).max() > 0.01
    assert np.abs(of_kernel).max() > 0.01
    np.testing.assert_allclose(of_logits.sum(axis=1), 0, atol=1e-5)
