"""One derivative for every search: how a loss on trusted data depends on what describes the training data.

    d/dhyper < grad_params train(params, hyper), v >

The searches differ in the direction v alone (`directions.py`). Nothing here knows images; everything is a pytree, and
the curvature of `train` is met only as a map v -> A v.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxaug.errors import UsageError
from jaxaug.types import Tree

Product = Callable[[Tree], Tree]
Curvature = Callable[[Tree], Product]


class Problem(NamedTuple):
    """What a direction may look at.

    train: params -> [], at the given hyper; val: params -> []; gradient: of val at params. curvature: params ->
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
            along = jnp.abs(bend(self.gradient, product(self.gradient)))
            scale = jnp.where(along < jnp.inf, along, scale)
        return lambda v: add_scaled(product(v), damping * scale, v)


# problem -> (v like params, report). The report may hold "residual" and "curvature", [] each: see `hypergradient`.
Direction = Callable[[Problem], tuple[Tree, dict[str, jax.Array]]]


def hypergradient(
    train: Callable[[Tree, Tree], jax.Array],
    val: Callable[[Tree], jax.Array],
    params: Tree,
    hyper: Tree,
    direction: Direction,
    curvature: Curvature | None = None,
) -> tuple[Tree, dict[str, jax.Array]]:
    """d/dhyper < grad_params train(params, hyper), v > in the shape of hyper, and a report.

    train: (params, hyper) -> []; val: params -> []. params, hyper: trees of floating-point arrays, in which None and
    empty dicts are fine. direction: gives v, through which no derivative is taken. curvature: of train in params; None
    is its Hessian. Works under `jit`, and under `vmap` over runs.

    report, [] float32 each, g being the gradient of val, and A with the damping that the direction adds:
    "validation_loss", val(params); "residual", |A v + g| / |g| (0: the direction solves no system); "curvature", the
    smallest p^T A p / p^T p that it met (inf: it met none). A curvature <= 0 says that A is not positive definite.

    With v = -A^-1 g this is the derivative of val at the minimum of train, by the implicit function theorem (Lorraine,
    Vicol and Duvenaud 2020, theorem 1). Forward over reverse: one tangent through one backward pass.
    Raises UsageError if params or hyper hold anything but floating-point arrays, or params nothing.
    """
    params, hyper = _floats("params", params), _floats("hyper", hyper)
    if not jax.tree.leaves(params):
        raise UsageError("a hypergradient needs params: they hold no array")

    def at_hyper(p: Tree) -> jax.Array:
        return train(p, hyper)

    loss, gradient = jax.value_and_grad(val)(params)
    v, report = direction(Problem(at_hyper, val, params, gradient, curvature or hessian(at_hyper)))
    figures = {"validation_loss": loss, "residual": 0.0, "curvature": jnp.inf} | report
    return mixed(train, params, hyper, v), {name: jnp.asarray(x, jnp.float32) for name, x in figures.items()}


def mixed(train: Callable[[Tree, Tree], jax.Array], params: Tree, hyper: Tree, v: Tree) -> Tree:
    """d/dhyper < grad_params train(params, hyper), v > for a v like params, through which no derivative is taken.

    Where train is linear in hyper, as a weighted sum of losses is, this is one forward-mode pass: the derivatives of
    the losses along v, without a gradient of any of them.
    """
    v = jax.tree.map(lambda p, x: jax.lax.stop_gradient(x).astype(p.dtype), params, v)
    return jax.jvp(lambda p: jax.grad(train, argnums=1)(p, hyper), (params,), (v,))[1]


def differences(
    train: Callable[[Tree, Tree], jax.Array], params: Tree, hyper: Tree, v: Tree, epsilon: float = 0.01
) -> Tree:
    """The same derivative for a given v, by central differences of two gradients in hyper (DARTS, equation 8).

    epsilon > 0: length of the step along v / |v|; DARTS takes 0.01. No tangents are stored: the memory of one gradient.
    """
    if not epsilon > 0:
        raise UsageError(f"differences: epsilon must be above 0, got {epsilon}")
    params, hyper = _floats("params", params), _floats("hyper", hyper)
    size = norm(v)
    step = epsilon / jnp.where(size > 0, size, 1.0)
    slope = jax.grad(train, argnums=1)
    ahead, behind = slope(add_scaled(params, step, v), hyper), slope(add_scaled(params, -step, v), hyper)
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

    logits: params -> [B K]; weight: [B] >= 0, held fixed; rows: what the sum is divided by. Targets of mass 1 do not
    enter: the cross-entropy with them and logsumexp(z) differ by what is linear in z. It is the Fisher matrix.
    """
    weight = jax.lax.stop_gradient(weight)
    return gauss_newton(logits, lambda z: jnp.sum(weight * jax.nn.logsumexp(z, axis=-1)) / rows)


def inner(a: Tree, b: Tree) -> jax.Array:
    """< a, b > over all leaves -> [], in float32 or better."""

    def one(x: jax.Array, y: jax.Array) -> jax.Array:
        # A sum of products is exact to 1e-8 for 3e7 numbers, while a dot product may be carried out in TF32.
        wide = jnp.promote_types(jnp.result_type(x, y), jnp.float32)
        return jnp.sum(x.astype(wide) * y.astype(wide))

    return sum(jax.tree.leaves(jax.tree.map(one, a, b)), start=jnp.zeros((), jnp.float32))


def norm(tree: Tree) -> jax.Array:
    """The Euclidean length of a tree -> []."""
    return jnp.sqrt(inner(tree, tree))


def times(scale: jax.Array | float, tree: Tree) -> Tree:
    """scale * tree, in the tree's precision; scale [] may be traced."""
    return jax.tree.map(lambda x: (scale * x).astype(x.dtype), tree)


def add_scaled(a: Tree, scale: jax.Array | float, b: Tree) -> Tree:
    """a + scale * b, leaf by leaf, in the precision of a; scale [] may be traced."""
    return jax.tree.map(lambda x, y: x + (scale * y).astype(x.dtype), a, b)


def bend(p: Tree, image: Tree) -> jax.Array:
    """p^T A p / p^T p for image = A p -> [], never NaN: 0, which promises nothing, if not finite; inf for p = 0."""
    size, height = inner(p, p), inner(p, image)
    return jnp.where(size == 0, jnp.inf, jnp.nan_to_num(ratio(height, size), posinf=0.0, neginf=0.0))


def ratio(a: jax.Array, b: jax.Array) -> jax.Array:
    """a / b, and 0 where b is 0."""
    return jnp.where(b == 0, 0.0, a / jnp.where(b == 0, 1.0, b))


def _floats(what: str, tree: Tree) -> Tree:
    """The tree with JAX arrays for leaves."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            name = what + jax.tree_util.keystr(path)
            raise UsageError(f"a derivative needs {name} to be floating-point numbers, got {jnp.result_type(leaf)}")
    return jax.tree.map(jnp.asarray, tree)
