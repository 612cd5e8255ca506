"""Pure steps. `train_step` is the only place where parameters change; a search's own step is where meta does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax.traverse_util import flatten_dict

from jaxaug.bilevel.per_example import SparseRule, gather_rows
from jaxaug.core.random import DeviceStream
from jaxaug.core.totals import Totals, totals_of
from jaxaug.core.types import Batch, MetaParams, ModelOutput, TrainState, Tree
from jaxaug.data.dataset import Split
from jaxaug.data.loader import RowSource
from jaxaug.data.sampler import take
from jaxaug.models.api import AUXILIARY_HEAD, init_model, replace_arrays
from jaxaug.optim.averaging import average, copied
from jaxaug.tasks.base import OWN_PARAMS, Task
from jaxaug.train.objective import HEAD, Objective, Parts


def init_state(
    key: jax.Array,
    parts: Parts,
    tx: optax.GradientTransformation,
    meta: MetaParams,
    search_state: Any,
    image_shape: tuple[int, ...],
    class_counts: jax.Array,
    weights: tuple[Tree, Tree] | None = None,
    average_decay: float = 0.0,
) -> TrainState:
    """The state before the first step, a function of `key` and the weights.

    Args:
      meta, search_state: as `SearchMethod.init` gives them.
      image_shape: (H, W, C) that the model sees.
      class_counts: [K], the training rows of each class, for loss transforms that ask for them.
      weights: (params, model_state), arrays in place of the random ones, not necessarily of all.
      average_decay: of the average of the weights; 0 for none.
    """
    begin_key = jax.random.fold_in(key, int(DeviceStream.INITIALIZATION))
    params, model_state = init_model(parts.model, begin_key, image_shape)
    if weights is not None:
        params, model_state = (
            replace_arrays(tree, flatten_dict(given))
            for tree, given in zip((params, model_state), weights, strict=True)
        )
    num_features, num_classes = params[HEAD]["kernel"].shape
    extras = {"class_counts": class_counts}
    if AUXILIARY_HEAD in params:
        extras["auxiliary_features"] = params[AUXILIARY_HEAD]["kernel"].shape[0]
    loss_state = parts.chain.init(num_classes, num_features, **extras)
    step = jnp.zeros((), jnp.int32)
    own_params = getattr(parts.task, "own_params", None)
    if own_params is not None:
        params = {**params, OWN_PARAMS: own_params(jax.random.fold_in(begin_key, 1), params)}
    begin = getattr(parts.task, "init_state", None)
    task_state = () if begin is None else begin(params, model_state)
    kept = _weights_of(copied(params), copied(model_state)) if average_decay else ()
    opt_state = tx.init(params)
    return TrainState(step, params, model_state, opt_state, loss_state, meta, search_state, key, task_state, kept)


def _weights_of(params: Tree, model_state: Tree) -> dict[str, Tree]:
    return {"params": params, "model_state": model_state}


def averaged(state: TrainState) -> TrainState:
    """The state whose network is the averaged one; of the same structure, so that nothing is compiled again for it."""
    return state.replace(**state.average, average=_weights_of(state.params, state.model_state))


def make_train_step(
    objective: Objective,
    tx: optax.GradientTransformation,
    rule: SparseRule | None = None,
    task: Task | None = None,
    average_decay: float = 0.0,
) -> Callable[[TrainState, Batch], tuple[TrainState, Totals]]:
    """train_step(state, batch) -> (state, totals): one optimiser step.

    rule: that of the search, if there is one. task: which may change its own state after the step. average_decay: of
    the average of parameters and BatchNorm statistics.
    """
    after_step = getattr(task, "after_step", lambda state: state)

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Totals]:
        key = jax.random.fold_in(state.key, state.step)
        meta = gather_rows(rule, state.meta, state.search_state, batch.index)[0]
        (loss, aux), grads = jax.value_and_grad(objective, has_aux=True)(state.params, meta, state, batch, key)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        totals = totals_of({"loss": (loss, jnp.ones(())), **aux.sums}, jnp.isfinite(loss), state.step)
        state = state.replace(
            step=state.step + 1,
            params=params,
            opt_state=opt_state,
            model_state=aux.model_state,
            loss_state=aux.loss_state,
            task_state=aux.task_state,
        )
        if average_decay:
            new = _weights_of(state.params, state.model_state)
            state = state.replace(average=average(state.average, new, state.step, average_decay))
        return after_step(state), totals

    return train_step


def make_predict(parts: Parts) -> Callable[[TrainState, Batch], ModelOutput]:
    """predict(state, batch) -> ModelOutput, with running BatchNorm statistics and without augmentation."""

    def predict(state: TrainState, batch: Batch) -> ModelOutput:
        batch = parts.augment(batch, state.meta.shared, None, None, train=False)

        network = getattr(parts.task, "network", None)
        params, model_state = (state.params, state.model_state) if network is None else network(state)

        def of(image: jax.Array) -> ModelOutput:
            return parts.evaluated(params, model_state, image)

        looks = getattr(parts.task, "evaluated", None)
        return of(batch.image) if looks is None else looks(of, batch.image)

    return predict


def batch_of(source: Split | None, chosen: jax.Array | Split) -> Batch:
    """The batch of rows number `chosen` [B] of a split on the device; row -1 is padding and gets label -1.

    Without a source chosen is the rows themselves, see `data.RowSource`.
    """
    part = take(source, chosen)
    return Batch(part.image, part.label, part.index)


def make_search_dispatch(search_step: Callable) -> Callable:
    """dispatch(state, totals, rows [B], validation rows [V]) -> (state, totals): a search step."""

    def dispatch(state: TrainState, totals: Totals, rows: RowSource, validation: RowSource):
        state, new = search_step(state, batch_of(*rows), batch_of(*validation))
        return state, totals + new

    return dispatch


def make_train_dispatch(train_step: Callable) -> Callable:
    """dispatch(state, totals, rows [n B]) -> (state, totals): n training steps in one call of the device.

    One step is called plainly: XLA's CPU backend runs convolutions inside a loop 3 to 9 times slower.
    """

    def dispatch(state: TrainState, totals: Totals, rows: RowSource):
        def one(carry, chosen):
            state, totals = carry
            state, new = train_step(state, batch_of(rows.source, chosen))
            return (state, totals + new), None

        if len(jax.tree.leaves(rows.chosen)[0]) == 1:
            return one((state, totals), jax.tree.map(lambda x: x[0], rows.chosen))[0]
        return jax.lax.scan(one, (state, totals), rows.chosen)[0]

    return dispatch
