"""augmax, which cannot choose between operations: a fixed chain of six that it has, parameters per image by vmap."""

import numpy as np

from augmentation import operations

PACKAGES = ("augmax", "jax")


def make(size):
    import augmax
    import jax
    import jax.numpy as jnp

    magnitude = operations.magnitudes(size)
    angle, pixels, factor = magnitude["rotate"], magnitude["translate_x"], magnitude["color"]
    chain = augmax.Chain(
        augmax.ByteToFloat(),
        augmax.Rotate((-angle, angle)),
        augmax.Translate(pixels, pixels),
        augmax.HorizontalFlip(),
        augmax.RandomBrightness((-factor, factor), p=1.0),
        augmax.RandomContrast((-factor, factor), p=1.0),
        augmax.Solarization(magnitude["solarize"] / 255, p=1.0),
    )

    @jax.jit
    def augment(key, images):
        done = jax.vmap(chain)(jax.random.split(key, len(images)), images)
        return jnp.round(jnp.clip(done, 0, 1) * 255).astype(jnp.uint8)

    return lambda images, seed: np.asarray(augment(jax.random.key(seed), images))
