"""Gradient matching: what DeepAA follows (Zheng et al., ICLR 2022).

A policy is good where the gradient of the augmented training images points where that of the validation images does.
With cos = <g_val, g_train> / (|g_val| |g_train|) and g_train = sum_j p_j g_j, g_j the gradient of the loss of branch j,

    d cos / d p_j = <g_j, d cos / d g_train>

is the derivative of `hypergradient` with p for meta and v = -d cos / d g_train, so that what it gives falls
where the cosine rises.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaug.bilevel.ihvp import IHVPProblem, IHVPSolver
from jaxaug.core.registry import register
from jaxaug.core.tree import safe_divide, tree_add_scaled, tree_norm, tree_scale, tree_vdot
from jaxaug.core.types import Tree


@register("solver")
def cosine() -> IHVPSolver:
    """v = -d cos(g_val, g_train) / d g_train; its report has "cosine". It uses no curvature."""

    def solve(problem: IHVPProblem) -> tuple[Tree, dict[str, jax.Array]]:
        return cosine_direction(problem.gradient, jax.grad(problem.train_loss)(problem.params))

    return solve


def cosine_direction(validation: Tree, training: Tree) -> tuple[Tree, dict[str, jax.Array]]:
    """(v, {"cosine": []}) of gradients: v = -(g_val - g_train <g_val, g_train> / |g_train|^2) / (|g_train| |g_val|).

    Both are zero where a gradient vanishes: it has no direction that could be matched.
    """
    lengths = tree_norm(validation), tree_norm(training)
    both = lengths[0] * lengths[1]
    product = tree_vdot(validation, training)
    residue = tree_add_scaled(validation, -safe_divide(product, lengths[1] ** 2), training)
    scale = safe_divide(-jnp.ones_like(both), both)
    return tree_scale(scale, residue), {"cosine": safe_divide(product, both)}
