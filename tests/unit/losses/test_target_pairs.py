"""Softened targets together with each other transform, against plain NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.loss_inputs import HALF, loss_and_gradient, random_case

from jaxaug import losses
from jaxaug.losses._feature_statistics import FeatureStatistics
from jaxaug.losses._isda import isda
from jaxaug.losses._targets import kl_divergence, label_smoothing, mixed_targets, soft_targets
from jaxaug.losses._weights import focal


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def test_soften_then_smooth():
    inputs, soft, p, logits = random_case()
    loss, gradient, after = loss_and_gradient(inputs, soft_targets(), label_smoothing(0.2))
    expected = 0.8 * soft + 0.2 / 4
    np.testing.assert_allclose(after.targets, expected, rtol=1e-5)
    np.testing.assert_allclose(loss, np.mean(p * -(expected * log_softmax(logits)).sum(-1)), rtol=1e-5)
    closed = p[:, None] * (np.exp(log_softmax(logits)) - expected) / 6
    np.testing.assert_allclose(gradient, closed, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("weight", ["sample", "batch", "none"])
def test_soften_then_mixed(weight):
    """Each of the two losses with the weight of its own row, also where the weights differ."""
    inputs, soft, p, logits = random_case(mix=0.3)
    loss, gradient, _ = loss_and_gradient(inputs, soft_targets(weight=weight), mixed_targets())
    own = {"sample": p, "batch": np.full(6, p.mean()), "none": np.ones(6)}[weight]
    values = -(soft * log_softmax(logits)).sum(-1)
    others = -(np.roll(soft, 1, axis=0) * log_softmax(logits)).sum(-1)
    np.testing.assert_allclose(loss, np.mean(0.3 * own * values + 0.7 * np.roll(own, 1) * others), rtol=1e-5)
    probability = np.exp(log_softmax(logits))
    pulls = 0.3 * own[:, None] * (probability - soft)
    pulls += 0.7 * np.roll(own, 1)[:, None] * (probability - np.roll(soft, 1, axis=0))
    np.testing.assert_allclose(gradient, pulls / 6, rtol=1e-4, atol=1e-6)


def test_soften_then_focal():
    inputs, soft, p, logits = random_case()
    loss, gradient, _ = loss_and_gradient(inputs, soft_targets(), focal(2.0))
    logp = log_softmax(logits)
    miss = 1 - (soft * np.exp(logp)).sum(-1)
    np.testing.assert_allclose(loss, np.mean(p * miss**2 * -(soft * logp).sum(-1)), rtol=1e-5)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("mix", [None, 0.8])
def test_soften_then_isda(mix):
    """The class of a softened row stays its own; the shift is that of the largest target."""
    inputs, soft, p, logits = random_case(mix=mix)
    half = np.random.default_rng(1).normal(size=(4, 3, 3))
    covariance = np.einsum("kde,kfe->kdf", half, half)
    known = FeatureStatistics(jnp.ones(4), jnp.zeros((4, 3)), jnp.asarray(covariance, jnp.float32))
    transforms = (soft_targets(), mixed_targets(), isda(0.5, schedule="constant", order="use_then_update"))
    loss, gradient, after = loss_and_gradient(
        inputs, *transforms, state={"soft_targets": (), "mixed_targets": (), "isda": known}
    )
    share = 1.0 if mix is None else mix
    weight = share * p + (1 - share) * np.roll(p, 1)
    targets = share * p[:, None] * soft + (1 - share) * np.roll(p[:, None] * soft, 1, axis=0)
    targets /= weight[:, None]
    labels = targets.argmax(-1)
    np.testing.assert_array_equal(labels, inputs.batch.label)
    kernel = np.asarray(inputs.output.kernel, np.float64).T
    difference = kernel[None] - kernel[labels][:, None]
    augmented = logits + 0.25 * np.einsum("bkd,bde,bke->bk", difference, covariance[labels], difference)
    np.testing.assert_allclose(after.logits, augmented, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss, np.mean(weight * -(targets * log_softmax(augmented)).sum(-1)), rtol=1e-5)
    assert np.isfinite(gradient).all()


def test_mixed_without_a_label():
    """A partner without a label takes its share of the weight; a row without one stays 0 whatever its partner says."""
    inputs = random_case(mix=0.3)[0]
    label = jnp.asarray([-1, 1, 2, -1, -1, 3])
    inputs = losses.cross_entropy_inputs(inputs.output, inputs.batch.replace(label=label), {}, HALF)
    after = loss_and_gradient(inputs, mixed_targets(), kl_divergence())[2]
    np.testing.assert_allclose(after.weight, [0, 0.3, 1, 0, 0, 0.3], rtol=1e-6)
    hard = np.eye(4)
    expected = [0 * hard[0], hard[1], 0.3 * hard[2] + 0.7 * hard[1], 0 * hard[0], 0 * hard[0], hard[3]]
    np.testing.assert_allclose(after.targets, expected, rtol=1e-6)
    np.testing.assert_array_equal(after.extra[np.asarray(label) < 0], 0)
