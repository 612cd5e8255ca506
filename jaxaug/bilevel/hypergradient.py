"""One derivative for every search: how a loss on validation data depends on what describes the training data.

    d/dmeta < grad_params train_loss(params, meta), v >

The searches differ in v alone, which a solver gives (`ihvp.py`, `gradient_matching.py`). Nothing here knows images;
everything is a pytree, and the curvature of the training loss is met only as a map v -> A v.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxaug.bilevel.ihvp import Curvature, IHVPProblem, IHVPSolver, Product, conjugate_gradient
from jaxaug.core.arguments import described, refuse_tensors
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import is_factory
from jaxaug.core.tree import tree_add_scaled, tree_norm
from jaxaug.core.types import Tree


def hypergradient(
    train_loss: Callable[[Tree, Tree], jax.Array],
    val_loss: Callable[[Tree], jax.Array],
    params: Tree,
    meta: Tree,
    solver: IHVPSolver | None = None,
    curvature: Curvature | None = None,
) -> tuple[Tree, dict[str, jax.Array]]:
    """d/dmeta < grad_params train_loss(params, meta), v > in the shape of meta, and a report.

    With v = -A^-1 g, A the curvature of train_loss and g the gradient of val_loss, this is the derivative of val_loss
    at the minimum of train_loss, by the implicit function theorem (Lorraine, Vicol and Duvenaud 2020, theorem 1).
    Forward over reverse: one tangent through one backward pass. Works under `jit`, and under `vmap` over runs.

    Args:
      train_loss: (params, meta) -> [].
      val_loss: params -> [].
      params: a tree of floating-point arrays, in which None and empty dicts are fine.
      meta: another one.
      solver: gives v, through which no derivative is taken; None is `conjugate_gradient(5)`.
      curvature: of train_loss in params; None is its Hessian.

    Returns:
      (gradient, report), report being [] float32 each: "validation_loss", val_loss(params); "residual",
      |A v + g| / |g| with the damping that the solver adds to A (0: it solves no system); "curvature", the smallest
      p^T A p / p^T p that it met (inf: it met none). A curvature <= 0 says that A is not positive definite.

    Raises:
      UsageError: params or meta hold anything but floating-point arrays, or params nothing; a loss gives anything but
        one number; solver is none.
    """
    if solver is not None and (not callable(solver) or is_factory("solver", solver)):
        raise UsageError(
            f"hypergradient: solver must be what bilevel.conjugate_gradient(5) and the like return, got {solver!r}"
        )
    train_loss, val_loss = _scalar("train_loss", train_loss), _scalar("val_loss", val_loss)
    params, meta = _floats("hypergradient: params", params), _floats("hypergradient: meta", meta)
    if not jax.tree.leaves(params):
        raise UsageError("hypergradient: params hold no array")

    def at_meta(p: Tree) -> jax.Array:
        return train_loss(p, meta)

    loss, gradient = jax.value_and_grad(val_loss)(params)
    solve = conjugate_gradient(5) if solver is None else solver
    v, report = solve(IHVPProblem(at_meta, val_loss, params, gradient, curvature or hessian(at_meta)))
    figures = {"validation_loss": loss, "residual": 0.0, "curvature": jnp.inf} | report
    gradient_of_meta = mixed_derivative(train_loss, params, meta, v)
    return gradient_of_meta, {name: jnp.asarray(x, jnp.float32) for name, x in figures.items()}


def mixed_derivative(train_loss: Callable[[Tree, Tree], jax.Array], params: Tree, meta: Tree, v: Tree) -> Tree:
    """d/dmeta < grad_params train_loss(params, meta), v >.

    Where train_loss is linear in meta, as a weighted sum of losses is, this is one forward-mode pass: the derivatives
    of the losses along v, without a gradient of any of them.

    Args:
      train_loss: (params, meta) -> [].
      params: a tree of floating-point arrays.
      meta: another one.
      v: a tree like params, through which no derivative is taken.

    Returns:
      A tree like meta.
    """
    v = jax.tree.map(lambda p, x: jax.lax.stop_gradient(x).astype(p.dtype), params, v)
    return jax.jvp(lambda p: jax.grad(train_loss, argnums=1)(p, meta), (params,), (v,))[1]


def finite_difference(
    train_loss: Callable[[Tree, Tree], jax.Array], params: Tree, meta: Tree, v: Tree, epsilon: float = 0.01
) -> Tree:
    """`mixed_derivative` by central differences of two gradients in meta (DARTS, equation 8).

    No tangents are stored: it takes the memory of one gradient.

    Args:
      train_loss: (params, meta) -> [].
      params: a tree of floating-point arrays.
      meta: another one.
      v: a tree like params.
      epsilon: length of the step along v / |v|, above 0; DARTS takes 0.01.

    Returns:
      A tree like meta, zeros for v = 0.
    """
    if not epsilon > 0:
        raise UsageError(f"finite_difference: epsilon must be above 0, got {epsilon}")
    params, meta = _floats("finite_difference: params", params), _floats("finite_difference: meta", meta)
    size = tree_norm(v)
    step = epsilon / jnp.where(size > 0, size, 1.0)
    slope = jax.grad(train_loss, argnums=1)
    ahead, behind = slope(tree_add_scaled(params, step, v), meta), slope(tree_add_scaled(params, -step, v), meta)
    return jax.tree.map(lambda a, b: (a - b) / (2 * step).astype(a.dtype), ahead, behind)


def hessian(loss: Callable[[Tree], jax.Array]) -> Curvature:
    """A = the Hessian of loss, params -> []. Its gradient is linearised once, then applied as often as needed.

    It may be indefinite, for a linear classifier too when the loss is not convex in the logits (symmetric KL).
    """
    return lambda params: jax.linearize(jax.grad(loss), params)[1]


def gauss_newton(outputs: Callable[[Tree], Tree], loss: Callable[[Tree], jax.Array]) -> Curvature:
    """A = J^T H J, with J the Jacobian of the outputs z and H the Hessian of the loss at them.

    Symmetric, and positive semi-definite where loss is convex in z, whatever the network (Schraudolph 2002).

    Args:
      outputs: params -> z, any tree; it needs a forward-mode derivative.
      loss: z -> [].
    """

    def curvature(params: Tree) -> Product:
        z, push = jax.linearize(outputs, params)
        pull = jax.linear_transpose(push, params)
        of_loss = jax.linearize(jax.grad(loss), z)[1]
        return lambda v: pull(of_loss(push(v)))[0]

    return curvature


def softmax_fisher(logits: Callable[[Tree], jax.Array], weight: jax.Array, rows: jax.Array | float) -> Curvature:
    """Gauss-Newton of sum(weight * cross-entropy) / rows: for a row, H = weight (diag p - p p^T) / rows, p = softmax.

    It is the Fisher matrix. Targets that sum to 1 do not enter: the cross-entropy with them and logsumexp(z) differ by
    what is linear in z.

    Args:
      logits: params -> [B K].
      weight: [B], at least 0, held fixed.
      rows: what the sum is divided by.
    """
    weight = jax.lax.stop_gradient(weight)
    return gauss_newton(logits, lambda z: jnp.sum(weight * jax.nn.logsumexp(z, axis=-1)) / rows)


def _scalar(name: str, loss: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """The loss, which says so if it gives anything but one number."""

    def checked(*arguments: Tree) -> jax.Array:
        value = loss(*arguments)
        shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(value)]
        if not jax.tree_util.all_leaves([value]) or shapes != [()]:
            raise UsageError(
                f"hypergradient: {name} must return one number [], such as a mean over examples, with nothing "
                f"beside it, got {f'shape {shapes[0]}' if hasattr(value, 'shape') else described(value)}"
            )
        return value

    return checked


def _floats(what: str, tree: Tree) -> Tree:
    """The tree with JAX arrays for leaves."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = what + jax.tree_util.keystr(path)
        refuse_tensors("hypergradient", name, leaf)
        dtype = getattr(leaf, "dtype", None) or (jnp.result_type(leaf) if isinstance(leaf, int | float) else None)
        if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
            raise UsageError(f"{name} must be floating-point numbers, got {dtype or described(leaf)}")
    return jax.tree.map(jnp.asarray, tree)
