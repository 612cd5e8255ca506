"""Small problems whose hypergradients are known: AutoDO's own numbers, and regressions that can be solved by hand."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from helpers.settings import GOLDEN
from jaxaug.bilevel import IHVPProblem, hessian, hypergradient, softmax_fisher
from jaxaug.core.tree import tree_add_scaled, tree_norm

GOLDEN_FILE = GOLDEN / "autodo_hypergradients.npz"


def golden(dtype=np.float64):
    """The arrays of AutoDO's linear classifier: 20 training rows, 10 validation rows, 6 features, 4 classes."""
    with np.load(GOLDEN_FILE) as file:
        return {name: file[name].astype(dtype) if file[name].dtype == np.float64 else file[name] for name in file}


def autodo(arrays, hard, symmetric):
    """(train, val, params, meta, fisher) of a golden case; hard, symmetric: [], 0 or 1, may be traced.

    logits = X W^T + b, of which W is learned. A row's loss is weighted by w = softplus(weight) / log 2 (in the code:
    times 1.4427). It is the cross-entropy with the largest of the soft labels (hard), or KL(s || p), s = softmax(soft),
    or the mean of KL(s || p) and KL(p || s) (symmetric).
    """
    meta = {"weight": jnp.asarray(arrays["hyperW"]), "soft": jnp.asarray(arrays["hyperS"])}

    def logits(params):
        return arrays["Xt"] @ params["head"]["W"].T + arrays["b"]

    def weight_of(meta):
        return 1.4427 * jax.nn.softplus(meta["weight"])

    def train(params, meta):
        log_p, log_s = jax.nn.log_softmax(logits(params)), jax.nn.log_softmax(meta["soft"])
        largest = jax.nn.one_hot(jnp.argmax(meta["soft"], axis=1), 4)
        forward = jnp.sum(jnp.exp(log_s) * (log_s - log_p), axis=1)
        backward = jnp.sum(jnp.exp(log_p) * (log_p - log_s), axis=1)
        soft = jnp.where(symmetric, 0.5 * (forward + backward), forward)
        return jnp.mean(weight_of(meta) * jnp.where(hard, -jnp.sum(largest * log_p, axis=1), soft))

    def val(params):
        log_p = jax.nn.log_softmax(arrays["Xv"] @ params["head"]["W"].T + arrays["b"])
        return -jnp.mean(jnp.take_along_axis(log_p, arrays["yv"][:, None], axis=1))

    fisher = softmax_fisher(logits, weight_of(meta), 20)
    return train, val, {"head": {"W": jnp.asarray(arrays["W"])}}, meta, fisher


def problem_of(train, val, params, meta, curvature=None):
    """The `IHVPProblem` that `hypergradient` would pose."""

    def at_meta(p):
        return train(p, meta)

    curvature = curvature or hessian(at_meta)
    return IHVPProblem(at_meta, val, params, jax.grad(val)(params), curvature)


def matrix_of(product, like):
    """The matrix of a map of trees that are shaped as `like`."""
    flat, unravel = ravel_pytree(like)
    return jax.vmap(lambda e: ravel_pytree(product(unravel(e)))[0])(jnp.eye(flat.size, dtype=flat.dtype)).T


