"""The one derivative: AutoDO's own numbers, closed forms, and the truth by solving the inner problem again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.hypergradient_problems import (
    autodo,
    classifier,
    close,
    golden,
    matrix_of,
    problem_of,
    relative_error,
    ridge,
)
from helpers.settings import double_precision
from jax.flatten_util import ravel_pytree

from jaxaug.bilevel import ihvp
from jaxaug.bilevel.hypergradient import finite_difference, gauss_newton, hypergradient
from jaxaug.core.errors import UsageError
from jaxaug.core.tree import tree_add_scaled, tree_scale, tree_vdot


def test_autodo_golden():
    """AutoDO's released procedure: unscaled Neumann sums; and the dense solve, where H may be indefinite."""
    with double_precision():
        arrays = golden()
        rate, damping = float(arrays["alpha"]), float(arrays["damping"])

        @jax.jit
        def everything(hard, symmetric):
            train, val, params, meta, _ = autodo(arrays, hard, symmetric)
            problem = problem_of(train, val, params, meta)
            found = {"tLoss": train(params, meta), "g0": jax.grad(train)(params, meta)["head"]["W"]}
            found |= {"H": matrix_of(problem.operator(), params), "vLoss": val(params)}
            for steps in (0, 1, 5, 20):
                solver = ihvp.neumann(steps, rate, scaled=False)
                gradient, report = hypergradient(train, val, params, meta, solver)
                found |= {f"it{steps}_dW": gradient["weight"], f"it{steps}_dS": gradient["soft"]}
                found[f"it{steps}_v2"] = solver(problem)[0]["head"]["W"]
            gradient, _ = hypergradient(train, val, params, meta, ihvp.dense(damping))
            found |= {"exact_dW": gradient["weight"], "exact_dS": gradient["soft"]}
            return found, problem.gradient["head"]["W"], report

        compared = 0
        for mode, learned in {"WGHT": "W", "SOFT": "S", "BOTH": "WS"}.items():
            for symmetric in (0, 1):
                found, v, report = everything(mode == "WGHT", symmetric)
                close(v, arrays["v"], rtol=1e-12, atol=1e-14)
                np.testing.assert_allclose(report["validation_loss"], found["vLoss"], rtol=1e-6)
                names = [name for name in found if name[-2:] not in ("dW", "dS") or name[-1] in learned]
                for name in names:
                    exact = "exact" in name
                    expected = arrays[f"{mode}_sym{symmetric}_{name}"]
                    close(found[name], expected, rtol=1e-10, atol=1e-10 if exact else 1e-13)
                compared += len(names)
        assert compared == 6 * 8 + 8 * 5


def test_ridge_has_the_closed_form(precision):
    """Hyperparameters per row and per feature; nested trees, None and empty dicts."""
    train, val, solve, exact, meta = ridge(dtype=precision)
    params = jax.tree.map(lambda w: w + 0.1, solve(meta))
    tolerance = {"rtol": 1e-9, "atol": 1e-12} if precision == "float64" else {"rtol": 1e-4, "atol": 1e-5}

    @jax.jit
    def both(params, meta):
        solver = ihvp.conjugate_gradient(8, 0.1, tolerance=1e-12, unroll=False)
        return *hypergradient(train, val, params, meta, solver), exact(params, meta, 0.1)

    gradient, report, expected = both(params, meta)
    close(gradient, expected, **tolerance)
    assert sorted(report) == ["curvature", "residual", "validation_loss"]
    assert {(x.shape, str(x.dtype)) for x in report.values()} == {((), "float32")}
    assert {str(x.dtype) for x in jax.tree.leaves(gradient)} == {precision}


def test_the_truth_of_a_quadratic():
    """At the inner minimum it is the derivative of val(solve(meta)), here by automatic differentiation."""
    with double_precision():
        train, val, solve, _, meta = ridge(seed=1)

        @jax.jit
        def both(meta):
            gradient, _ = hypergradient(train, val, solve(meta), meta, ihvp.dense(0.0))
            return gradient, jax.grad(lambda h: val(solve(h)))(meta)

        close(*both(meta), rtol=1e-9, atol=1e-12)


def test_the_truth_of_a_classifier():
    """The same by finite differences: the inner problem is solved again for every changed hyperparameter."""
    with double_precision():
        train, val, solve, meta = classifier()
        rng = np.random.default_rng(0)
        along = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=(3, *x.shape))), meta)
        after = jax.vmap(lambda a, step: val(solve(tree_add_scaled(meta, step, a))), (0, None))
        solvers = ihvp.dense(0.0), ihvp.conjugate_gradient(40, 0.0, tolerance=1e-12, unroll=False)

        @jax.jit
        def everything():
            params = solve(meta)
            found = [hypergradient(train, val, params, meta, solver)[0] for solver in solvers]
            found = [jax.vmap(lambda a, g=g: tree_vdot(g, a))(along) for g in found]
            slopes = jax.lax.map(lambda step: after(along, step), jnp.array([1e-5, -1e-5]))
            return jax.grad(train)(params, meta), found, (slopes[0] - slopes[1]) / 2e-5

        rest, found, expected = everything()
        assert jnp.max(jnp.abs(rest)) < 1e-14
        for slopes in found:
            np.testing.assert_allclose(slopes, expected, rtol=1e-6)


