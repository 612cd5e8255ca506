"""Draws with derivatives in probabilities: gates, branches, levels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.policy_offsets import BRANCHES, GATES, noise, random_offsets

from jaxaug.augment.policy_transform import execution_settings
from jaxaug.ops.execute import execute
from jaxaug.ops.records import Sample
from jaxaug.ops.warp import visibility_after
from jaxaug.policies import autodo, presets
from jaxaug.policies.learnable import is_gated, learned_policy, straight_through_gate
from jaxaug.policies.policy import make_policy
from jaxaug.policies.sampling import sample, sample_from


def test_a_gate_in_expectation():
    """It is open with its probability; its derivative is the mean slope of the relaxed variable, also far out."""
    uniform = (np.arange(200_000) + 0.5) / 200_000
    logistic = jnp.asarray(np.log(uniform / (1 - uniform)), jnp.float32)
    for logit in (-1.4, 0.0, 2.0):
        value, slope = jax.vmap(jax.value_and_grad(straight_through_gate), (None, 0))(logit, logistic)
        assert set(np.asarray(value).tolist()) <= {0.0, 1.0}
        assert np.mean(value) == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-4)
        # The integral of s (1 - s) over the noise: d/dx of E[sigmoid(x + noise)] = e^x (e^x - 1 - x) / (e^x - 1)^2.
        step, odds = 1e-4, np.exp
        mean = [odds(x) * (odds(x) - 1 - x) / (odds(x) - 1) ** 2 for x in (logit + step + 1e-9, logit - step + 1e-9)]
        expected = 1 / 6 if logit == 0 else (mean[0] - mean[1]) / (2 * step)
        assert np.mean(slope) == pytest.approx(expected, abs=1e-4)
    for logit in (-100.0, 100.0, -np.inf, np.inf):
        value, slope = jax.value_and_grad(straight_through_gate)(jnp.float32(logit), jnp.float32(0.3))
        assert (value, slope) == ((1.0, 0.0) if logit > 0 else (0.0, 0.0))


def test_what_a_gate_acts_on():
    """Values where they are smooth, so that moves still fold; else the effect."""
    for op, by_value in (
        ("Rotate", True),
        ("Color", True),
        ("Invert", False),
        ("CutoutAbs", False),
        ("RandCrop", False),
    ):
        policy = make_policy([[[(op, 0.5, 0.5), ("Identity", 0, 0.5)]]])
        drawn = jax.eval_shape(lambda policy=policy: sample(jax.random.key(0), policy, jnp.arange(4), relaxed=True))
        assert (drawn.gate is None) == by_value, op
        assert is_gated(policy)
    assert not is_gated(BRANCHES)
    always = jax.eval_shape(
        lambda: sample(jax.random.key(0), make_policy([[[("Rotate", 0.9, 1.0)]]]), jnp.arange(4), relaxed=True)
    )
    assert always.gate is None


def test_closed_gates_leave_everything():
    """Image, label map and visibility, where the op itself would have moved them."""
    chance = noise(2, 2)._replace(normal=None, logistic=np.float32([[-9.0, -9.0], [-9.0, 9.0]]))
    image = jnp.asarray(np.random.default_rng(0).uniform(0, 255, (2, 1, 5, 6)), jnp.float32)
    label, before = image[:, 0].astype(jnp.int32), image[:, 0] / 255

    @functools.partial(jax.jit, static_argnums=0)
    def after(scheduler):
        drawn, settings = (
            sample_from(chance, GATES, jnp.arange(2), relaxed=True),
            execution_settings(GATES, False, scheduler),
        )
        found = execute(settings, drawn, Sample(image, label))
        return found.image[:, 0], found.label, visibility_after(settings, drawn, ("Flip",), (1, 5, 6), before)

    for scheduler in ("map", "fused"):
        for found, wanted in zip(after(scheduler), (image[:, 0], label, before), strict=True):
            np.testing.assert_allclose(found[0], wanted[0])
            np.testing.assert_allclose(found[1], wanted[1, :, ::-1], rtol=1e-6)


def test_branches_take_the_derivative_of_their_probability():
    """d gate / d logits = 1[r = k] - p_k, its value 1, so that a sum over the branches, each as often as it is likely,
    of slope times effect is the derivative of the mean effect; two sub-policies keep their mix."""
    policy = make_policy([[[("Invert", 0, 0.5), ("Rotate", 0.9, 0.3), ("Identity", 0, 0.2)]]] * 2, shares=[3, 1])
    chance = noise(1, 40)._replace(normal=None, logistic=None)

    def gates(logits):
        drawn = sample_from(chance, policy.replace(logits=logits), jnp.arange(40), relaxed=True)
        return drawn.gate[:, 0], (drawn.gate, drawn.op[:, 0])

    slopes, (gate, op) = jax.jit(jax.jacrev(gates, has_aux=True))(jnp.asarray(policy.logits, jnp.float32))
    np.testing.assert_array_equal(gate, 1)
    p = np.asarray([0.5, 0.3, 0.2])
    for slope, name in zip(np.asarray(slopes)[:, :, 0], np.asarray(policy.names)[np.asarray(op)], strict=True):
        r = ["Invert", "Rotate", "Identity"].index(name)
        used = np.abs(slope).sum(-1) > 0
        assert used.sum() == 1
        np.testing.assert_allclose(slope[used][0], np.eye(3)[r] - p, atol=1e-6)


def test_levels_reach_the_value():
    """value = neutral + b z (high - neutral) sigmoid(logit(level) + offset), in the row's own offset."""
    policy, offsets, chance = presets.affine(0.6, 0.3), random_offsets(presets.affine(), 5), noise(7, 5)

    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def total(level):
        own = learned_policy(policy, {**offsets, "level": level})
        value = sample_from(chance, own, jnp.arange(5), relaxed=True).value
        return jnp.sum(value), value

    (_, value), slope = total(offsets["level"])
    low, high = np.asarray(list(autodo.AFFINE.values())).T
    level = 1 / (1 + np.exp(-(np.log(0.3 / 0.7) + np.asarray(offsets["level"])[:, 0, :, 0])))
    is_open = np.asarray(offsets["logits"])[:, 0, :, 0] + np.log(0.6 / 0.4) + chance.logistic > 0
    expected = low + is_open * chance.normal * (high - low) * level
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(slope[:, 0, :, 0], (expected - low) * (1 - level), rtol=1e-4, atol=1e-5)
