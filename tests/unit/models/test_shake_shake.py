"""Shake-Shake: the shares that mix two branches, and the shortcut between stages."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.models import shake_shake

IMAGE = np.random.default_rng(0).normal(size=(9, 12, 2)).astype(np.float32)


def test_shake_mixes_by_forward_and_differentiates_by_backward():
    first, second, tangent = np.random.default_rng(1).normal(size=(3, 4, 2, 2, 3)).astype(np.float32)
    forward, backward = np.random.default_rng(2).uniform(size=(2, 4, 1, 1, 1)).astype(np.float32)
    plain = forward * first + (1 - forward) * second
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    close(shake_shake.shake(first, second, forward, backward), plain)

    def loss(first, second):
        return (shake_shake.shake(first, second, forward, backward) ** 2).sum()

    grads = jax.grad(loss, argnums=(0, 1))(first, second)
    close(grads, (2 * plain * backward, 2 * plain * (1 - backward)))
    _, product = jax.jvp(lambda first: jax.grad(loss)(first, second), (first,), (tangent,))
    close(product, 2 * backward**2 * tangent)


def test_shake_block_draws_two_shares_per_image(monkeypatch):
    block, image = shake_shake.Block(2), jnp.tile(IMAGE, (4, 1, 1, 1))
    variables = jax.jit(functools.partial(block.init, train=False))(jax.random.key(0), image)

    def cubed(image):
        rngs = {"dropout": jax.random.key(3)}
        out, _ = block.apply(variables, image, train=True, rngs=rngs, mutable=["batch_stats"])
        return (out**3).sum(), out

    shaken, out = jax.jit(jax.grad(cubed, has_aux=True))(image)
    assert all(np.abs(out[0] - other).max() > 1e-3 for other in out[1:])
    # The same draws, but a gradient that follows the forward share.
    monkeypatch.setattr(shake_shake, "shake", lambda one, two, share, _: share * one + (1 - share) * two)
    plain, expected = jax.jit(jax.grad(lambda image: cubed(image), has_aux=True))(image)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)
    assert np.linalg.norm(shaken - plain) > 0.05 * np.linalg.norm(plain)


def test_shake_shortcut_second_half_sees_the_image_one_pixel_further():
    spike = jnp.zeros((1, 4, 4, 1)).at[0, 1, 3].set(1.0)  # odd row and column: only the shifted path meets it
    run = jax.jit(functools.partial(shake_shake.Shortcut(4, stride=2).init_with_output, train=False))
    np.testing.assert_array_equal(np.argwhere(run(jax.random.key(0), spike)[0]), [[0, 0, 1, 2], [0, 0, 1, 3]])