def test_differences(precision):
    """Central differences of two gradients: the error falls with the square of the step."""
    train, val, params, meta, _ = autodo(golden(precision), False, True)

    @jax.jit
    def everything(params):
        v = jax.tree.map(jnp.negative, jax.grad(val)(params))
        exact, _ = hypergradient(train, val, params, meta, ihvp.identity())
        found = [finite_difference(train, params, meta, v, epsilon) for epsilon in (0.04, 0.02, 0.01)]
        errors = [relative_error(f, exact) for f in found]
        return errors, found[0], finite_difference(train, params, meta, tree_scale(0.0, v))

    errors, found, still = everything(params)
    assert jax.tree.structure(found) == jax.tree.structure(meta)
    assert errors[-1] < (1e-5 if precision == "float64" else 1e-4)
    if precision == "float64":
        np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 4, rtol=0.02)
    close(still, jax.tree.map(jnp.zeros_like, meta), atol=1e-5)


def test_the_fisher_matrix():
    """sum_i w_i (diag p - p p^T) x x^T / rows: also the Hessian of cross-entropy and KL, but not of symmetric KL."""
    with double_precision():
        arrays = golden()
        _, _, params, _, fisher = autodo(arrays, False, True)
        x, weight = arrays["Xt"], 1.4427 * np.log1p(np.exp(arrays["hyperW"]))
        p = np.exp(x @ arrays["W"].T + arrays["b"])
        p /= p.sum(axis=1, keepdims=True)
        of_logits = np.stack([np.diag(row) - np.outer(row, row) for row in p])
        by_hand = np.einsum("n,nkl,nd,ne->kdle", weight / 20, of_logits, x, x).reshape(24, 24)
        found = jax.jit(lambda p: matrix_of(fisher(p), p))(params)
        close(found, by_hand, rtol=0, atol=1e-14)
        close(found, arrays["BOTH_sym0_H"], rtol=0, atol=1e-12)
        assert np.max(np.abs(found - arrays["BOTH_sym1_H"])) > 0.01
        assert np.linalg.eigvalsh(found)[0] > -1e-12


def test_gauss_newton_of_a_network(precision):
    """J^T H J written out, for outputs that are a tree and a loss that couples them."""
    rng = np.random.default_rng(0)
    x, w = (jnp.asarray(rng.normal(size=shape), precision) for shape in ((6, 3), (3, 4)))

    def outputs(w):
        hidden = jnp.tanh(x @ w)
        return {"a": hidden[:, :2], "b": [hidden[:, 2:].sum(axis=1)]}

    def loss(z):
        return jax.nn.logsumexp(jnp.concatenate([z["a"].ravel(), z["b"][0]])) + jnp.sum(z["b"][0] ** 2 * z["a"][:, 0])

    @jax.jit
    def both(w):
        z, unravel = ravel_pytree(outputs(w))
        jacobian = jax.jacobian(lambda w: ravel_pytree(outputs(w))[0])(w).reshape(18, 12)
        by_hand = jacobian.T @ jax.hessian(lambda z: loss(unravel(z)))(z) @ jacobian
        return matrix_of(gauss_newton(outputs, loss)(w), w), by_hand

    close(*both(w), rtol=1e-4, atol=1e-12 if precision == "float64" else 1e-5)


def test_no_derivative_goes_through_the_solver():
    """The ridge hypergradient of `feature` is exp(h) w v: with v held fixed its derivative is itself."""
    train, val, solve, _, meta = ridge(dtype=np.float32)
    params = solve(meta)

    @jax.jit
    def both(feature):
        def gradient(feature):
            given = meta | {"feature": feature}
            return hypergradient(train, val, params, given, ihvp.dense())[0]["feature"]

        return jax.grad(lambda h: gradient(h).sum())(feature), gradient(feature)

    close(*both(meta["feature"]), rtol=1e-5)


def test_the_curvature_is_linearised_once():
    """However many products a solver takes, the loss is traced as often."""
    calls = []
    train, val, solve, _, meta = ridge(dtype=np.float32)

    def counted(params, meta):
        calls.append(1)
        return train(params, meta)

    def traced(params, steps):
        return hypergradient(counted, val, params, meta, ihvp.conjugate_gradient(steps))

    numbers = []
    for steps in (1, 7):
        calls.clear()
        jax.eval_shape(lambda p, s=steps: traced(p, s), solve(meta))
        numbers.append(len(calls))
    assert numbers == [2, 2]


def test_mistakes_in_what_is_given():
    train, val, solve, _, meta = ridge(dtype=np.float32)
    params, identity = solve(meta), ihvp.identity()
    with pytest.raises(UsageError, match=r"meta\['feature'\] must be floating-point numbers, got int32"):
        hypergradient(train, val, params, meta | {"feature": jnp.zeros(7, jnp.int32)}, identity)
    with pytest.raises(UsageError, match=r"params\['k'\] must be floating"):
        hypergradient(train, val, {"k": 3}, meta, identity)
    with pytest.raises(UsageError, match="params hold no array"):
        hypergradient(train, val, {}, meta, identity)
    with pytest.raises(UsageError, match="finite_difference: epsilon must be above 0"):
        finite_difference(train, params, meta, params, 0.0)


def test_nothing_to_tune():
    """A meta without arrays gives itself back."""
    _, val, solve, _, meta = ridge(dtype=np.float32)
    solver = ihvp.identity()
    gradient, _ = hypergradient(lambda p, h: val(p), val, solve(meta), {"none": None, "own": {}}, solver)
    assert gradient == {"none": None, "own": {}}


def test_the_default_solver_is_five_conjugate_gradients():
    train, val, solve, _, meta = ridge(dtype=np.float32)
    params = solve(meta)

    @jax.jit
    def both():
        return [hypergradient(train, val, params, meta, *s)[0] for s in ((), (ihvp.conjugate_gradient(5),))]

    close(*both(), rtol=0)
