"""The family of loss transforms: one suite over every registered member, then each one's own values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxaug import losses
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import defaults_of, list_names, options_of, resolve
from jaxaug.core.types import Batch, LossTransform, MetaParams, ModelOutput, Progress
from jaxaug.losses._isda import isda
from jaxaug.losses._targets import label_smoothing
from jaxaug.losses._weights import focal


def inputs_of(seed=0, rows=6, classes=4, depth=3, labels=None):
    rng = np.random.default_rng(seed)
    features = jnp.asarray(rng.normal(size=(rows, depth)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(depth, classes)), jnp.float32)
    bias = jnp.zeros(classes)
    out = ModelOutput(features, features @ kernel + bias, kernel, bias)
    labels = jnp.asarray(rng.integers(0, classes, rows) if labels is None else labels, jnp.int32)
    batch = Batch(features, labels, jnp.arange(rows))
    return losses.cross_entropy_inputs(out, batch, {}, Progress(jnp.asarray(0.5), jnp.asarray(0.5), epochs=4))


# Of label maps alone: test_segmentation.py.
MEMBERS = [name for name in list_names("loss") if name != "pixel_isda"]


def test_members_are_found():
    assert {"isda", "label_smoothing", "soft_targets", "mixed_targets", "focal"} <= set(MEMBERS)
    assert {"learned_targets", "kl_divergence", "learned_weights"} <= set(MEMBERS)


@pytest.mark.parametrize("name", MEMBERS)
def test_every_member(name):
    """Default options; pure; under jit; shapes kept; rows without a label change no other row and no loss."""
    transform = resolve("loss", name)()
    labels = [0, 1, 2, 3, -1, -1]
    inputs = inputs_of(labels=labels)
    state = transform.init(4, 3, class_counts=jnp.ones(4))
    apply = jax.jit(transform.apply)
    after, result = apply(state, inputs)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    for field in ("logits", "targets", "weight", "extra"):
        assert getattr(result, field).shape == getattr(inputs, field).shape
        assert getattr(result, field).dtype == jnp.float32
    np.testing.assert_array_equal(result.targets[4:], 0)
    np.testing.assert_array_equal(result.weight[4:], 0)
    np.testing.assert_array_equal(result.extra[4:], 0)
    few = jax.tree.map(lambda x: x[:4] if x.ndim and len(x) == 6 else x, inputs)
    np.testing.assert_allclose(losses.mean_loss(apply(state, few)[1]), losses.mean_loss(result), rtol=1e-5)
    again = apply(state, inputs)
    jax.tree.map(np.testing.assert_array_equal, again, (after, result))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), amount=st.floats(0, 0.9), over=st.sampled_from(["all", "others"]))
def test_smooth(seed, amount, over):
    """Mass is kept; the own class ends at 1 - s + s / K, or exactly 1 - s."""
    inputs = inputs_of(seed)
    targets = label_smoothing(amount, over=over).apply((), inputs)[1].targets
    np.testing.assert_allclose(targets.sum(-1), 1, rtol=1e-5)
    own = targets[np.arange(6), inputs.batch.label]
    np.testing.assert_allclose(own, 1 - amount + (amount / 4 if over == "all" else 0), rtol=1e-5)
    other = targets[np.arange(6), (inputs.batch.label + 1) % 4]
    np.testing.assert_allclose(other, amount / (4 if over == "all" else 3), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal(gamma):
    """mean (1 - p)^gamma (-log p), value and gradient against the closed form."""
    inputs = inputs_of()
    labels = np.asarray(inputs.batch.label)

    def ours(logits):
        changed = inputs.replace(logits=logits)
        return losses.mean_loss(focal(gamma).apply((), changed)[1])

    def closed(logits):
        logp = jax.nn.log_softmax(logits)[np.arange(6), labels]
        return jnp.mean((1 - jnp.exp(logp)) ** gamma * -logp)

    np.testing.assert_allclose(ours(inputs.logits), closed(inputs.logits), rtol=1e-5)
    np.testing.assert_allclose(jax.grad(ours)(inputs.logits), jax.grad(closed)(inputs.logits), rtol=1e-4, atol=1e-6)


def test_focal_of_a_sure_row_is_finite():
    inputs = inputs_of(labels=[0] * 6)
    sure = inputs.replace(logits=jnp.zeros((6, 4)).at[:, 0].set(200.0))
    value, gradient = jax.value_and_grad(lambda x: losses.mean_loss(focal(0.5).apply((), sure.replace(logits=x))[1]))(
        sure.logits
    )
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_cross_entropy_counts_rows_with_a_label():
    inputs = inputs_of(labels=[0, 1, -1, 2, -1, 3])
    known = np.array([0, 1, 3, 5])
    logp = jax.nn.log_softmax(inputs.logits)
    expected = -logp[known, inputs.batch.label[known]].mean()
    np.testing.assert_allclose(losses.mean_loss(inputs), expected, rtol=1e-6)


def test_chain_order_and_state():
    """Targets first, then ISDA on the softened targets, then the weight of the augmented logits."""
    inputs = inputs_of()
    members = (label_smoothing(0.2), isda(1.0, schedule="constant"), focal(1.0))
    chained = losses.chain(*members)
    state, result = chained.apply(chained.init(4, 3), inputs)
    assert list(state) == ["label_smoothing", "isda", "focal"]
    by_hand = inputs
    for member in members:
        by_hand = member.apply(member.init(4, 3), by_hand)[1]
    jax.tree.map(np.testing.assert_array_equal, result, by_hand)


def test_create():
    chained = losses.create(({"name": "label_smoothing", "amount": 0.3}, {"name": "isda", "strength": 0.0}))
    result = chained.apply(chained.init(4, 3), inputs_of())[1]
    np.testing.assert_allclose(result.targets.max(-1), 0.7 + 0.3 / 4, rtol=1e-6)
    assert not losses.create(()).init(4, 3)


def counted(num_classes, num_features, class_counts):
    return {"counts": class_counts}


def passed_on(state, inputs):
    return state, inputs


def test_names_of_a_chain():
    """The state is a dict by name: a transform's own, made unique, or the one that it is given."""
    nameless = LossTransform(lambda num_classes, num_features: (), passed_on)
    chained = losses.chain(isda(), nameless, isda(), ("isda_1", focal()), isda(), nameless, last=label_smoothing())
    names = ["isda", "transform", "isda_2", "isda_1", "isda_3", "transform_1", "last"]
    assert list(chained.init(4, 3)) == names
    assert list(chained.apply(chained.init(4, 3), inputs_of())[0]) == names
    nested = losses.chain(losses.chain(isda()), losses.chain())
    assert jax.tree.map(lambda x: 0, nested.init(4, 3), is_leaf=lambda x: not isinstance(x, dict)) == {
        "chain": {"isda": 0},
        "chain_1": {},
    }
    for name in MEMBERS:
        assert resolve("loss", name)().name == name or "." in name


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ((("a", isda()), ("a", focal())), "chain: two transforms are called 'a'"),
        ((isda,), "chain: takes LossTransforms, alone or as pairs .*function isda"),
        ((("isda", 1),), "chain: takes LossTransforms"),
    ],
)
def test_mistakes_in_a_chain(members, message):
    with pytest.raises(UsageError, match=message):
        losses.chain(*members)


