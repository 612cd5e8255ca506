"""ISDA against the released code's outputs, a float64 oracle written from the formula, and its own invariances."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import GOLDEN, double_precision
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxaug import losses
from jaxaug.errors import UsageError
from jaxaug.losses import class_statistics
from jaxaug.losses.isda import isda
from jaxaug.types import Batch, Outputs, Progress

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
KINDS = ("full", "diagonal")


@functools.partial(jax.jit, static_argnums=0)
def step(transform, state, features, weight, bias, labels, progress, targets=None):
    """One loss with its gradients: weight [K D] as in the papers."""

    def loss_of(features, weight, bias):
        out = Outputs(features, features @ weight.T + bias, weight.T, bias)
        batch = Batch(image=features, label=labels, index=labels)
        terms = losses.begin(out, batch, {}, Progress(step=progress, epoch=progress))
        if targets is not None:
            terms = terms.replace(targets=targets)
        after, terms = transform.apply(state, terms)
        return losses.reduce(terms), (after, terms.logits)

    (loss, (after, logits)), grads = jax.value_and_grad(loss_of, argnums=(0, 1, 2), has_aux=True)(
        features, weight, bias
    )
    return loss, after, logits, grads


def oracle(count, mean, covariance, features, weight, bias, labels, strength):
    """The paper's formulas in NumPy float64, row by row, with full covariances: (state, logits, loss, gradients)."""
    features, weight, bias = (np.asarray(x, np.float64) for x in (features, weight, bias))
    count, mean, covariance = count.copy(), mean.copy(), covariance.copy()
    for c in np.unique(labels[labels >= 0]):
        rows = features[labels == c]
        w = len(rows) / (len(rows) + count[c])  # 0 for an infinite count
        m = rows.mean(0)
        v = (rows - m).T @ (rows - m) / len(rows)
        covariance[c] = (1 - w) * covariance[c] + w * v + w * (1 - w) * np.outer(mean[c] - m, mean[c] - m)
        mean[c] = (1 - w) * mean[c] + w * m
        count[c] += len(rows)
    logits = features @ weight.T + bias
    known = labels >= 0
    grad_w = np.zeros_like(weight)
    g_all = np.zeros_like(logits)
    loss = 0.0
    for n in np.flatnonzero(known):
        y = labels[n]
        d = weight - weight[y]
        ds = d @ covariance[y]
        logits[n] += 0.5 * strength * (ds * d).sum(1)
        p = np.exp(logits[n] - logits[n].max())
        p /= p.sum()
        loss -= np.log(p[y]) / known.sum()
        g = (p - np.eye(len(p))[y]) / known.sum()
        g_all[n] = g
        grad_w += strength * g[:, None] * ds
        grad_w[y] -= strength * g @ ds
    grad_w += g_all.T @ features
    return (count, mean, covariance), logits, loss, (g_all @ weight, grad_w, g_all.sum(0))


def close(actual, desired, tolerance):
    """Largest error within `tolerance` of the largest value."""
    actual, desired = np.asarray(actual, np.float64), np.asarray(desired, np.float64)
    scale = np.abs(desired).max() if desired.size else 0.0
    assert actual.shape == desired.shape
    assert np.abs(actual - desired).max(initial=0.0) <= tolerance * max(scale, 1e-3)


def diagonal_part(covariance, kind):
    return np.einsum("kdd->kd", covariance) if kind == "diagonal" else covariance


@pytest.mark.parametrize("kind", KINDS)
def test_released_code(kind, precision):
    """Three successive steps of the official loss: statistics, logits, loss and every gradient."""
    golden = np.load(GOLDEN / "isda.npz")
    short = {"full": "full", "diagonal": "diag"}[kind]

    def expected(name, t):
        return golden[f"{short}_f64_{name}"][t]

    transform = isda(strength=1.0, covariance=kind)
    state = transform.init(5, 12)
    for t in range(3):
        arrays = [golden[name][t].astype(precision) for name in ("features", "fc_weight", "fc_bias")]
        ratio = jnp.asarray(golden[f"{short}_ratio"][t], precision)
        loss, state, logits, grads = step(transform, state, *arrays, golden["labels"][t].astype(np.int32), ratio)
        tolerance = TOLERANCE[precision]
        close(state.count, expected("count", t), tolerance)
        close(state.mean, expected("mean", t), tolerance)
        close(state.covariance, expected("cov", t), tolerance)
        close(logits, expected("aug_logits", t), tolerance)
        close(loss, expected("loss", t), tolerance)
        for gradient, name in zip(grads, ("grad_features", "grad_weight", "grad_bias"), strict=True):
            close(gradient, expected(name, t), tolerance)


