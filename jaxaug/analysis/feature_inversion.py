"""Images that have given features: found by gradient, kept smooth by their total variation."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

LEAST, MOST = 0.02, 0.98  # of a pixel where the search begins: a logistic function has no slope at 0 and 1
LAST = 0.05  # the last step's size beside the first


class Inverted(NamedTuple):
    """Images, and how far their features are from those that were asked for.

    Attributes:
      images: float32 [B H W C] in 0..255.
      distance: [B], |phi(x) - target|^2 / |target|^2.
      before: [B], the same of the images that the search began with.
    """

    images: np.ndarray
    distance: np.ndarray
    before: np.ndarray


def invert_features(
    features_of: Callable[[jax.Array], jax.Array],
    targets: np.ndarray,
    start: np.ndarray,
    *,
    steps: int = 200,
    rate: float = 0.1,
    variation: float = 0.2,
    shift: int = 0,
) -> Inverted:
    """Images whose features are near to given ones (Mahendran and Vedaldi, CVPR 2015), without a generator.

    Minimises |phi(x) - target|^2 / |target|^2 + variation * TV(x) by Adam with a falling rate, on pixels that a
    logistic function keeps in 0..255; TV is the mean absolute difference of neighbours on the 0..1 scale. Begun with a
    real image, it changes of it what the features ask for; begun with noise, it finds what they keep of an image.

    Args:
      features_of: images float32 [B H W C] on the 0..255 scale -> features [B ...], each image's its own.
      targets: [B ...], the features that are asked for.
      start: [B H W C], uint8 or float on the 0..255 scale.
      steps: of Adam.
      rate: of the first step; pixels are logits.
      variation: the weight of the total variation, at least 0.
      shift: each step looks at images that are moved around by up to so many pixels, which discourages patterns that
        only one alignment shows to the network.

    Returns:
      `Inverted`.
    """
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, steps, LAST))
    wanted = jnp.asarray(targets)
    size = jnp.maximum(_sum_of_row(wanted**2), 1e-12)

    def distance(images: jax.Array) -> jax.Array:
        return _sum_of_row((features_of(images) - wanted) ** 2) / size

    def loss(logits: jax.Array, key: jax.Array) -> jax.Array:
        pixels = jax.nn.sigmoid(logits)
        moved = jnp.roll(pixels, jax.random.randint(key, (2,), -shift, shift + 1), (1, 2)) if shift else pixels
        return jnp.sum(distance(255.0 * moved) + variation * _total_variation(pixels))

    @jax.jit
    def step(logits: jax.Array, state: optax.OptState, key: jax.Array) -> tuple[jax.Array, optax.OptState]:
        updates, state = optimizer.update(jax.grad(loss)(logits, key), state)
        return logits + updates, state

    started = np.asarray(start, np.float32) / 255.0
    pixels = jnp.clip(jnp.asarray(started), LEAST, MOST)
    logits = jnp.log(pixels) - jnp.log1p(-pixels)
    state, key = optimizer.init(logits), jax.random.key(0)
    # Not in a scan: XLA's convolutions are slow inside loops on a CPU.
    for number in range(steps):
        logits, state = step(logits, state, jax.random.fold_in(key, number))
    images = 255.0 * jax.nn.sigmoid(logits)
    measured = jax.jit(distance)
    return Inverted(*map(np.asarray, (images, measured(images), measured(255.0 * jnp.asarray(started)))))


def _sum_of_row(x: jax.Array) -> jax.Array:
    return jnp.sum(x.reshape(len(x), -1), axis=1)


def _total_variation(pixels: jax.Array) -> jax.Array:
    """[B] of images [B H W C] in 0..1."""
    down, across = jnp.abs(jnp.diff(pixels, axis=1)), jnp.abs(jnp.diff(pixels, axis=2))
    return (_sum_of_row(down) + _sum_of_row(across)) / pixels[0].size
