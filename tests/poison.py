"""A loss transform from outside the package, as a user's own: the loss overflows once 60 % of the training is done."""

import jax.numpy as jnp

from jaxaug.losses import stateless


def late():
    def apply(terms):
        return terms.replace(weight=jnp.where(terms.progress.step > 0.6, jnp.inf, terms.weight))

    return stateless(apply)
