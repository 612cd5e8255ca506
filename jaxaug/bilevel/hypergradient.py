"""One derivative for every search: how a loss on trusted data depends on what describes the training data.

    d/dmeta < grad_params train(params, meta), v >

The searches differ in the direction v alone (`directions.py`). Nothing here knows images; everything is a pytree, and
the curvature of `train` is met only as a map v -> A v.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxaug.core.errors import UsageError
from jaxaug.core.tree import rayleigh_quotient, tree_add_scaled, tree_norm
from jaxaug.core.types import Tree

Product = Callable[[Tree], Tree]
Curvature = Callable[[Tree], Product]


class IHVPProblem(NamedTuple):
    """What a direction may look at.

    train: params -> [], at the given meta; val: params -> []; gradient: of val at params. curvature: params ->
    (v -> A v), with v and A v like params; A stands for the Hessian of train.
    """

    train: Callable[[Tree], jax.Array]
    val: Callable[[Tree], jax.Array]
    params: Tree
    gradient: Tree
    curvature: Curvature

    def operator(self, damping: float = 0.0, relative: bool = False) -> Product:
        """The map v -> A v + damping v at params. Each call linearises anew: take it once, outside of any loop.

        relative: damping is a share of |g^T A g| / g^T g, g = gradient.
        """
        product, scale = self.curvature(self.params), jnp.ones(())
        if not damping:
            return product
        if relative:
            along = jnp.abs(rayleigh_quotient(self.gradient, product(self.gradient)))
            scale = jnp.where(along < jnp.inf, along, scale)
        return lambda v: tree_add_scaled(product(v), damping * scale, v)


# problem -> (v like params, report). The report may hold "residual" and "curvature", [] each: see `hypergradient`.
IHVPSolver = Callable[[IHVPProblem], tuple[Tree, dict[str, jax.Array]]]


def hypergradient(
    train: Callable[[Tree, Tree], jax.Array],
    val: Callable[[Tree], jax.Array],
    params: Tree,
    meta: Tree,
    direction: IHVPSolver,
    curvature: Curvature | None = None,
) -> tuple[Tree, dict[str, jax.Array]]:
    """d/dmeta < grad_params train(params, meta), v > in the shape of meta, and a report.

    train: (params, meta) -> []; val: params -> []. params, meta: trees of floating-point arrays, in which None and
    empty dicts are fine. direction: gives v, through which no derivative is taken. curvature: of train in params; None
    is its Hessian. Works under `jit`, and under `vmap` over runs.

    report, [] float32 each, g being the gradient of val, and A with the damping that the direction adds:
    "validation_loss", val(params); "residual", |A v + g| / |g| (0: the direction solves no system); "curvature", the
    smallest p^T A p / p^T p that it met (inf: it met none). A curvature <= 0 says that A is not positive definite.

    With v = -A^-1 g this is the derivative of val at the minimum of train, by the implicit function theorem (Lorraine,
    Vicol and Duvenaud 2020, theorem 1). Forward over reverse: one tangent through one backward pass.
    Raises UsageError if params or meta hold anything but floating-point arrays, or params nothing.
    """
    params, meta = _floats("params", params), _floats("meta", meta)
    if not jax.tree.leaves(params):
        raise UsageError("a hypergradient needs params: they hold no array")

    def at_hyper(p: Tree) -> jax.Array:
        return train(p, meta)

    loss, gradient = jax.value_and_grad(val)(params)
    v, report = direction(IHVPProblem(at_hyper, val, params, gradient, curvature or hessian(at_hyper)))
    figures = {"validation_loss": loss, "residual": 0.0, "curvature": jnp.inf} | report
    return mixed_derivative(train, params, meta, v), {name: jnp.asarray(x, jnp.float32) for name, x in figures.items()}


def mixed_derivative(train: Callable[[Tree, Tree], jax.Array], params: Tree, meta: Tree, v: Tree) -> Tree:
    """d/dmeta < grad_params train(params, meta), v > for a v like params, through which no derivative is taken.

    Where train is linear in meta, as a weighted sum of losses is, this is one forward-mode pass: the derivatives of
    the losses along v, without a gradient of any of them.
    """
    v = jax.tree.map(lambda p, x: jax.lax.stop_gradient(x).astype(p.dtype), params, v)
    return jax.jvp(lambda p: jax.grad(train, argnums=1)(p, meta), (params,), (v,))[1]


def finite_difference(
    train: Callable[[Tree, Tree], jax.Array], params: Tree, meta: Tree, v: Tree, epsilon: float = 0.01
) -> Tree:
    """The same derivative for a given v, by central differences of two gradients in meta (DARTS, equation 8).

    epsilon > 0: length of the step along v / |v|; DARTS takes 0.01. No tangents are stored: the memory of one gradient.
    """
    if not epsilon > 0:
        raise UsageError(f"differences: epsilon must be above 0, got {epsilon}")
    params, meta = _floats("params", params), _floats("meta", meta)
    size = tree_norm(v)
    step = epsilon / jnp.where(size > 0, size, 1.0)
    slope = jax.grad(train, argnums=1)
    ahead, behind = slope(tree_add_scaled(params, step, v), meta), slope(tree_add_scaled(params, -step, v), meta)
    return jax.tree.map(lambda a, b: (a - b) / (2 * step).astype(a.dtype), ahead, behind)


def hessian(loss: Callable[[Tree], jax.Array]) -> Curvature:
    """A = the Hessian of loss: params -> []. Its gradient is linearised once, then applied as often as needed.

    It may be indefinite, for a linear classifier too when the loss is not convex in the logits (symmetric KL).
    """
    return lambda params: jax.linearize(jax.grad(loss), params)[1]


def gauss_newton(outputs: Callable[[Tree], Tree], loss: Callable[[Tree], jax.Array]) -> Curvature:
    """A = J^T H J, with J the Jacobian of outputs: params -> z and H the Hessian of loss: z -> [] at z.

    Symmetric, and positive semi-definite where loss is convex in z, whatever the network (Schraudolph 2002). outputs
    needs a forward-mode derivative.
    """

    def curvature(params: Tree) -> Product:
        z, push = jax.linearize(outputs, params)
        pull = jax.linear_transpose(push, params)
        of_loss = jax.linearize(jax.grad(loss), z)[1]
        return lambda v: pull(of_loss(push(v)))[0]

    return curvature


def softmax_fisher(logits: Callable[[Tree], jax.Array], weight: jax.Array, rows: jax.Array | float) -> Curvature:
    """Gauss-Newton of sum(weight * cross-entropy) / rows: for a row, H = weight (diag p - p p^T) / rows, p = softmax.

    logits: params -> [B K]; weight: [B] >= 0, held fixed; rows: what the sum is divided by. Targets of visibility 1 do not
    enter: the cross-entropy with them and logsumexp(z) differ by what is linear in z. It is the Fisher matrix.
    """
    weight = jax.lax.stop_gradient(weight)
    return gauss_newton(logits, lambda z: jnp.sum(weight * jax.nn.logsumexp(z, axis=-1)) / rows)


def _floats(what: str, tree: Tree) -> Tree:
    """The tree with JAX arrays for leaves."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            name = what + jax.tree_util.keystr(path)
            raise UsageError(f"a derivative needs {name} to be floating-point numbers, got {jnp.result_type(leaf)}")
    return jax.tree.map(jnp.asarray, tree)
