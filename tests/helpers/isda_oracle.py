"""ISDA by the formula, row by row in float64, and the one jitted step that the tests of ISDA share."""

import functools

import jax
import numpy as np

from jaxaug import losses
from jaxaug.core.types import Batch, ModelOutput, Progress

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
KINDS = ("full", "diagonal")


@functools.partial(jax.jit, static_argnums=0)
def step(transform, state, features, weight, bias, labels, progress, targets=None):
    """One loss with its gradients: weight [K D] as in the papers."""

    def loss_of(features, weight, bias):
        out = ModelOutput(features, features @ weight.T + bias, weight.T, bias)
        batch = Batch(image=features, label=labels, index=labels)
        inputs = losses.cross_entropy_inputs(out, batch, {}, Progress(step=progress, epoch=progress))
        if targets is not None:
            inputs = inputs.replace(targets=targets)
        after, inputs = transform.apply(state, inputs)
        return losses.mean_loss(inputs), (after, inputs.logits)

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


def oracle_with(covariance, features, weight, bias, labels):
    """The oracle's loss for covariances that are given: none of the rows counts again."""
    count = np.full(len(covariance), np.inf)
    mean = np.zeros(covariance.shape[:2])
    return oracle(count, mean, covariance, features, weight, bias, labels, strength=1.0)[1:]


def some_inputs(rows=12, classes=5, depth=6, seed=0):
    rng = np.random.default_rng(seed)
    features = np.abs(rng.normal(size=(rows, depth))).astype(np.float32)
    weight, bias = rng.normal(size=(classes, depth)).astype(np.float32), np.zeros(classes, np.float32)
    return features, weight, bias, rng.integers(0, classes, rows).astype(np.int32)
