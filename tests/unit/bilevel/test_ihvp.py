"""Every solver against the dense solve or the step it stands for, and what a solver says when it cannot solve."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.hypergradient_problems import autodo, bowls, errors_of, golden, problem_of, relative_error, ridge
from helpers.settings import double_precision

from jaxaug.bilevel import ihvp
from jaxaug.bilevel.hypergradient import IHVPProblem, hypergradient
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import instantiate, list_names, options_of, resolve
from jaxaug.core.tree import tree_add_scaled, tree_norm, tree_scale, tree_vdot


def solvers(damping, **options):
    """Every linear solver, with steps enough for the problems here."""
    return {
        "conjugate_gradient": ihvp.conjugate_gradient(30, damping, unroll=False, **options),
        "gmres": ihvp.gmres(24, damping, **options),
        "bicgstab": ihvp.bicgstab(30, damping, **options),
    }


@pytest.mark.parametrize("curvature", ["hessian", "fisher"])
def test_solvers_agree_with_the_dense_solve(curvature):
    """AutoDO's problem: the Hessian of forward KL, and the Fisher matrix where that of symmetric KL is indefinite."""
    with double_precision():
        train, val, params, meta, fisher = autodo(golden(), False, curvature == "fisher")
        found = solvers(0.01, tolerance=1e-12)
        problem = (train, val, params, meta, fisher if curvature == "fisher" else None)
        for name, (error, residual, lowest) in jax.jit(lambda: errors_of(problem, found, ihvp.dense(0.01)))().items():
            assert error < 1e-10, name
            assert residual < 1e-11, name
            assert lowest > 0.01, name


def test_solvers_in_float32():
    """Asked for more than float32 can give they stop in time."""
    train, val, solve, _, meta = ridge(dtype=np.float32)
    problem, found = (train, val, solve(meta), meta, None), solvers(0.01, tolerance=0.0)
    for name, (error, residual, lowest) in jax.jit(lambda: errors_of(problem, found, ihvp.dense(0.01)))().items():
        assert error < 1e-5, name
        assert residual < 2e-6, name
        assert 0.1 < lowest < np.inf, name


def test_an_indefinite_curvature_is_told():
    """The Hessian of symmetric KL is indefinite for a linear classifier: GMRES solves it, conjugate gradients stop."""
    with double_precision():
        arrays = golden()
        train, val, params, meta, fisher = autodo(arrays, False, True)
        exact, steps = ihvp.gmres(24, 1e-3, tolerance=1e-12), {"steps": 60, "unroll": False}

        @jax.jit
        def everything():
            by_gmres = hypergradient(train, val, params, meta, exact)
            problem = problem_of(train, val, params, meta)
            v, report = ihvp.conjugate_gradient(damping=1e-3, **steps)(problem)
            rest = tree_add_scaled(problem.operator(1e-3)(v), 1.0, problem.gradient)
            residual = tree_norm(rest) / tree_norm(problem.gradient)
            by_fisher = problem._replace(curvature=fisher)
            others = [ihvp.conjugate_gradient(damping=d, **steps)(by_fisher)[1] for d in (1e-6, 1e-3)]
            return by_gmres, (tree_vdot(v, problem.gradient), report, residual), others

        (gradient, of_gmres), (descent, report, residual), others = everything()
        np.testing.assert_allclose(gradient["weight"], arrays["BOTH_sym1_exact_dW"], rtol=1e-8)
        assert of_gmres["curvature"] < 0
        assert report["curvature"] <= 0
        assert descent < 0
        np.testing.assert_allclose(report["residual"], residual)
        for report in others:
            assert report["curvature"] > 0
            assert report["residual"] < 1e-5


