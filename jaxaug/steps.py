"""Pure steps. `train_step` is the only place where parameters change."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxaug import metrics, models
from jaxaug.data import Split
from jaxaug.data.batches import take
from jaxaug.objective import Objective
from jaxaug.types import Batch, LossTransform, Outputs, TrainState, Tree


def init_state(
    key: jax.Array,
    model: nn.Module,
    chain: LossTransform,
    tx: optax.GradientTransformation,
    hyper: Tree,
    image_shape: tuple[int, ...],
) -> TrainState:
    """The state before the first step, a function of `key` alone."""
    # The largest number, which no step has: steps use fold_in(key, step).
    params, stats = models.init(model, jax.random.fold_in(key, 2**32 - 1), image_shape)
    num_features, num_classes = params["head"]["kernel"].shape
    loss = chain.init(num_classes, num_features)
    return TrainState(jnp.zeros((), jnp.int32), params, stats, tx.init(params), loss, hyper, key)


def make_train_step(
    objective: Objective, tx: optax.GradientTransformation
) -> Callable[[TrainState, Batch], tuple[TrainState, metrics.Totals]]:
    """train_step(state, batch) -> (state, metrics): one optimiser step."""

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, metrics.Totals]:
        key = jax.random.fold_in(state.key, state.step)
        grads, aux = jax.grad(objective, has_aux=True)(state.params, state.hyper, state, batch, key)
        updates, opt = tx.update(grads, state.opt, state.params)
        params = optax.apply_updates(state.params, updates)
        state = state.replace(step=state.step + 1, params=params, opt=opt, stats=aux.stats, loss=aux.loss)
        return state, aux.metrics

    return train_step


def make_predict(model: nn.Module, augment: Callable) -> Callable[[TrainState, Batch], Outputs]:
    """predict(state, batch) -> Outputs, with running BatchNorm statistics and without augmentation."""

    def predict(state: TrainState, batch: Batch) -> Outputs:
        batch = augment(batch, state.hyper, None, None, train=False)
        return models.apply(model, state.params, state.stats, batch.image, train=False)[0]

    return predict


def of_rows(source: Split, rows: jax.Array) -> Batch:
    """The batch of `rows` [B] of a split that lives on the device; row -1 is padding and gets label -1."""
    part = take(source, rows)
    return Batch(part.image, part.label, part.index)


def make_dispatch(train_step: Callable) -> Callable:
    """dispatch(state, totals, source, rows [n B]) -> (state, totals): n training steps in one call of the device.

    One step is called plainly: XLA's CPU backend runs convolutions inside a loop 3 to 9 times slower.
    """

    def dispatch(state: TrainState, totals: metrics.Totals, source: Split, rows: jax.Array):
        def one(carry, rows):
            state, totals = carry
            state, new = train_step(state, of_rows(source, rows))
            return (state, totals + new), None

        if len(rows) == 1:
            return one((state, totals), rows[0])[0]
        return jax.lax.scan(one, (state, totals), rows)[0]

    return dispatch