def close(actual, expected, **tolerance):
    """Every leaf of two trees of one structure."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), actual, expected)


def relative_error(actual, expected):
    """|actual - expected| / |expected| of trees."""
    return tree_norm(tree_add_scaled(actual, -1.0, expected)) / tree_norm(expected)


def errors_of(problem, found, expected):
    """{name: (error of the hypergradient, residual, curvature)} of several solvers; expected is the right one."""
    train, val, params, meta, curvature = problem

    def solved(solver):
        return hypergradient(train, val, params, meta, solver, curvature)

    exact, _ = solved(expected)
    answers = {name: solved(solver) for name, solver in found.items()}
    return {
        n: (relative_error(g, exact), report["residual"], report["curvature"]) for n, (g, report) in answers.items()
    }


def ridge(seed=0, dtype=np.float64, features=7, rows=12):
    """(train, val, solve, exact, meta): least squares with a weight exp(a_i) per row, a penalty exp(h_d) per feature.

        train(w) = 1/2 sum_i exp(a_i) (x_i w - y_i)^2 / rows + 1/2 sum_d exp(h_d) w_d^2
        H = X^T diag(exp a) X / rows + diag(exp h),    w* = H^-1 X^T (exp(a) * y) / rows        `solve(meta)`
        d/da_i grad_w train = exp(a_i) (x_i w - y_i) x_i / rows,    d/dh_d grad_w train = exp(h_d) w_d e_d

    so that with q = (H + damping)^-1 grad val, at any w,                            `exact(params, meta, damping)`
        d/da_i = -exp(a_i) (x_i w - y_i) (x_i q) / rows,    d/dh_d = -exp(h_d) w_d q_d
    A quadratic's Hessian does not depend on w. The parameters are w in two pieces, at two depths of a tree.
    """
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(rows, features)).astype(dtype), rng.normal(size=rows).astype(dtype)
    x_val, y_val = rng.normal(size=(rows, features)).astype(dtype), rng.normal(size=rows).astype(dtype)
    meta = {
        "row": {"a": jnp.asarray(rng.normal(size=rows) * 0.3, dtype), "none": None},
        "feature": jnp.asarray(rng.normal(size=features) * 0.3 - 1, dtype),
        "empty": {},
    }

    def whole(params):
        return jnp.concatenate([params["first"]["w"], params["rest"].ravel()])

    def split(w):
        return {"first": {"w": w[:3]}, "rest": w[3:].reshape(2, -1)}

    def train(params, meta):
        w, rest = whole(params), x @ whole(params) - y
        return 0.5 * jnp.mean(jnp.exp(meta["row"]["a"]) * rest**2) + 0.5 * jnp.sum(jnp.exp(meta["feature"]) * w**2)

    def val(params):
        return 0.5 * jnp.mean((x_val @ whole(params) - y_val) ** 2)

    def matrix(meta):
        return x.T @ (jnp.exp(meta["row"]["a"])[:, None] * x) / rows + jnp.diag(jnp.exp(meta["feature"]))

    def solve(meta):
        return split(jnp.linalg.solve(matrix(meta), x.T @ (jnp.exp(meta["row"]["a"]) * y) / rows))

    def exact(params, meta, damping):
        w = whole(params)
        slope = x_val.T @ (x_val @ w - y_val) / rows
        q = jnp.linalg.solve(matrix(meta) + damping * jnp.eye(features, dtype=dtype), slope)
        of_row = -jnp.exp(meta["row"]["a"]) * (x @ w - y) * (x @ q) / rows
        return {"row": {"a": of_row, "none": None}, "feature": -jnp.exp(meta["feature"]) * w * q, "empty": {}}

    return train, val, solve, exact, meta


def classifier(seed=0, features=5, rows=15, classes=3):
    """(train, val, solve, meta): softmax regression with a weight and soft labels per row and one learned penalty.

    Strongly convex, and not quadratic. solve(meta) gives its minimum by 12 steps of Newton's method from 0.
    """
    rng = np.random.default_rng(seed)
    x, x_val = rng.normal(size=(rows, features)), rng.normal(size=(rows, features))
    targets, of_val = rng.integers(0, classes, rows), jnp.eye(classes)[rng.integers(0, classes, rows)]
    meta = {
        "weight": jnp.asarray(rng.normal(size=rows) * 0.5),
        "soft": 2.0 * jnp.eye(classes)[targets] + 0.1 * rng.normal(size=(rows, classes)),
        "penalty": jnp.asarray(-2.0),
    }

    def train(w, meta):
        rows_of = -jnp.sum(jax.nn.softmax(meta["soft"]) * jax.nn.log_softmax(x @ w), axis=1)
        return jnp.mean(jax.nn.softplus(meta["weight"]) * rows_of) + jnp.exp(meta["penalty"]) * jnp.sum(w**2)

    def val(w):
        return -jnp.mean(jnp.sum(of_val * jax.nn.log_softmax(x_val @ w), axis=1))

    def solve(meta):
        def step(_, w):
            matrix = jax.hessian(train)(w, meta).reshape(w.size, w.size)
            return w - jnp.linalg.solve(matrix, jax.grad(train)(w, meta).ravel()).reshape(w.shape)

        return jax.lax.fori_loop(0, 12, step, jnp.zeros((features, classes)))

    return train, val, solve, meta


def bowls(shift, dtype=np.float64):
    """(train, val, params, meta) whose hypergradient is -v: train = 1/2 p M p - < meta, p >, val = < c, p >.

    M = diag(1, 2, 3, 4) + shift and c = (1, 1, 1, 1) but for a shift of 0, where c = 0. All arrays, so that problems
    can be stacked.
    """
    matrix = jnp.diag(jnp.arange(1.0, 5.0, dtype=dtype) + jnp.asarray(shift, dtype))
    c = jnp.where(jnp.asarray(shift) == 0, 0.0, jnp.ones(4, dtype)).astype(dtype)

    def train(p, meta):
        return 0.5 * p @ matrix @ p - meta @ p

    return train, lambda p: c @ p, jnp.ones(4, dtype), jnp.zeros(4, dtype)