def test_conjugate_gradients_never_get_worse(precision):
    """1/2 x A x + g x falls with each step, also far beyond the 7 dimensions and with no tolerance left."""
    train, val, solve, _, meta = ridge(dtype=precision)

    @jax.jit
    def after(params):
        problem = problem_of(train, val, params, meta)
        product = problem.operator()
        small = problem._replace(gradient=tree_scale(1e-12, problem.gradient))
        found = []
        for steps in (1, 2, 4, 7, 40):
            solver = ihvp.conjugate_gradient(steps, 0.0, tolerance=0.0, unroll=False)
            v, report = solver(problem if steps < 40 else small)
            v = v if steps < 40 else tree_scale(1e12, v)
            height = 0.5 * tree_vdot(v, product(v)) + tree_vdot(v, problem.gradient)
            found.append((height, report["residual"], report["curvature"]))
        coarse = ihvp.conjugate_gradient(40, 0.0, tolerance=0.05, unroll=False)(problem)[1]["residual"]
        return *jnp.array(found).T, coarse

    heights, residuals, lowest, coarse = after(jax.tree.map(lambda w: w + 1, solve(meta)))
    assert np.all(np.diff(heights) < (1e-12 if precision == "float64" else 1e-5))
    assert heights[0] > heights[1] > heights[2] > heights[3]
    assert residuals[-1] < (1e-15 if precision == "float64" else 1e-6)
    assert 1e-3 < coarse < 0.05
    assert np.all((lowest > 0.1) & (lowest < np.inf))


def test_many_runs_at_once():
    """vmap over a bowl, a saddle, a hill and a problem with g = 0 equals one after the other."""
    shifts = jnp.array([0.5, -3.3, -9.0, 0.0])
    several = {
        **solvers(0.1),
        "written out": ihvp.conjugate_gradient(5, 0.1),
        "relative": ihvp.dense(0.2, relative=True),
        "neumann": ihvp.neumann(2, 0.1),
        "unrolled": ihvp.unrolled(0.1),
    }

    def one(shift):
        return {name: hypergradient(*bowls(shift, np.float32), d) for name, d in several.items()}

    together, single = jax.jit(jax.vmap(one))(shifts), jax.jit(one)
    for i, shift in enumerate(shifts):
        part = jax.tree.map(lambda x, i=i: x[i], together)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5), part, single(shift))
    for name, (gradient, report) in together.items():
        assert not jnp.any(gradient[3]), name
        assert jnp.all(jnp.isfinite(report["residual"])), name
        assert report["curvature"][0] > 0 < report["curvature"][3] == jnp.inf, name
    # 0.2 times |the mean of 1.5, 2.5, 3.5, 4.5| and of -2.3, -1.3, -0.3, 0.7.
    expected = 1 / np.array([[2.1, 3.1, 4.1, 5.1], [-2.14, -1.14, -0.14, 0.86]])
    np.testing.assert_allclose(together["relative"][0][:2], expected, rtol=1e-5)
    for name in ("conjugate_gradient", "written out"):
        gradient, report = together[name]
        np.testing.assert_allclose(gradient[0], 1 / np.array([1.6, 2.6, 3.6, 4.6]), rtol=1e-5)
        assert report["curvature"][1] < 0
        # On the hill the first direction is one of negative curvature: v = -g stays, and the hypergradient is -v.
        np.testing.assert_allclose(gradient[2], jnp.ones(4), rtol=1e-6)
        np.testing.assert_allclose(report["curvature"][2], -6.4, rtol=1e-6)
        np.testing.assert_allclose(report["residual"][2], np.linalg.norm(np.arange(1, 5) - 9.9) / 2, rtol=1e-6)


