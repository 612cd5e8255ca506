"""Closed forms of the losses that a search may change: weights, soft labels, power and strength."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.isda_oracle import KINDS
from helpers.loss_inputs import random_case

from jaxaug import losses
from jaxaug.core.errors import UsageError
from jaxaug.core.types import MetaParams, Progress
from jaxaug.losses import _targets, _weights
from jaxaug.losses._isda import isda
from jaxaug.losses._soft_labels import learned_soft_labels, low_rank_basis
from jaxaug.losses._targets import kl_divergence, learned_targets, soft_targets
from jaxaug.losses._weights import learned_weights


def after(transform, inputs, own=None, shared=None):
    inputs = inputs.replace(meta=shared, batch=inputs.batch.replace(per_example=own))
    return transform.apply(transform.init(inputs.logits.shape[-1], inputs.output.features.shape[-1]), inputs)[1]


@pytest.mark.parametrize("normalize", ["batch", "none"])
def test_weights(normalize):
    """softplus(raw) / log 2; a common scale of all weights gets no gradient under "batch", and does under "none"."""
    inputs = random_case()[0]
    raw = np.linspace(-3.0, 2.0, 6)
    w = np.log1p(np.exp(raw)) / np.log(2)
    np.testing.assert_allclose(_weights.learned_weight(jnp.asarray(raw)), w, rtol=1e-6)

    @jax.jit
    @functools.partial(jax.grad, has_aux=True)
    def weighted(raw):
        result = after(learned_weights(normalize), inputs, {"weight": raw})
        return losses.mean_loss(result), result.weight

    gradient, weight = weighted(raw)
    np.testing.assert_allclose(weight, w / w.mean() if normalize == "batch" else w, rtol=1e-6)
    # raw moves by this where every w grows by the same factor.
    direction = w * np.log(2) * (1 + np.exp(-raw))
    assert abs(gradient).max() > 0.01
    assert (abs(np.vdot(gradient, direction)) < 1e-6) == (normalize == "batch")


def test_weights_that_all_vanish():
    """A batch whose weights have all become nothing has no NaN in its loss or gradient."""
    inputs, raw = random_case()[0], jnp.full(6, -200.0)
    both = jax.value_and_grad(lambda raw: losses.mean_loss(after(learned_weights(), inputs, {"weight": raw})))
    assert all(np.isfinite(x).all() for x in jax.jit(both)(raw))


def test_targets():
    """softmax of prior and offset, any leading axes, sum 1; it is what the transform gives the loss."""
    rng = np.random.default_rng(0)
    own, label = rng.normal(size=(2, 6, 4)) * 3, rng.integers(0, 4, (2, 6))
    scores = np.exp(np.log(1 - 4 + 4 / 0.2) * np.eye(4)[label] + own)
    expected = scores / scores.sum(-1, keepdims=True)
    expected[1, 2] = 0
    label[1, 2] = -1
    soft = learned_soft_labels(jnp.asarray(own, jnp.float32), jnp.asarray(label), 4, 0.2)
    np.testing.assert_allclose(soft, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(soft.sum(-1), label >= 0, rtol=1e-6)
    inputs = random_case()[0]
    inputs = inputs.replace(batch=inputs.batch.replace(label=jnp.asarray(label[1])), targets=inputs.targets * 0.5)
    given = {"soft": jnp.asarray(own[1], jnp.float32)}
    np.testing.assert_array_equal(after(learned_targets(0.2), inputs, given).targets, soft[1])


def test_low_rank():
    """With an invertible basis any offset can be had, with the same loss and its gradient seen through the basis."""
    inputs, basis = random_case()[0], low_rank_basis(4, 4)
    full = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    own = full @ np.linalg.inv(basis)

    @jax.jit
    @jax.value_and_grad
    def low(own):
        return losses.mean_loss(after(learned_targets(rank=4), inputs, {"soft": own}, {"soft_basis": basis}))

    of_all = jax.value_and_grad(lambda own: losses.mean_loss(after(learned_targets(), inputs, {"soft": own})))
    expected, (loss, gradient) = jax.jit(of_all)(full), low(own)
    np.testing.assert_allclose(loss, expected[0], rtol=1e-5)
    np.testing.assert_allclose(gradient, expected[1] @ basis.T, rtol=1e-4, atol=1e-6)
    assert (abs(low(jnp.zeros((6, 4)))[1]).max(1) > 1e-4).all()


@pytest.mark.parametrize(("rank", "classes"), [(2, 3), (3, 10), (16, 200)])
def test_every_class_can_be_reached(rank, classes):
    """The basis has a direction of its own for each class, strong enough to beat the row's label."""
    basis = low_rank_basis(rank, classes)
    assert basis.shape == (rank, classes)
    np.testing.assert_allclose(jnp.linalg.norm(basis, axis=0), 1, rtol=1e-5)
    np.testing.assert_array_equal(basis, learned_targets(rank=rank).meta(classes).shared["soft_basis"])
    own = 2e3 * basis.T
    soft = learned_soft_labels(own, jnp.zeros(classes, jnp.int32), classes, 0.1, basis)
    np.testing.assert_array_equal(jnp.argmax(soft, -1), jnp.arange(classes))


