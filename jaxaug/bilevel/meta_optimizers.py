"""What moves the numbers that a search learns: those of each row by a sparse rule, those that all share by optax."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from jaxaug.bilevel.per_example import Rate, SparseRule, sparse_adam, sparse_normalized_sgd, sparse_rmsprop
from jaxaug.core.registry import register

MetaOptimizer = tuple[SparseRule, optax.GradientTransformation]


@register("meta_optimizer")
def rmsprop(rate: Rate, *, decay: float = 0.99, eps: float = 1e-8) -> MetaOptimizer:
    """RMSprop without momentum, eps outside the root.

    Args:
      rate: the learning rate, or the step, from 0 -> the learning rate.
      decay: the share of the mean of the squares that a step keeps.
      eps: is added to the root of the squares.
    """
    return sparse_rmsprop(rate, decay=decay, eps=eps), optax.rmsprop(rate, eps_in_sqrt=False, decay=decay, eps=eps)


@register("meta_optimizer")
def adam(rate: Rate, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> MetaOptimizer:
    """Adam (Kingma and Ba 2015).

    Args:
      rate: the learning rate, or the step, from 0 -> the learning rate.
      b1: the share of the mean of the gradients that a step keeps.
      b2: the share of the mean of their squares that a step keeps.
      eps: is added to the root of the squares.
    """
    return sparse_adam(rate, b1=b1, b2=b2, eps=eps), optax.adam(rate, b1=b1, b2=b2, eps=eps)


@register("meta_optimizer")
def normalized_sgd(rate: Rate, *, eps: float = 1e-12) -> MetaOptimizer:
    """Gradient descent in steps whose root mean square over all rows of a search step is the rate.

    What all rows share takes steps of that size, too.

    Args:
      rate: the learning rate, or the step, from 0 -> the learning rate.
      eps: is added to the root of the mean of the squares.
    """

    def init(params: optax.Params) -> optax.EmptyState:
        return optax.EmptyState()

    def update(updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None):
        root = jax.tree.map(lambda x: jnp.sqrt(jnp.mean(x**2)) + eps, updates)
        return jax.tree.map(jnp.divide, updates, root), state

    scaled = optax.chain(optax.GradientTransformation(init, update), optax.scale_by_learning_rate(rate))
    return sparse_normalized_sgd(rate, eps=eps), scaled