def test_neumann():
    """It tends to the solution; scaled or not it differs by the rate; no step is the identity."""
    (train, val, params, meta), m = bowls(0.5, np.float32), np.arange(1, 5) + 0.5
    chosen = [ihvp.neumann(n, 0.3, scaled=s) for n, s in ((60, True), (3, True), (0, True), (3, False))]
    found = jax.jit(lambda: [hypergradient(train, val, params, meta, solver) for solver in chosen])()
    (long, of_long), (short, of_short), (none, of_none), (unscaled, _) = found
    np.testing.assert_allclose(long, 1 / m, rtol=1e-6)
    np.testing.assert_allclose(of_long["curvature"], 1.5, rtol=1e-6)
    np.testing.assert_allclose(short, (1 - (1 - 0.3 * m) ** 4) / m, rtol=1e-5)
    np.testing.assert_allclose(of_short["residual"], np.linalg.norm((1 - 0.3 * m) ** 3) / 2, rtol=1e-5)
    np.testing.assert_allclose(unscaled * 0.3, short, rtol=1e-6)
    np.testing.assert_allclose(none, 0.3 * np.ones(4), rtol=1e-6)
    assert of_none["curvature"] == jnp.inf


def test_unrolled_is_the_derivative_through_one_step(precision):
    train, val, params, meta, _ = autodo(golden(precision), False, True)

    @jax.jit
    def both(meta):
        def after(meta):
            return val(tree_add_scaled(params, -0.7, jax.grad(train)(params, meta)))

        found = hypergradient(train, val, params, meta, ihvp.unrolled(0.7))
        return relative_error(found[0], jax.grad(after)(meta)), found[1]

    error, report = both(meta)
    assert error < (1e-12 if precision == "float64" else 1e-5)
    assert report["residual"] == 0 < report["curvature"] == jnp.inf


def small(product):
    return IHVPProblem(None, None, jnp.ones(3), jnp.ones(3), lambda _: product)


def test_numbers_that_overflow_are_told():
    """A curvature of NaN is no curvature: what is reported is 0, which promises nothing, and v = -g stays."""
    chosen = (ihvp.conjugate_gradient(2), ihvp.dense(), ihvp.neumann(2))
    found = jax.jit(lambda: [solver(small(lambda v: v * jnp.nan)) for solver in chosen])()
    assert all(report["curvature"] == 0 for _, report in found)
    np.testing.assert_allclose([v for v, _ in found[:2]], -np.ones((2, 3)), rtol=1e-6)
    assert jnp.isnan(found[0][1]["residual"])


def test_a_curvature_need_not_be_symmetric():
    matrix = jnp.array([[2.0, 1.0, 0.0], [0.0, 1.0, 0.5], [0.3, 0.0, 1.5]])
    chosen = (ihvp.dense(0.0), ihvp.gmres(3, 0.0), ihvp.bicgstab(6, 0.0))
    for v, _ in jax.jit(lambda: [solver(small(lambda p: matrix @ p)) for solver in chosen])():
        np.testing.assert_allclose(v, -np.linalg.solve(matrix, np.ones(3)), rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("conjugate_gradient", {"steps": 0}, "conjugate_gradient: steps must be at least 1, got 0"),
        ("conjugate_gradient", {"damping": float("nan")}, "damping must be at least 0, got nan"),
        ("gmres", {"tolerance": 1.0}, r"gmres: tolerance must be in \[0, 1\), got 1.0"),
        ("neumann", {"steps": -1}, "neumann: steps must be at least 0, got -1"),
        ("unrolled", {"rate": 0.0}, "unrolled: rate must be above 0, got 0.0"),
        ("dense", {"damping": -1.0}, "dense: damping must be at least 0"),
    ],
)
def test_mistaken_options(name, options, message):
    with pytest.raises(UsageError, match=message):
        getattr(ihvp, name)(**options)


def test_a_dense_solve_has_a_limit():
    problem = small(None)._replace(gradient=jnp.ones(10_001))
    with pytest.raises(UsageError, match="10001 parameters are more than 10000; take conjugate_gradient"):
        ihvp.dense(0.0)(problem)


def test_a_config_can_find_and_set_every_solver():
    names = list_names("solver")
    assert len(names) >= 8
    for name in names:
        parameters = inspect.signature(resolve("solver", name)).parameters.values()
        assert all(p.default is not p.empty for p in parameters), name
        assert all(option.meaning for option in options_of(resolve("solver", name))), name
        assert callable(instantiate("solver", name))
