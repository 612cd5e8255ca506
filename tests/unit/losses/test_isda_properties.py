"""Properties of ISDA: its statistics, schedules, soft targets, second derivatives, and what it never allocates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.isda_oracle import KINDS, close, some_inputs, step
from helpers.settings import double_precision
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxaug import losses
from jaxaug.core.errors import UsageError
from jaxaug.core.types import Batch, ModelOutput, Progress
from jaxaug.losses import _feature_statistics
from jaxaug.losses._isda import isda

update_jitted = jax.jit(_feature_statistics.update_statistics)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(1, 29), min_size=1, max_size=3, unique=True))
def test_statistics_are_those_of_all_rows(kind, seed, cuts):
    """Whatever the batches were, cumulative statistics are the mean and biased covariance of every row so far."""
    rng = np.random.default_rng(seed)
    features, labels = rng.normal(size=(30, 4)).astype(np.float32) + 3, rng.integers(0, 3, 30)
    state = _feature_statistics.init_statistics(4, 4, full=kind == "full")
    # One shape for all batches, so that one compilation serves them: the other rows have no label.
    batch_of = np.digitize(np.arange(30), sorted(cuts))
    for number in range(len(cuts) + 1):
        state = update_jitted(state, features, np.where(batch_of == number, labels, -1))
    for c in range(4):
        rows = features[labels == c].astype(np.float64)
        assert state.count[c] == len(rows)
        covariance = np.cov(rows.T, bias=True) if len(rows) else np.zeros((4, 4))
        np.testing.assert_allclose(state.mean[c], rows.mean(0) if len(rows) else np.zeros(4), atol=1e-5)
        expected = covariance if kind == "full" else np.diag(covariance)
        np.testing.assert_allclose(state.covariance[c], expected, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_forgetting(kind):
    """With keep = 1/2 the statistics are those of rows weighted by 1/2 for every step of age."""
    rng = np.random.default_rng(0)
    state = _feature_statistics.init_statistics(1, 3, full=kind == "full")
    batches = rng.normal(size=(4, 8, 3)).astype(np.float32)
    for batch in batches:
        state = _feature_statistics.update_statistics(state, jnp.asarray(batch), jnp.zeros(8, jnp.int32), keep=0.5)
    rows = batches.reshape(-1, 3).astype(np.float64)
    weights = np.repeat(0.5 ** np.arange(3, -1, -1), 8)
    covariance = np.cov(rows.T, aweights=weights, ddof=0)
    np.testing.assert_allclose(state.mean[0], np.average(rows, axis=0, weights=weights), atol=1e-5)
    np.testing.assert_allclose(state.covariance[0], covariance if kind == "full" else np.diag(covariance), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_non_finite_class_spoils_no_other(kind):
    """A class with a NaN, an infinity or an overflow in the batch keeps its statistics; the others get theirs."""
    features, _, _, labels = some_inputs(rows=24)
    state = update_jitted(_feature_statistics.init_statistics(5, 6, full=kind == "full"), features, labels)
    broken = 2 * features
    bad = (labels[0], next(c for c in labels if c != labels[0]))
    broken[0, 2] = np.nan
    broken[np.flatnonzero(labels == bad[1])[0], 0] = 1e30 if kind == "diagonal" else np.inf
    after = update_jitted(state, broken, labels)
    expected = update_jitted(state, 2 * features, np.where(np.isin(labels, bad), -1, labels))
    for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_use_then_update(kind):
    """The first batch meets empty statistics: plain cross-entropy, but the statistics are those of the batch."""
    features, weight, bias, labels = some_inputs()
    after = {}
    for order in ("use_then_update", "update_then_use"):
        transform = isda(3.0, kind, schedule="constant", order=order)
        _, after[order], logits, _ = step(transform, transform.init(5, 6), features, weight, bias, labels, 0.0)
        plain = np.allclose(logits, features @ weight.T, atol=1e-5)
        assert plain == (order == "use_then_update")
    np.testing.assert_array_equal(after["use_then_update"].covariance, after["update_then_use"].covariance)


@pytest.mark.parametrize(("schedule", "expected"), [("epoch", 0.25), ("step", 0.75), ("constant", 1.0)])
def test_schedules(schedule, expected):
    """The shift of the logits is proportional to lambda = strength x what the schedule counts."""
    features, weight, bias, labels = some_inputs()
    out = ModelOutput(jnp.asarray(features), jnp.asarray(features @ weight.T), jnp.asarray(weight.T), jnp.asarray(bias))
    batch = Batch(out.features, jnp.asarray(labels), jnp.asarray(labels))
    inputs = losses.cross_entropy_inputs(out, batch, {}, Progress(step=jnp.asarray(0.75), epoch=jnp.asarray(0.25)))

    def shift(strength, schedule):
        transform = isda(strength, "diagonal", schedule=schedule)
        return transform.apply(transform.init(5, 6), inputs)[1].logits - out.logits

    np.testing.assert_allclose(shift(2.0, schedule), expected * shift(2.0, "constant"), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "classes"), [("full", 5), ("diagonal", 5), ("diagonal", 31)])
def test_soft_targets(kind, classes):
    """Soft targets: the class is the largest target; "expected" averages sigma2 over the targets."""
    features, weight, bias, labels = some_inputs(classes=classes)
    targets = np.random.default_rng(1).dirichlet(np.ones(classes) * 0.3, size=12).astype(np.float32)
    dominant = targets.argmax(1).astype(np.int32)
    one = jnp.asarray(1.0)
    hard = isda(2.0, kind, schedule="constant")
    state = hard.init(classes, 6)
    after = step(hard, state, features, weight, bias, labels, one, targets)[1:3]
    same = step(hard, state, features, weight, bias, dominant, one)[1:3]
    for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(same), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    soft = isda(2.0, kind, schedule="constant", labels="expected")
    _, statistics, logits, _ = step(soft, state, features, weight, bias, labels, one, targets)
    full = np.asarray(statistics.covariance, np.float64)
    if kind == "diagonal":
        full = np.einsum("kd,de->kde", full, np.eye(6))
    difference = weight[None] - weight[:, None]
    table = np.einsum("cjd,cde,cje->cj", difference, full, difference)
    close(logits, features @ weight.T + targets @ table, 1e-5)


@pytest.mark.parametrize(("kind", "classes"), [("full", 5), ("full", 15), ("diagonal", 5), ("diagonal", 31)])
def test_second_derivatives(kind, classes):
    """Forward over reverse, as the searches differentiate: d/dt of the gradient along a direction, in float64."""
    with double_precision():
        features, weight, bias, labels = (
            jnp.asarray(x, jnp.float64 if x.dtype == np.float32 else None) for x in some_inputs(classes=classes)
        )
        transform = isda(1.5, kind, schedule="constant")
        state = transform.init(classes, 6)
        direction = jnp.asarray(np.random.default_rng(3).normal(size=weight.shape))

        def gradient(weight):
            return step(transform, state, features, weight, bias, labels, jnp.ones(()))[3][1]

        product = jax.jvp(gradient, (weight,), (direction,))[1]
        h = 1e-6
        difference = (gradient(weight + h * direction) - gradient(weight - h * direction)) / (2 * h)
        np.testing.assert_allclose(product, difference, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("kind", "rows", "classes", "depth"),
    [("diagonal", 24, 90, 70), ("full", 24, 20, 50), ("full", 24, 60, 50)],
)
def test_no_large_intermediate(kind, rows, classes, depth):
    """Neither a [B K D] array nor a [B D D] gather exists anywhere in the loss and its gradients."""
    transform = isda(1.0, kind)
    arrays = some_inputs(rows, classes, depth)
    jaxpr = jax.make_jaxpr(lambda *a: step(transform, transform.init(classes, depth), *a, jnp.ones(())))(*arrays)
    shapes = set(shapes_in(jaxpr.jaxpr))
    # The full form keeps K D^2 statistics and K x K x D products, K <= B; the diagonal form nothing of three axes.
    allowed = {(classes, depth, depth)} if kind == "full" else set()
    allowed |= {(classes, classes, depth)} if kind == "full" and classes < rows else set()
    assert not {shape for shape in shapes if len([n for n in shape if n > 1]) > 2} - allowed


def equations_in(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from equations_in(inner)


def shapes_in(jaxpr):
    for equation in equations_in(jaxpr):
        for variable in equation.outvars:
            yield tuple(getattr(variable.aval, "shape", ()))


def test_earlier_logit_transforms_are_kept():
    """ISDA adds to what came before it, in the form that starts from the features too."""
    features, weight, bias, labels = some_inputs(classes=31)
    tilt = jnp.linspace(-1.0, 1.0, 31)
    tilted = losses.stateless(lambda inputs: inputs.replace(logits=inputs.logits + tilt))
    alone = isda(1.0, "diagonal", schedule="constant")
    both = losses.chain(tilted, alone)
    _, _, first, _ = step(alone, alone.init(31, 6), features, weight, bias, labels, 1.0)
    _, _, second, _ = step(both, both.init(31, 6), features, weight, bias, labels, 1.0)
    np.testing.assert_allclose(second, first + tilt, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [{"covariance": "half"}, {"schedule": "never"}, {"order": "both"}, {"labels": "none"}, {"strength": -1.0},
     {"keep": 0.0}],
)  # fmt: skip
def test_bad_options(options):
    with pytest.raises(UsageError, match="isda: "):
        isda(**options)
