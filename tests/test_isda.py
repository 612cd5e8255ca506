"""ISDA against the released code's outputs, a float64 oracle written from the formula, and its own invariances."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxaug import losses
from jaxaug.errors import UsageError
from jaxaug.losses import class_statistics
from jaxaug.losses.isda import isda
from jaxaug.losses.targets import smooth
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
        loss, state, logits, grads = step(
            transform, state, features, weight, bias, labels, jnp.asarray(0.5, precision)
        )
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