CASES = {
    # rows, classes, features, offset of the head, labels
    "odd sizes": (13, 7, 11, 0.0, None),
    "more classes than rows": (9, 31, 17, 0.0, None),
    "two classes absent": (24, 6, 8, 0.0, (0, 1, 3, 5)),
    "one row of each class": (5, 5, 6, 0.0, "each"),
    "one class": (21, 4, 5, 0.0, (2,)),
    "rows without a label": (20, 5, 6, 0.0, (-1, 0, 3)),
    "head with a common offset": (24, 6, 16, 30.0, None),
    "head with a common offset, many classes": (8, 20, 16, 30.0, None),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_formula(case, kind, precision):
    rows, classes, depth, offset, pool = CASES[case]
    rng = np.random.default_rng(len(case))
    transform = isda(strength=2.0, covariance=kind)
    state = transform.init(classes, depth)
    kept = np.zeros(classes), np.zeros((classes, depth)), np.zeros((classes, depth, depth))
    for _ in range(2):
        labels = (
            np.arange(rows)
            if pool == "each"
            else rng.choice(np.arange(classes) if pool is None else np.array(pool), rows)
        )
        features = np.abs(rng.normal(size=(rows, depth))).astype(precision)
        weight = (rng.normal(size=(classes, depth)) * 0.3 + offset * rng.normal(size=depth)).astype(precision)
        bias = rng.normal(size=classes).astype(precision)
        labels = labels.astype(np.int32)
        loss, state, logits, grads = step(transform, state, features, weight, bias, labels, jnp.asarray(0.5, precision))
        if kind == "diagonal":
            kept = (*kept[:2], np.stack([np.diag(np.diag(c)) for c in kept[2]]))
        full, expected_logits, expected_loss, expected_grads = oracle(
            *kept, features, weight, bias, labels, strength=1.0
        )
        if kind == "diagonal":
            diagonal = (*full[:2], np.stack([np.diag(np.diag(c)) for c in full[2]]))
            full, (expected_logits, expected_loss, expected_grads) = (
                diagonal,
                oracle_with(diagonal[2], features, weight, bias, labels),
            )
        kept = full
        tolerance = TOLERANCE[precision]
        close(state.covariance, diagonal_part(full[2], kind), tolerance)
        close(state.mean, full[1], tolerance)
        # A common offset makes the logits themselves large; float32 rounds those, not the augmentation.
        close(logits, expected_logits, tolerance)
        close(loss, expected_loss, tolerance * max(1.0, np.abs(expected_logits).max() / abs(expected_loss)))
        for actual, desired in zip(grads, expected_grads, strict=True):
            close(actual, desired, tolerance * max(1.0, np.abs(expected_logits).max()))


def oracle_with(covariance, features, weight, bias, labels):
    """The oracle's loss for covariances that are given: none of the rows counts again."""
    count = np.full(len(covariance), np.inf)
    mean = np.zeros(covariance.shape[:2])
    return oracle(count, mean, covariance, features, weight, bias, labels, strength=1.0)[1:]


update_jitted = jax.jit(class_statistics.update)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(1, 29), min_size=1, max_size=3, unique=True))
def test_statistics_are_those_of_all_rows(kind, seed, cuts):
    """Whatever the batches were, cumulative statistics are the mean and biased covariance of every row so far."""
    rng = np.random.default_rng(seed)
    features, labels = rng.normal(size=(30, 4)).astype(np.float32) + 3, rng.integers(0, 3, 30)
    state = class_statistics.empty(4, 4, full=kind == "full")
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
    state = class_statistics.empty(1, 3, full=kind == "full")
    batches = rng.normal(size=(4, 8, 3)).astype(np.float32)
    for batch in batches:
        state = class_statistics.update(state, jnp.asarray(batch), jnp.zeros(8, jnp.int32), keep=0.5)
    rows = batches.reshape(-1, 3).astype(np.float64)
    weights = np.repeat(0.5 ** np.arange(3, -1, -1), 8)
    covariance = np.cov(rows.T, aweights=weights, ddof=0)
    np.testing.assert_allclose(state.mean[0], np.average(rows, axis=0, weights=weights), atol=1e-5)
    np.testing.assert_allclose(state.covariance[0], covariance if kind == "full" else np.diag(covariance), atol=1e-5)


def some_inputs(rows=12, classes=5, depth=6, seed=0):
    rng = np.random.default_rng(seed)
    features = np.abs(rng.normal(size=(rows, depth))).astype(np.float32)
    weight, bias = rng.normal(size=(classes, depth)).astype(np.float32), np.zeros(classes, np.float32)
    return features, weight, bias, rng.integers(0, classes, rows).astype(np.int32)


@pytest.mark.parametrize("kind", KINDS)
def test_a_non_finite_class_spoils_no_other(kind):
    """A class with a NaN, an infinity or an overflow in the batch keeps its statistics; the others get theirs."""
    features, _, _, labels = some_inputs(rows=24)
    state = update_jitted(class_statistics.empty(5, 6, full=kind == "full"), features, labels)
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
    out = Outputs(jnp.asarray(features), jnp.asarray(features @ weight.T), jnp.asarray(weight.T), jnp.asarray(bias))
    batch = Batch(out.features, jnp.asarray(labels), jnp.asarray(labels))
    terms = losses.begin(out, batch, {}, Progress(step=jnp.asarray(0.75), epoch=jnp.asarray(0.25)))

    def shift(strength, schedule):
        transform = isda(strength, "diagonal", schedule=schedule)
        return transform.apply(transform.init(5, 6), terms)[1].logits - out.logits

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


@pytest.mark.parametrize(("kind", "classes"), [("full", 5), ("diagonal", 5), ("diagonal", 31)])
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


@pytest.mark.parametrize(("kind", "rows", "classes", "depth"), [("diagonal", 24, 90, 70), ("full", 24, 20, 50)])
def test_no_large_intermediate(kind, rows, classes, depth):
    """Neither a [B K D] array nor a [B D D] gather exists anywhere in the loss and its gradients."""
    transform = isda(1.0, kind)
    arrays = some_inputs(rows, classes, depth)
    jaxpr = jax.make_jaxpr(lambda *a: step(transform, transform.init(classes, depth), *a, jnp.ones(())))(*arrays)
    shapes = set(shapes_in(jaxpr.jaxpr))
    # The full form keeps K D^2 statistics and K x K x D products, K <= B; the diagonal form nothing of three axes.
    allowed = {(classes, depth, depth), (classes, classes, depth)} if kind == "full" else set()
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
    tilted = losses.stateless(lambda terms: terms.replace(logits=terms.logits + tilt))
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
    with pytest.raises(UsageError, match=r"isda\.isda"):
        isda(**options)
