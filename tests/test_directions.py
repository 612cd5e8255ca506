"""Every direction against the dense solve or the step it stands for, and what a solver says when it cannot solve."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import double_precision
from hypergradient_problems import autodo, bowls, golden, ridge

from jaxaug.errors import UsageError
from jaxaug.search import directions, implicit

SOLVERS = {
    "unrolled steps": lambda damping, **o: directions.conjugate_gradient(20, damping, unroll=True, **o),
    "looped steps": lambda damping, **o: directions.conjugate_gradient(30, damping, unroll=False, **o),
    "gmres": lambda damping, **o: directions.gmres(24, damping, **o),
    "bicgstab": lambda damping, **o: directions.bicgstab(40, damping, **o),
}


def relative_error(actual, expected):
    distance = implicit.norm(implicit.add_scaled(actual, -1.0, expected))
    return float(distance / implicit.norm(expected))


def cases(precision):
    """(name, train, val, params, hyper, curvature) of systems that are positive definite once they are damped."""
    arrays = golden(precision)
    train, val, params, hyper, _, _ = autodo(arrays, "BOTH", 0)
    yield "hessian of forward KL", train, val, params, hyper, None
    train, val, params, hyper, logits, weight = autodo(arrays, "BOTH", 1)
    yield "fisher of symmetric KL", train, val, params, hyper, implicit.softmax_fisher(logits, weight, 20)
    train, val, solve, _, hyper = ridge(dtype=precision)
    yield "ridge", train, val, solve(hyper), hyper, None


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_agree_with_the_dense_solve(name, precision):
    for _, train, val, params, hyper, curvature in cases(precision):
        expected, _ = implicit.hypergradient(train, val, params, hyper, directions.dense(0.01), curvature)
        direction = SOLVERS[name](0.01, tolerance=0.0 if precision == "float32" else 1e-12)
        found, report = implicit.hypergradient(train, val, params, hyper, direction, curvature)
        assert relative_error(found, expected) < (1e-10 if precision == "float64" else 1e-5)
        assert report["residual"] < (1e-11 if precision == "float64" else 3e-6)
        assert report["curvature"] > 0.009


def test_gmres_solves_an_indefinite_system():
    with double_precision():
        arrays = golden()
        train, val, params, hyper, _, _ = autodo(arrays, "BOTH", 1)
        direction = directions.gmres(24, 1e-3, tolerance=1e-12)
        gradient, report = implicit.hypergradient(train, val, params, hyper, direction)
        np.testing.assert_allclose(gradient["weight"], arrays["BOTH_sym1_exact_dW"], rtol=1e-8)
        assert report["curvature"] < 0


@pytest.mark.parametrize("unroll", [True, False])
def test_conjugate_gradients_tell_of_an_indefinite_curvature(unroll, precision):
    """The Hessian of symmetric KL is indefinite for a linear classifier; its Fisher matrix never is."""
    train, val, params, hyper, logits, weight = autodo(golden(precision), "SOFT", 1)
    direction = directions.conjugate_gradient(12, 1e-3, unroll=unroll)

    def at_hyper(p):
        return train(p, hyper)

    problem = implicit.Problem(at_hyper, val, params, jax.grad(val)(params), implicit.hessian(at_hyper))
    v, report = direction(problem)
    assert float(report["curvature"]) <= 0
    rest = implicit.add_scaled(problem.operator(1e-3)(v), 1.0, problem.gradient)
    expected = implicit.norm(rest) / implicit.norm(problem.gradient)
    np.testing.assert_allclose(report["residual"], expected, rtol=1e-3)
    assert implicit.inner(v, problem.gradient) < 0
    fisher = implicit.softmax_fisher(logits, weight, 20)
    for damping in (1e-6, 1e-3):
        direction = directions.conjugate_gradient(60, damping, unroll=False)
        _, report = implicit.hypergradient(train, val, params, hyper, direction, fisher)
        assert report["curvature"] > 0
        assert report["residual"] < 1e-5


def test_a_first_direction_of_negative_curvature_leaves_the_gradient():
    train, val, params, hyper = bowls(-9.0, np.float32)
    for unroll in (True, False):
        direction = directions.conjugate_gradient(5, 0.5, unroll=unroll)
        gradient, report = implicit.hypergradient(train, val, params, hyper, direction)
        np.testing.assert_allclose(gradient, jnp.ones(4))  # -v, and v = -g
        assert report["curvature"] == -6  # the mean of -7.5, -6.5, -5.5, -4.5
        np.testing.assert_allclose(report["residual"], np.linalg.norm(np.arange(-7.5, -4) - 1) / 2, rtol=1e-6)


def test_conjugate_gradients_never_get_worse(precision):
    """1/2 x A x + g x falls with each step, also far beyond the dimension and with no tolerance left."""
    train, val, solve, _, hyper = ridge(dtype=precision)
    params = jax.tree.map(lambda w: w + 1, solve(hyper))
    product, slope = implicit.hessian(lambda p: train(p, hyper))(params), jax.grad(val)(params)
    problem = implicit.Problem(None, val, params, slope, lambda _: product)
    heights, reports = [], []
    for steps in (1, 2, 3, 4, 5, 6, 7, 12, 40):
        v, report = directions.conjugate_gradient(steps, 0.0, tolerance=0.0, unroll=False)(problem)
        heights.append(float(0.5 * implicit.inner(v, product(v)) + implicit.inner(v, slope)))
        reports.append(report)
    rounding = 1e-12 if precision == "float64" else 1e-5
    assert np.all(np.diff(heights) < rounding)
    assert heights[0] > heights[3] > heights[6]
    assert np.isfinite(heights).all()
    assert all(0.1 < report["curvature"] < jnp.inf for report in reports)
    assert reports[-1]["residual"] < (1e-15 if precision == "float64" else 1e-6)
    tiny = problem._replace(gradient=implicit.times(1e-15, slope))
    v, report = directions.conjugate_gradient(12, 0.0, unroll=False)(tiny)
    assert relative_error(implicit.times(1e15, v), v_of(problem)) < (1e-4 if precision == "float32" else 1e-5)
    assert report["curvature"] > 0.1


def v_of(problem):
    return directions.dense(0.0)(problem)[0]


DIRECTIONS = {
    **SOLVERS,
    "dense": lambda damping: directions.dense(damping),
    "neumann": lambda damping: directions.neumann(4, 0.1),
    "identity": lambda damping: directions.identity(),
    "unrolled": lambda damping: directions.unrolled(0.1),
}


@pytest.mark.parametrize("name", DIRECTIONS)
def test_many_runs_at_once(name):
    """vmap over a bowl, a saddle and a problem with g = 0 equals one after the other."""
    direction = DIRECTIONS[name](0.1)
    shifts = jnp.array([0.5, -3.3, 0.0])

    def one(shift):
        return implicit.hypergradient(*bowls(shift, np.float32), direction)

    together = jax.jit(jax.vmap(one))(shifts)
    single = jax.jit(one)
    for i, shift in enumerate(shifts):
        alone = single(shift)
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=2e-4, atol=1e-5), together, alone)
    gradient, report = together
    assert not jnp.any(gradient[2]) or name == "unrolled"
    assert not jnp.any(jnp.isnan(report["curvature"]))
    if name not in ("identity", "unrolled"):
        assert report["curvature"][0] > 0
        assert report["curvature"][2] == jnp.inf
        assert jnp.all(jnp.isfinite(report["residual"]))


def test_neumann(precision):
    """It tends to the solution; scaled or not it differs by the rate; no step is the identity."""
    train, val, params, hyper = bowls(0.5, precision)
    expected, _ = implicit.hypergradient(train, val, params, hyper, directions.dense(0.0))
    found, report = implicit.hypergradient(train, val, params, hyper, directions.neumann(60, 0.3))
    assert relative_error(found, expected) < 1e-6
    assert 1.5 <= report["curvature"] < 1.6
    short, report = implicit.hypergradient(train, val, params, hyper, directions.neumann(3, 0.3))
    before, _ = implicit.hypergradient(train, val, params, hyper, directions.neumann(2, 0.3))
    m = np.arange(1, 5) + 0.5
    np.testing.assert_allclose(report["residual"], np.linalg.norm(m * before - 1) / 2, rtol=1e-5)
    unscaled, _ = implicit.hypergradient(train, val, params, hyper, directions.neumann(3, 0.3, scaled=False))
    np.testing.assert_allclose(unscaled * 0.3, short, rtol=1e-6)
    none, report = implicit.hypergradient(train, val, params, hyper, directions.neumann(0, scaled=False))
    same, _ = implicit.hypergradient(train, val, params, hyper, directions.identity())
    np.testing.assert_array_equal(none, same)
    assert report["curvature"] == jnp.inf


def test_unrolled_is_the_derivative_through_one_step(precision):
    train, val, params, hyper, _, _ = autodo(golden(precision), "BOTH", 1)

    def after(hyper):
        return val(implicit.add_scaled(params, -0.7, jax.grad(train)(params, hyper)))

    gradient, report = implicit.hypergradient(train, val, params, hyper, directions.unrolled(0.7))
    assert relative_error(gradient, jax.grad(after)(hyper)) < (1e-12 if precision == "float64" else 1e-5)
    assert report["residual"] == 0
    assert report["curvature"] == jnp.inf


def test_numbers_that_overflow_are_told():
    """A curvature of NaN is no curvature: what is reported is 0, which promises nothing."""
    problem = implicit.Problem(None, None, jnp.ones(3), jnp.ones(3), lambda _: lambda v: v * jnp.nan)
    for direction in (directions.conjugate_gradient(3), directions.neumann(3), directions.dense()):
        assert direction(problem)[1]["curvature"] == 0
    v, report = directions.conjugate_gradient(3)(problem)
    np.testing.assert_allclose(v, -jnp.ones(3), rtol=1e-6)
    assert jnp.isnan(report["residual"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: directions.conjugate_gradient(0), "conjugate_gradient': steps must be at least 1, got 0"),
        (lambda: directions.conjugate_gradient(damping=-1.0), "damping must be at least 0, got -1.0"),
        (lambda: directions.conjugate_gradient(damping=float("nan")), "damping must be at least 0, got nan"),
        (lambda: directions.gmres(tolerance=1.0), r"gmres': tolerance must be in \[0, 1\), got 1.0"),
        (lambda: directions.bicgstab(steps=-2), "bicgstab': steps must be at least 1"),
        (lambda: directions.neumann(-1), "neumann': steps must be at least 0, got -1"),
        (lambda: directions.neumann(rate=0.0), "neumann': rate must be above 0"),
        (lambda: directions.unrolled(-0.1), "unrolled': rate must be above 0, got -0.1"),
        (lambda: directions.dense(-1.0), "dense': damping must be at least 0"),
    ],
)
def test_mistaken_options(call, message):
    with pytest.raises(UsageError, match=message):
        call()


def test_a_dense_solve_has_a_limit():
    problem = implicit.Problem(None, None, jnp.ones(10_001), jnp.ones(10_001), lambda _: lambda v: v)
    with pytest.raises(UsageError, match="10001 parameters are more than 10000; take conjugate_gradient"):
        directions.dense()(problem)


def test_a_config_can_find_and_set_every_direction():
    functions = [
        f for n, f in vars(directions).items() if inspect.isfunction(f) and f.__module__ == directions.__name__
    ]
    public = [f for f in functions if not f.__name__.startswith("_")]
    assert len(public) >= 7
    for function in public:
        signature = inspect.signature(function)
        assert signature.return_annotation == "Direction"
        assert all(p.default is not p.empty for p in signature.parameters.values())
