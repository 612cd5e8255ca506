"""ISDA against the released code's outputs and a float64 oracle written from the formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.isda_oracle import KINDS, TOLERANCE, close, diagonal_part, oracle, oracle_with, step
from helpers.settings import GOLDEN

from jaxaug import losses
from jaxaug.core.types import Batch, ModelOutput, Progress
from jaxaug.losses._isda import isda


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


# Cases of one size share a compilation.
CASES = {
    # rows, classes, features, offset of the head, labels
    "odd sizes": (13, 7, 11, 0.0, None),
    "more classes than rows": (8, 20, 16, 0.0, None),
    "two classes absent": (24, 6, 8, 0.0, (0, 1, 3, 5)),
    "one row of each class": (5, 5, 6, 0.0, "each"),
    "one class": (24, 6, 8, 0.0, (2,)),
    "rows without a label": (24, 6, 8, 0.0, (-1, 0, 3)),
    "head with a common offset": (24, 6, 8, 30.0, None),
    "head with a common offset, many classes": (8, 20, 16, 30.0, None),
}
LOSSES = {kind: isda(strength=2.0, covariance=kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_formula(case, kind, precision):
    rows, classes, depth, offset, pool = CASES[case]
    rng = np.random.default_rng(len(case))
    transform = LOSSES[kind]
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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rows", "classes"), [(24, 6), (8, 20)])
def test_sigma2_of_a_head_with_a_common_offset(kind, rows, classes):
    """Rows w_0 + 0.001 N(0, 1) with |w_0| about 30: sigma2 alone, in float32, within 1e-5 of float64.

    With features and bias of 0 the augmented logits are sigma2 / 2. Without taking out the mean the expanded square
    has no right digit here.
    """
    rng = np.random.default_rng(rows)
    weight = (30 * rng.normal(size=16) + 1e-3 * rng.normal(size=(classes, 16))).astype(np.float32)
    labels = rng.integers(0, classes, rows).astype(np.int32)
    transform = isda(1.0, kind, schedule="constant", order="use_then_update")
    state = transform.init(classes, 16)
    half = rng.normal(size=(classes, 16, 16))
    covariance = np.einsum("kde,kfe->kdf", half, half)
    if kind == "diagonal":
        covariance = np.einsum("kd,de->kde", np.einsum("kdd->kd", covariance), np.eye(16))
    state = state.replace(covariance=jnp.asarray(diagonal_part(covariance, kind), jnp.float32))
    nothing = np.zeros((rows, 16), np.float32), np.zeros(classes, np.float32)
    logits = step(transform, state, nothing[0], weight, nothing[1], labels, jnp.ones(()))[2]
    difference = weight.astype(np.float64)[None] - weight.astype(np.float64)[labels][:, None]
    used = np.asarray(jnp.asarray(covariance, jnp.float32), np.float64)[labels]
    expected = 0.5 * np.einsum("bkd,bde,bke->bk", difference, used, difference)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * expected.max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [4, 9])
def test_a_later_loss_may_depend_on_the_shift_of_a_row(kind, classes):
    """Gradients are right for losses that are not softmax cross-entropy too: here of mean(logits^2), in both forms."""
    rng = np.random.default_rng(classes)
    weight, direction = (jnp.asarray(rng.normal(size=(classes, 5)), jnp.float32) for _ in range(2))
    features, bias = jnp.asarray(rng.normal(size=(6, 5)), jnp.float32), jnp.zeros(classes)
    labels, one = jnp.asarray(rng.integers(0, 4, 6), jnp.int32), jnp.ones(())
    transform = isda(1.0, kind, schedule="constant")

    def penalty(weight):
        out = ModelOutput(features, features @ weight.T + bias, weight.T, bias)
        inputs = losses.cross_entropy_inputs(out, Batch(features, labels, labels), {}, Progress(one, one))
        return jnp.mean(transform.apply(transform.init(classes, 5), inputs)[1].logits ** 2)

    run = jax.jit(jax.value_and_grad(penalty))
    slope = jnp.vdot(run(weight)[1], direction)
    difference = (run(weight + 1e-2 * direction)[0] - run(weight - 1e-2 * direction)[0]) / 2e-2
    np.testing.assert_allclose(slope, difference, rtol=1e-2)
