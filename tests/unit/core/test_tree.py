"""Arithmetic of pytrees against NumPy, and what becomes of zeros, infinities and low precision."""

import jax
import jax.numpy as jnp
import numpy as np
from helpers.settings import double_precision

from jaxaug.core.tree import rayleigh_quotient, safe_divide, tree_add_scaled, tree_norm, tree_scale, tree_vdot

A = {"x": jnp.array([1.0, -2.0]), "y": [jnp.full((2, 2), 0.5), None], "empty": {}}
B = {"x": jnp.array([3.0, 1.0]), "y": [jnp.arange(4.0).reshape(2, 2), None], "empty": {}}


def test_products_and_lengths():
    np.testing.assert_allclose(tree_vdot(A, B), 3 - 2 + 0.5 * 6)
    np.testing.assert_allclose(tree_norm(A), np.sqrt(1 + 4 + 4 * 0.25))
    assert tree_vdot({}, {}) == 0


def test_products_are_summed_in_float32_or_better():
    many = jnp.full(4096, 1.0, jnp.bfloat16)  # bfloat16 cannot count beyond 256
    product = tree_vdot({"a": many}, {"a": many})
    assert (product.dtype, float(product)) == (jnp.float32, 4096.0)
    with double_precision():
        assert tree_vdot(jnp.ones(3, jnp.float64), jnp.ones(3)).dtype == jnp.float64


def test_sums_keep_the_precision_of_the_tree():
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), A)
    for tree in (tree_scale(jnp.float32(2.0), half), tree_add_scaled(half, 0.5, B)):
        assert jax.tree.structure(tree) == jax.tree.structure(A)
        assert {leaf.dtype for leaf in jax.tree.leaves(tree)} == {jnp.dtype(jnp.bfloat16)}
    np.testing.assert_allclose(tree_add_scaled(A, -2.0, B)["x"], [-5, -4])
    np.testing.assert_allclose(jax.jit(tree_scale)(3.0, A)["y"][0], 1.5 * np.ones((2, 2)))


def test_rayleigh_quotient_is_never_nan():
    matrix = np.array([[2.0, 1.0], [0.0, -3.0]], np.float32)
    p = np.array([1.0, 2.0], np.float32)
    np.testing.assert_allclose(rayleigh_quotient(p, matrix @ p), p @ matrix @ p / 5)
    assert rayleigh_quotient(jnp.zeros(2), jnp.ones(2)) == jnp.inf
    for bad in (jnp.nan, jnp.inf, -jnp.inf):
        assert rayleigh_quotient(jnp.ones(2), jnp.full(2, bad)) == 0


def test_safe_divide_has_derivatives_at_zero():
    np.testing.assert_allclose(safe_divide(jnp.array([3.0, 3.0]), jnp.array([2.0, 0.0])), [1.5, 0.0])
    assert jax.grad(lambda b: safe_divide(jnp.ones(()), b))(0.0) == 0
    assert jax.grad(lambda a: safe_divide(a, jnp.zeros(())))(1.0) == 0