def test_extras():
    """class_counts and further arguments of init reach every transform that takes them, and no other."""
    plain = LossTransform(lambda num_classes, num_features: (num_classes, num_features), passed_on, name="plain")
    counting = LossTransform(counted, passed_on, name="counting")
    open_to_all = LossTransform(lambda num_classes, num_features, **extras: extras, passed_on, name="open")
    optional = LossTransform(lambda num_classes, num_features, *, prior=0.5: prior, passed_on, name="optional")
    chained = losses.chain(isda(), plain, counting, open_to_all, optional, losses.chain(counting))
    counts = jnp.asarray([3, 2, 1, 0])
    state = chained.init(4, 3, class_counts=counts, prior=0.2)
    assert state["plain"] == (4, 3)
    assert state["counting"]["counts"] is counts
    assert state["open"] == {"class_counts": counts, "prior": 0.2}
    assert state["optional"] == 0.2
    assert state["chain"]["counting"]["counts"] is counts
    assert losses.chain(optional).init(4, 3) == {"optional": 0.5}
    with pytest.raises(UsageError, match=r"chain: 'counting' needs class_counts: init\(\.\.\., class_counts=\.\.\.\)"):
        losses.chain(counting).init(4, 3)
    for name in MEMBERS:
        resolve("loss", name)().init(4, 3, class_counts=counts, prior=0.2)


