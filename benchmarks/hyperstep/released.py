"""A search step as AutoDO's released code writes it, in plain JAX under jit: the peer, kept out of the package.

All rows' numbers are one array each; the loss gathers from them, so that the gradient has their full size, and RMSprop
(optax) passes over all of it. Every Hessian-vector product differentiates the loss from the images on, whatever the
parameters theta are. Compiled in one piece, XLA recognises that the encoder is the same in all of the products; called
one by one (`in_calls`), as the eager original would be, it is computed again in each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from hyperstep.ours import CLASSES, Ours, batches, equal
from jaxaug.bilevel import ihvp
from jaxaug.core.types import Batch, Tree

STEPS, RATE, SMOOTHING, LEARNING_RATE = 5, 0.01, 0.05, 0.05
DENSE = optax.rmsprop(LEARNING_RATE, decay=0.99, eps=1e-8, eps_in_sqrt=False)
# theta -> its path; what `Ours.search_step` takes to do the same.
THETA: dict[str, tuple[str, ...]] = {"classifier": ("head", "kernel"), "all parameters": ()}
AS_OURS: dict[str, Any] = {"solver": ihvp.neumann(STEPS, RATE, scaled=False), "fisher": False}


class State(flax.struct.PyTreeNode):
    """params, model_state: of the model; meta: {"weight" [N], "soft" [N K]}; opt_state: of RMSprop over all of it."""

    params: Tree
    model_state: Tree
    meta: dict[str, jax.Array]
    opt_state: Tree


def begin(ours: Ours) -> State:
    """The parameters and numbers that ours begins with."""
    state = ours.state()
    own = jax.tree.map(lambda x: x[: ours.count], state.meta.per_example)
    return State(state.params, state.model_state, own, DENSE.init(own))


def losses_of(ours: Ours, everything: bool) -> tuple[Callable, Callable]:
    """(train(theta, meta, state, batch), validation(theta, state, batch)) -> [] each."""

    def logits(theta: Tree, state: State, image: jax.Array) -> jax.Array:
        params = theta if everything else {**state.params, "head": {**state.params["head"], "kernel": theta}}
        image = (image.astype(jnp.float32) / 255.0 - 0.5) / 0.25
        return ours.parts.model.apply({"params": params, "batch_stats": state.model_state}, image, train=False)[1]

    def validation(theta: Tree, state: State, batch: Batch) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(logits(theta, state, batch.image), batch.label).mean()

    def train(theta: Tree, meta: Tree, state: State, batch: Batch) -> jax.Array:
        log_p = jax.nn.log_softmax(logits(theta, state, batch.image))
        prior = math.log(1 - CLASSES + CLASSES / SMOOTHING) * jax.nn.one_hot(batch.label, CLASSES)
        log_s = jax.nn.log_softmax(prior + meta["soft"][batch.index])
        distance = 0.5 * jnp.sum((jnp.exp(log_s) - jnp.exp(log_p)) * (log_s - log_p), axis=-1)
        return jnp.mean(jax.nn.softplus(meta["weight"][batch.index]) / math.log(2.0) * distance)

    return train, validation


def step_of(ours: Ours, everything: bool, in_calls: bool = False) -> Callable:
    """step(state, batch, validation) -> (state, []). everything: theta is all parameters, not the classifier's matrix.
    in_calls: each product compiled and called by itself."""
    train, validation_loss = losses_of(ours, everything)
    wrapped = jax.jit if in_calls else lambda f: f

    @wrapped
    def product(theta: Tree, state: State, batch: Batch, v: Tree) -> Tree:
        return jax.jvp(lambda t: jax.grad(train)(t, state.meta, state, batch), (theta,), (v,))[1]

    @wrapped
    def gradient(theta: Tree, state: State, batch: Batch, v: Tree) -> Tree:
        def along(meta: Tree) -> jax.Array:
            return jax.jvp(lambda t: train(t, meta, state, batch), (theta,), (v,))[1]

        return jax.grad(along)(state.meta)

    first = wrapped(jax.grad(validation_loss))
    updated = jax.jit(update, donate_argnums=0) if in_calls else update

    def step(state: State, batch: Batch, validation: Batch) -> tuple[State, jax.Array]:
        theta = state.params if everything else state.params["head"]["kernel"]
        v = first(theta, state, validation)
        total = jax.tree.map(jnp.negative, v)
        for _ in range(STEPS):
            v = jax.tree.map(lambda a, b: a - RATE * b, v, product(theta, state, batch, v))
            total = jax.tree.map(jnp.subtract, total, v)
        return updated(state, gradient(theta, state, batch, total)), jnp.zeros(())

    return step


def update(state: State, found: Tree) -> State:
    """RMSprop over all rows."""
    updates, opt_state = DENSE.update(found, state.opt_state, state.meta)
    return state.replace(meta=optax.apply_updates(state.meta, updates), opt_state=opt_state)


def rows_step(state: Any, batch: Batch, validation: Batch) -> tuple[Any, jax.Array]:
    """step(state, batch, validation): what such a step does to the rows' numbers alone, for gradients like them."""

    def along(meta: Tree) -> jax.Array:
        return 0.5 * sum(jnp.sum(x[batch.index] ** 2) for x in jax.tree.leaves(meta))

    return update(state, jax.grad(along)(state.meta)), jnp.zeros(())


def differences(widths: tuple[int, ...], count: int = 1000) -> dict[str, float]:
    """theta -> how far the squares of the gradient are from ours, relative to the largest, after one step."""
    ours, found = Ours("released", count=count, widths=widths), {}
    state, batch = ours.state(), next(batches(count, 64))
    search = state.search_state
    fresh = jax.tree.map(jnp.zeros_like, {name: getattr(search, name) for name in ("moments", "last_step", "step")})
    state = state.replace(search_state=search.replace(**fresh))
    for theta, part in THETA.items():
        after = jax.jit(ours.search_step(**AS_OURS, part=part))(state, *batch)[0]
        theirs = jax.jit(step_of(ours, not part))(begin(ours), *batch)[0]
        found[theta] = equal(jax.tree.map(lambda x: x[:count], after.search_state.moments[0]), theirs.opt_state[0].nu)
    return found
