"""The family of loss transforms: one suite over every member found in the folder, then each one's own values."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict

from jaxaug import losses
from jaxaug.errors import UsageError
from jaxaug.find import find, names
from jaxaug.losses.isda import isda
from jaxaug.losses.targets import smooth
from jaxaug.losses.weights import focal
from jaxaug.types import Batch, LossTransform, Outputs, Progress


def terms_of(seed=0, rows=6, classes=4, depth=3, labels=None):
    rng = np.random.default_rng(seed)
    features = jnp.asarray(rng.normal(size=(rows, depth)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(depth, classes)), jnp.float32)
    bias = jnp.zeros(classes)
    out = Outputs(features, features @ kernel + bias, kernel, bias)
    labels = jnp.asarray(rng.integers(0, classes, rows) if labels is None else labels, jnp.int32)
    batch = Batch(features, labels, jnp.arange(rows))
    return losses.begin(out, batch, {}, Progress(jnp.asarray(0.5), jnp.asarray(0.5)))


MEMBERS = [
    name
    for name in names("losses")
    if "." in name and inspect.signature(find("losses", name)).return_annotation in (LossTransform, "LossTransform")
]


def test_members_are_found():
    assert {"isda.isda", "targets.smooth", "targets.soften", "targets.mixed", "weights.focal"} <= set(MEMBERS)
    assert {"targets.learned_targets", "targets.divergence", "weights.learned_weights"} <= set(MEMBERS)


@pytest.mark.parametrize("name", MEMBERS)
def test_every_member(name):
    """Default options; pure; under jit; shapes kept; rows without a label change no other row and no loss."""
    transform = find("losses", name)()
    labels = [0, 1, 2, 3, -1, -1]
    terms = terms_of(labels=labels)
    state = transform.init(4, 3)
    apply = jax.jit(transform.apply)
    after, result = apply(state, terms)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    for field in ("logits", "targets", "weight", "extra"):
        assert getattr(result, field).shape == getattr(terms, field).shape
        assert getattr(result, field).dtype == jnp.float32
    np.testing.assert_array_equal(result.targets[4:], 0)
    np.testing.assert_array_equal(result.weight[4:], 0)
    np.testing.assert_array_equal(result.extra[4:], 0)
    few = jax.tree.map(lambda x: x[:4] if x.ndim and len(x) == 6 else x, terms)
    np.testing.assert_allclose(losses.reduce(transform.apply(state, few)[1]), losses.reduce(result), rtol=1e-5)
    again = apply(state, terms)
    jax.tree.map(np.testing.assert_array_equal, again, (after, result))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), amount=st.floats(0, 0.9), over=st.sampled_from(["all", "others"]))
def test_smooth(seed, amount, over):
    """Mass is kept; the own class ends at 1 - s + s / K, or exactly 1 - s."""
    terms = terms_of(seed)
    targets = smooth(amount, over=over).apply((), terms)[1].targets
    np.testing.assert_allclose(targets.sum(-1), 1, rtol=1e-5)
    own = targets[np.arange(6), terms.batch.label]
    np.testing.assert_allclose(own, 1 - amount + (amount / 4 if over == "all" else 0), rtol=1e-5)
    other = targets[np.arange(6), (terms.batch.label + 1) % 4]
    np.testing.assert_allclose(other, amount / (4 if over == "all" else 3), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal(gamma):
    """mean (1 - p)^gamma (-log p), value and gradient against the closed form."""
    terms = terms_of()
    labels = np.asarray(terms.batch.label)

    def ours(logits):
        changed = terms.replace(logits=logits)
        return losses.reduce(focal(gamma).apply((), changed)[1])

    def closed(logits):
        logp = jax.nn.log_softmax(logits)[np.arange(6), labels]
        return jnp.mean((1 - jnp.exp(logp)) ** gamma * -logp)

    np.testing.assert_allclose(ours(terms.logits), closed(terms.logits), rtol=1e-5)
    np.testing.assert_allclose(jax.grad(ours)(terms.logits), jax.grad(closed)(terms.logits), rtol=1e-4, atol=1e-6)


def test_focal_of_a_sure_row_is_finite():
    terms = terms_of(labels=[0] * 6)
    sure = terms.replace(logits=jnp.zeros((6, 4)).at[:, 0].set(200.0))
    value, gradient = jax.value_and_grad(lambda x: losses.reduce(focal(0.5).apply((), sure.replace(logits=x))[1]))(
        sure.logits
    )
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_cross_entropy_counts_rows_with_a_label():
    terms = terms_of(labels=[0, 1, -1, 2, -1, 3])
    known = np.array([0, 1, 3, 5])
    logp = jax.nn.log_softmax(terms.logits)
    expected = -logp[known, terms.batch.label[known]].mean()
    np.testing.assert_allclose(losses.reduce(terms), expected, rtol=1e-6)


def test_chain_order_and_state():
    """Targets first, then ISDA on the softened targets, then the weight of the augmented logits."""
    terms = terms_of()
    members = (smooth(0.2), isda(1.0, schedule="constant"), focal(1.0))
    chained = losses.chain(*members)
    state, result = chained.apply(chained.init(4, 3), terms)
    assert len(state) == 3
    by_hand = terms
    for member in members:
        by_hand = member.apply(member.init(4, 3), by_hand)[1]
    jax.tree.map(np.testing.assert_array_equal, result, by_hand)


def test_build():
    config = ConfigDict(
        {"chain": ("targets.smooth", "isda.isda"), "smooth": {"amount": 0.3}, "isda": {"strength": 0.0}}
    )
    chained = losses.build(config)
    result = chained.apply(chained.init(4, 3), terms_of())[1]
    np.testing.assert_allclose(result.targets.max(-1), 0.7 + 0.3 / 4, rtol=1e-6)
    assert losses.build(ConfigDict({"chain": ()})).init(4, 3) == ()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"chain": ("isda.isdaa",)}, "did you mean 'isda.isda'"),
        ({"chain": ("issda.isda",)}, "did you mean 'isda.isda'"),
        ({"chain": ("isda.isda",), "isda": {"strenght": 1.0}}, "did you mean 'strength'"),
        ({"chain": ("targets.smooth",), "smooth": {"amount": 1.5}}, "amount must be"),
        ({"chain": ("weights.focal",), "focal": {"gamma": -1}}, "gamma must be"),
    ],
)
def test_mistakes(config, message):
    with pytest.raises(UsageError, match=message):
        losses.build(ConfigDict(config))