@pytest.mark.parametrize("offset", [0.0, 0.7])
def test_power(offset):
    """The loss of power * exp(offset), and in the offset a gradient of power times that in the power."""
    inputs = random_case()[0]
    inputs = inputs.replace(batch=inputs.batch.replace(visibility=inputs.batch.visibility.at[0].set(1.0)))

    def learned(offset):
        return losses.mean_loss(after(soft_targets(2.0, learned=True), inputs, shared={"softening": offset}))

    def given(power):
        p = _targets.confidence(inputs.batch.visible_fraction, 4, power=power)[:, None]
        soft = p * inputs.targets + (1 - p) * (1 - inputs.targets) / 3
        return jnp.mean(p[:, 0] * losses.cross_entropy(soft, inputs.logits))

    power = 2.0 * np.exp(offset)

    @jax.jit
    def all_three(offset, traced_power):
        fixed = losses.mean_loss(after(soft_targets(power), inputs))
        return jax.value_and_grad(learned)(offset), jax.value_and_grad(given)(traced_power), fixed

    (value, slope), expected, fixed = all_three(offset, power)
    np.testing.assert_allclose([value, slope], [expected[0], power * expected[1]], rtol=1e-5)
    np.testing.assert_allclose(value, fixed, rtol=1e-5)
    assert abs(slope) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_strength(kind):
    """The same for lambda_0: the loss of strength * exp(offset), of which the share of the training is a factor too."""
    inputs = random_case()[0]

    @jax.jit
    def both(offset, step):
        def learned(offset, step):
            begun = inputs.replace(progress=Progress(step, step))
            return losses.mean_loss(
                after(isda(0.5, kind, schedule="step", learned=True), begun, None, {"strength": offset})
            )

        fixed = isda(0.5 * np.exp(0.7), kind, schedule="step")
        return jax.value_and_grad(learned, (0, 1))(offset, step), losses.mean_loss(after(fixed, inputs))

    (value, (slope, of_step)), expected = both(0.7, 0.5)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(slope, 0.5 * of_step, rtol=1e-5)
    assert abs(slope) > 1e-3


@pytest.mark.parametrize(("kind", "classes"), [("full", 4), ("full", 9), ("diagonal", 9)])
def test_mixed_derivatives_of_isda(kind, classes):
    """d/dmeta <d/dkernel loss, v> under jit by every order of forward and reverse mode: a search may take any."""
    inputs = random_case(classes=classes)[0]
    chained = losses.chain(isda(0.5, kind, learned=True), learned_weights())
    own, v = jnp.linspace(-1.0, 1.0, 6), jnp.asarray(np.random.default_rng(2).normal(size=(3, classes)), jnp.float32)

    def loss(kernel, meta):
        out = inputs.output.replace(logits=inputs.output.features @ kernel, kernel=kernel)
        begun = inputs.replace(output=out, logits=out.logits)
        return losses.mean_loss(after(chained, begun, {"weight": meta[0]}, {"strength": meta[1]}))

    @jax.jit
    def every_order(kernel, meta):
        return (
            jax.jvp(lambda k: jax.grad(loss, 1)(k, meta), (kernel,), (v,))[1],
            jax.grad(lambda h: jnp.vdot(jax.grad(loss)(kernel, h), v))(meta),
            jax.grad(lambda h: jax.jvp(lambda k: loss(k, h), (kernel,), (v,))[1])(meta),
        )

    first, *others = every_order(inputs.output.kernel, (own, jnp.asarray(0.3)))
    assert abs(first[1]) > 1e-4
    for other in others:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), first, other)


def test_declared():
    """What is not learned is not declared; a chain from a config declares what its transforms do."""
    for transform in (soft_targets(), isda(), kl_divergence(True)):
        assert transform.meta is None or transform.meta(4) == MetaParams()
    slots = (
        {"name": "learned_targets", "rank": 3},
        {"name": "soft_targets", "learned": True},
        {"name": "isda", "learned": True},
        "learned_weights",
    )
    meta = losses.create(slots).meta(10)
    assert jax.tree.map(jnp.shape, (meta.per_example, meta.shared)) == (
        {"soft": (3,), "weight": ()},
        {"soft_basis": (3, 10), "softening": (), "strength": ()},
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: learned_weights("mean"), "learned_weights: .*'batch' or 'none', got 'mean'"),
        (lambda: learned_targets(0.0), r"learned_targets.*smoothing must be in \(0, 1\)"),
        (lambda: learned_targets(1.0), r"learned_targets.*smoothing must be in \(0, 1\)"),
        (lambda: learned_targets(rank=-1), "learned_targets.*rank at least 0"),
        (lambda: learned_targets(rank=5).meta(4), "rank is 5, but there are 4 classes"),
        (lambda: isda(0.0, learned=True), "isda: .*strength must be above 0"),
    ],
)
def test_mistakes(build, message):
    with pytest.raises(UsageError, match=message):
        build()
