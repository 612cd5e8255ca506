"""Gradient matching: the direction of DeepAA (Zheng et al., ICLR 2022).

A policy is good where the gradient of the augmented training images points where that of the validation images does.
With cos = <g_val, g_train> / (|g_val| |g_train|) and g_train = sum_j p_j g_j, g_j the gradient of the loss of branch j,

    d cos / d p_j = <g_j, d cos / d g_train>

is the derivative of `implicit.hypergradient` with p for hyper and v = -d cos / d g_train, so that what it gives falls
where the cosine rises.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaug.search.implicit import Direction, Problem, add_scaled, inner, norm, ratio, times
from jaxaug.types import Tree


def cosine() -> Direction:
    """v = -d cos(g_val, g_train) / d g_train; its report has "cosine". It uses no curvature."""

    def direction(problem: Problem) -> tuple[Tree, dict[str, jax.Array]]:
        return against(problem.gradient, jax.grad(problem.train)(problem.params))

    return direction


def against(validation: Tree, training: Tree) -> tuple[Tree, dict[str, jax.Array]]:
    """(v, {"cosine": []}) of gradients: v = -(g_val - g_train <g_val, g_train> / |g_train|^2) / (|g_train| |g_val|).

    Both are zero where a gradient vanishes: it has no direction that could be matched.
    """
    lengths = norm(validation), norm(training)
    both = lengths[0] * lengths[1]
    product = inner(validation, training)
    residue = add_scaled(validation, -ratio(product, lengths[1] ** 2), training)
    scale = ratio(-jnp.ones_like(both), both)
    return times(scale, residue), {"cosine": ratio(product, both)}
