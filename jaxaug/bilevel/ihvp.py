"""Solvers of the inverse-Hessian-vector product: what v of `hypergradient` a search follows.

g is the gradient of the validation loss and A the curvature of the training loss, both at the current parameters. Each
function takes options and returns an `IHVPSolver`. No derivative is taken through any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.scipy.sparse import linalg

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.tree import rayleigh_quotient, safe_divide, tree_add_scaled, tree_norm, tree_scale, tree_vdot
from jaxaug.core.types import Tree

Product = Callable[[Tree], Tree]  # v -> A v
Curvature = Callable[[Tree], Product]  # params -> the product there

# 400 MB in float32: room for the classifier of a WideResNet-28-10 (6,410 numbers).
LARGEST_DENSE = 10_000


class IHVPProblem(NamedTuple):
    """What a solver may look at.

    Attributes:
      train_loss: params -> [], the training loss at the given meta.
      val_loss: params -> [], the validation loss.
      params: where the derivative is taken, a tree of floating-point arrays.
      gradient: g, of val_loss at params.
      curvature: params -> (v -> A v), with v and A v like params; A stands for the Hessian of train_loss.
    """

    train_loss: Callable[[Tree], jax.Array]
    val_loss: Callable[[Tree], jax.Array]
    params: Tree
    gradient: Tree
    curvature: Curvature

    def operator(self, damping: float = 0.0, relative: bool = False) -> Product:
        """The map v -> A v + damping v at params. Each call linearises anew: take it once, outside of any loop.

        Args:
          damping: what is added to the diagonal of A, at least 0.
          relative: damping is a share of |g^T A g| / g^T g.
        """
        product, scale = self.curvature(self.params), jnp.ones(())
        if not damping:
            return product
        if relative:
            along = jnp.abs(rayleigh_quotient(self.gradient, product(self.gradient)))
            scale = jnp.where(along < jnp.inf, along, scale)
        return lambda v: tree_add_scaled(product(v), damping * scale, v)


IHVPSolver = Callable[[IHVPProblem], tuple[Tree, dict[str, jax.Array]]]
"""problem -> (v like params, report). The report may hold "residual" and "curvature", [] each: see `hypergradient`."""


@register("solver")
def identity() -> IHVPSolver:
    """v = -g, as if A were the identity: T1-T2 (Luketina et al. 2016), and first-order DARTS up to scale."""
    return lambda problem: (tree_scale(-1.0, problem.gradient), {})


@register("solver")
def unrolled(rate: float = 0.01) -> IHVPSolver:
    """v = -rate grad val_loss(params - rate grad train_loss(params)), one SGD step ahead (DARTS, equation 7; DADA).

    The hypergradient is then the derivative of val_loss after that step.

    Args:
      rate: the learning rate of that step, above 0.
    """
    _require("unrolled", rate > 0, f"rate must be above 0, got {rate}")

    def solve(problem: IHVPProblem) -> tuple[Tree, dict[str, jax.Array]]:
        ahead = tree_add_scaled(problem.params, -rate, jax.grad(problem.train_loss)(problem.params))
        return tree_scale(-rate, jax.grad(problem.val_loss)(ahead)), {}

    return solve


@register("solver")
def neumann(steps: int = 5, rate: float = 0.01, *, scaled: bool = True) -> IHVPSolver:
    """v = -rate * sum_{j=0..steps} (I - rate A)^j g, which tends to -A^-1 g (Lorraine et al. 2020, algorithm 3).

    Its residual is that of the sum without its last term, which needs no further product.

    Args:
      steps: products with A, at least 0; 0 is the identity.
      rate: above 0, and below 2 over the largest eigenvalue of A or the sum diverges.
      scaled: False leaves out the factor rate, as AutoDO's released code does.
    """
    _require("neumann", steps >= 0, f"steps must be at least 0, got {steps}")
    _require("neumann", rate > 0, f"rate must be above 0, got {rate}")

    def solve(problem: IHVPProblem) -> tuple[Tree, dict[str, jax.Array]]:
        product, lowest = problem.operator(), jnp.asarray(jnp.inf)
        term = total = problem.gradient
        for _ in range(steps):
            image = product(term)
            lowest = jnp.minimum(lowest, rayleigh_quotient(term, image))
            term = tree_add_scaled(term, -rate, image)
            total = tree_add_scaled(total, 1.0, term)
        residual = safe_divide(tree_norm(term), tree_norm(problem.gradient))
        return tree_scale(-rate if scaled else -1.0, total), {"residual": residual, "curvature": lowest}

    return solve


class _Solve(NamedTuple):
    """A conjugate gradient solve under way: iterate x, residual r = b - A x, next direction p (0: it has ended).

    lowest []: the smallest p^T A p / p^T p so far; taken []: how many steps.
    """

    x: Tree
    r: Tree
    p: Tree
    lowest: jax.Array
    taken: jax.Array


@register("solver")
def conjugate_gradient(
    steps: int = 5, damping: float = 0.1, *, relative: bool = False, tolerance: float = 1e-5, unroll: bool = True
) -> IHVPSolver:
    """(A + damping I) v = -g by at most `steps` >= 1 steps of conjugate gradients (Hestenes and Stiefel 1952).

    At a direction p with p^T (A + damping I) p <= 0 it keeps what it has, or -g if that is the first direction
    (Steihaug 1983); the reported curvature is then <= 0. Give it more damping, or a `softmax_fisher`.

    Args:
      steps: the most steps, each one product with A; at least 1.
      damping: what is added to the diagonal of A, at least 0.
      relative: damping is a share of |g^T A g| / g^T g, because A grows with the square of a classifier's features;
        that costs one more product.
      tolerance: where the solve ends, the residual as a share of |g|, in [0, 1). It ends at the precision of the
        numbers in any case, where rounding alone would make A look indefinite.
      unroll: whether the steps are written out one after the other, or loop. In a loop compiling takes the same time
        for any number of steps, and a solve that has ended costs nothing. On CPUs XLA runs convolutions in loops many
        times slower, so False is for classifiers, accelerators and `vmap`.
    """
    _require_solver("conjugate_gradient", damping, steps, tolerance)

    def solve(problem: IHVPProblem) -> tuple[Tree, dict[str, jax.Array]]:
        product = problem.operator(damping, relative)
        target, size, reach = _target(problem, tolerance)
        advance, zero = partial(_advance, reach), jax.tree.map(jnp.zeros_like, target)
        state = _Solve(zero, target, target, jnp.full_like(size, jnp.inf), jnp.zeros((), jnp.int32))
        if unroll:
            for _ in range(steps):
                # As branches the steps are compiled one by one. In one piece XLA repeats each of them in all that
                # follow: ten steps for a small MLP took it half a minute instead of three seconds.
                state = jax.lax.cond(tree_vdot(state.p, state.p) > 0, advance, lambda s, _: s, state, product(state.p))
        else:
            state = jax.lax.while_loop(
                lambda s: (tree_vdot(s.p, s.p) > 0) & (s.taken < steps), lambda s: advance(s, product(s.p)), state
            )
        return tree_scale(size, state.x), {"residual": tree_norm(state.r), "curvature": state.lowest}

    return solve


def _advance(tolerance: float, state: _Solve, image: Tree) -> _Solve:
    """One step of conjugate gradients, image = A p."""
    height, before = tree_vdot(state.p, image), tree_vdot(state.r, state.r)
    positive = (height > 0) & (height < jnp.inf)
    step = jnp.where(positive, before / jnp.where(positive, height, 1.0), 1.0)
    x, r = tree_add_scaled(state.x, step, state.p), tree_add_scaled(state.r, -step, image)
    x, r = _select(positive | (state.taken == 0), (x, r), (state.x, state.r))
    after = tree_vdot(r, r)
    going, p = positive & (after > tolerance**2), tree_add_scaled(r, safe_divide(after, before), state.p)
    p = _select(going, p, jax.tree.map(jnp.zeros_like, p))
    return _Solve(x, r, p, jnp.minimum(state.lowest, rayleigh_quotient(state.p, image)), state.taken + 1)


@register("solver")
def gmres(steps: int = 10, damping: float = 0.01, *, relative: bool = False, tolerance: float = 1e-5) -> IHVPSolver:
    """(A + damping I) v = -g by GMRES (Saad and Schultz 1986), which needs A neither definite nor symmetric.

    The products are in a loop (see `unroll` of `conjugate_gradient`).

    Args:
      steps: products with A, and vectors like params in memory; at least 1.
      damping: what is added to the diagonal of A, at least 0.
      relative: damping is a share of |g^T A g| / g^T g.
      tolerance: where the solve ends, the residual as a share of |g|, in [0, 1).
    """
    _require_solver("gmres", damping, steps, tolerance)
    # The "batched" method solves normal equations, which in float32 lose half of the digits.
    return _linear_solver(
        partial(linalg.gmres, restart=steps, maxiter=1, solve_method="incremental"), damping, relative, tolerance
    )


@register("solver")
def bicgstab(steps: int = 10, damping: float = 0.01, *, relative: bool = False, tolerance: float = 1e-5) -> IHVPSolver:
    """(A + damping I) v = -g by BiCGStab (van der Vorst 1992): two products a step, a handful of vectors in memory.

    Its residual may rise on the way.

    Args:
      steps: the most steps, at least 1.
      damping: what is added to the diagonal of A, at least 0.
      relative: damping is a share of |g^T A g| / g^T g.
      tolerance: where the solve ends, the residual as a share of |g|, in [0, 1).
    """
    _require_solver("bicgstab", damping, steps, tolerance)
    return _linear_solver(partial(linalg.bicgstab, maxiter=steps), damping, relative, tolerance)


@register("solver")
def dense(damping: float = 0.01, *, relative: bool = False) -> IHVPSolver:
    """(A + damping I) v = -g with A written out, for tests and small classifiers.

    Args:
      damping: what is added to the diagonal of A, at least 0.
      relative: damping is a share of |g^T A g| / g^T g.

    Raises:
      UsageError: the params are more than LARGEST_DENSE numbers, when it is called.
    """
    _require_solver("dense", damping)

    def run(product: Product, target: Tree, *, tol: float) -> tuple[Tree, None]:
        flat, unravel = ravel_pytree(target)
        few = flat.size <= LARGEST_DENSE
        _require("dense", few, f"{flat.size} parameters are more than {LARGEST_DENSE}; take conjugate_gradient")
        columns = jax.vmap(lambda e: ravel_pytree(product(unravel(e)))[0])(jnp.eye(flat.size, dtype=flat.dtype))
        return unravel(jnp.linalg.solve(columns.T, flat)), None

    return _linear_solver(run, damping, relative, 0.0)


def _linear_solver(
    run: Callable[..., tuple[Tree, Any]], damping: float, relative: bool, tolerance: float
) -> IHVPSolver:
    """The solver that runs (A, b, tol) -> (x, anything); -g where that broke down."""

    def solve(problem: IHVPProblem) -> tuple[Tree, dict[str, jax.Array]]:
        product = problem.operator(damping, relative)
        target, size, reach = _target(problem, tolerance)
        x = run(product, target, tol=reach)[0]
        x = _select(jnp.isfinite(tree_vdot(x, x)), x, target)
        image = product(x)
        residual = tree_norm(tree_add_scaled(image, -1.0, target))
        return tree_scale(size, x), {"residual": residual, "curvature": rayleigh_quotient(x, image)}

    return solve


def _target(problem: IHVPProblem, tolerance: float) -> tuple[Tree, jax.Array, float]:
    """(-g / |g|, |g|, the tolerance or what the precision of g allows).

    Late in training g is small, and the squares of its residuals would be lost in float32.
    """
    size = tree_norm(problem.gradient)
    reach = max(tolerance, *(float(jnp.finfo(x.dtype).eps) for x in jax.tree.leaves(problem.gradient)))
    return tree_scale(-safe_divide(jnp.ones_like(size), size), problem.gradient), size, reach


def _select(condition: jax.Array, a: Any, b: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), a, b)


def _require_solver(name: str, damping: float, steps: int = 1, tolerance: float = 0.0) -> None:
    _require(name, damping >= 0, f"damping must be at least 0, got {damping}")
    _require(name, steps >= 1, f"steps must be at least 1, got {steps}")
    _require(name, 0 <= tolerance < 1, f"tolerance must be in [0, 1), got {tolerance}")


def _require(name: str, valid: bool, message: str) -> None:
    if not valid:
        raise UsageError(f"{name}: {message}")
