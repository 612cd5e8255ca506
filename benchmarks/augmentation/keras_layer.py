"""Keras's RandAugment(2, 9 of 30) on its JAX backend, under jit: one draw of operations for the whole batch."""

import os

import numpy as np

PACKAGES = ("keras", "jax")


def make(size):
    """The call ignores its seed: the layer's generators go on from call to call."""
    os.environ["KERAS_BACKEND"] = "jax"
    import jax
    import jax.numpy as jnp
    import keras

    layer = keras.layers.RandAugment(value_range=(0, 255), num_ops=2, factor=9 / 30, interpolation="nearest", seed=0)
    layer.build((None, size, size, 3))
    state = [variable.value for variable in layer.non_trainable_variables]

    @jax.jit
    def augment(state, images):
        done, state = layer.stateless_call([], state, images.astype(jnp.float32), training=True)
        return jnp.round(jnp.clip(done, 0, 255)).astype(jnp.uint8), state

    def call(images, seed):
        nonlocal state
        done, state = augment(state, images)
        return np.asarray(done)

    return call