def test_a_transform_of_ones_own_is_called_by_its_slot():
    chained = losses.create(("helpers.overflowing_loss.late", {"name": "isda"}))
    assert list(chained.init(4, 3)) == ["late", "isda"]


def test_results():
    """What a search has learned about rows: weight, largest class and the shares of the given and of that class."""
    labels, raw = jnp.asarray([0, 2, -1]), jnp.asarray([0.0, 1.0, -1.0])
    offset = jnp.zeros((3, 3)).at[1, 0].set(9.0)
    meta = MetaParams({"weight": raw, "soft": offset, "another": raw}, {})
    chained = losses.chain(losses.learned_targets(0.3), isda(), losses.learned_weights())
    found = chained.results(meta, labels, 3)
    assert list(found) == ["soft", "soft_given", "soft_share", "weight"]
    np.testing.assert_allclose(found["weight"], np.log1p(np.exp(raw)) / np.log(2), rtol=1e-6)
    odds = np.exp([9.0, 0.0, np.log(1 - 3 + 3 / 0.3)])
    np.testing.assert_array_equal(found["soft"], [0, 0, 0])
    assert found["soft"].dtype == jnp.int32
    np.testing.assert_allclose(found["soft_given"], [0.8, odds[2] / odds.sum(), 0], rtol=1e-5)
    np.testing.assert_allclose(found["soft_share"], [0.8, odds[0] / odds.sum(), 0], rtol=1e-5)
    low_rank = losses.learned_targets(rank=2)
    begun = MetaParams({"soft": jnp.zeros((3, 2))}, low_rank.meta(3).shared)
    np.testing.assert_allclose(low_rank.results(begun, labels, 3)["soft_share"], [14 / 15, 14 / 15, 0], rtol=1e-5)
    assert chained.results(MetaParams(), labels, 3) == {}
    assert losses.chain(isda()).results(meta, labels, 3) == {}


PRESCRIBED = {
    ("isda", "strength"): 0.5,  # CIFAR, section 5 of the paper
    ("isda", "covariance"): "full",
    ("focal", "gamma"): 2.0,  # "works best in practice"
    ("soft_targets", "power"): 2.0,
    ("soft_targets", "weight"): "sample",
    ("label_smoothing", "amount"): 0.1,
    ("learned_targets", "smoothing"): 0.1,
}


@pytest.mark.parametrize(("name", "option"), PRESCRIBED)
def test_defaults_of_the_papers(name, option):
    assert defaults_of(resolve("loss", name))[option] == PRESCRIBED[name, option]


@pytest.mark.parametrize("name", MEMBERS)
def test_every_option_has_its_line(name):
    """One command lists the options with a line of meaning, which it reads from the docstring."""
    for option in options_of(resolve("loss", name)):
        assert len(option.meaning) > 20, option.name


@pytest.mark.parametrize(
    ("slot", "message"),
    [
        ("isdaa", "unknown loss 'isdaa': did you mean 'isda'"),
        ("issda", "unknown loss 'issda': did you mean 'isda'"),
        ({"name": "isda", "strenght": 1.0}, "did you mean 'strength'"),
        ({"name": "label_smoothing", "amount": 1.5}, "label_smoothing: amount must be"),
        ({"name": "focal", "gamma": -1}, "focal: gamma must be"),
    ],
)
def test_mistakes(slot, message):
    with pytest.raises(UsageError, match=message):
        losses.create((slot,))
