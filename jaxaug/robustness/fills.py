"""What stands where an image shows nothing."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.registry import pick
from jaxaug.data.dataset import Dataset

# (key, image [H W C]) -> an array of the image's dtype that broadcasts against it.
Paint = Callable[[jax.Array, jax.Array], jax.Array]


def painter(data: Dataset, fill: str) -> Paint:
    """What fills hidden pixels.

    Args:
      data: the set.
      fill: "mean", the training set's mean color, rounded to whole gray levels; "black"; or "noise", each value of each
        pixel uniform over 0..255.

    Raises:
      UsageError: another word.
    """
    color = np.round(255 * np.asarray(data.mean, np.float64))

    def mean(key: jax.Array, image: jax.Array) -> jax.Array:
        return jnp.asarray(color, image.dtype)

    def black(key: jax.Array, image: jax.Array) -> jax.Array:
        return jnp.zeros((), image.dtype)

    def noise(key: jax.Array, image: jax.Array) -> jax.Array:
        return jax.random.randint(key, image.shape, 0, 256).astype(image.dtype)

    return pick("fill", fill, {"mean": mean, "black": black, "noise": noise})


def uniform_integers(key: jax.Array, count: jax.Array) -> jax.Array:
    """Uniform over 0..count - 1, so that the same key gives corresponding places whatever the count.

    Args:
      key: a PRNG key.
      count: int32 [n], 1 or more.

    Returns:
      floor(u * count) int32 [n], with u from the key alone.
    """
    share = jax.random.uniform(key, count.shape, jnp.float32)
    return jnp.minimum((share * count).astype(jnp.int32), count - 1)
