"""Pure steps. `train_step` is the only place where parameters change, `search_step` where meta does."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxaug import losses
from jaxaug.bilevel.hypergradient import IHVPSolver, hypergradient, softmax_fisher
from jaxaug.bilevel.per_example import SearchState, SparseRule, gather_rows, scatter_update
from jaxaug.core.types import Batch, LossInputs, LossTransform, MetaParams, ModelOutput, TrainState, Tree
from jaxaug.data.dataset import Split
from jaxaug.data.loader import RowSource
from jaxaug.data.sampler import take
from jaxaug.models.api import apply_model, get_subtree, init_model
from jaxaug.train import metrics
from jaxaug.train.objective import BilevelProblem, Objective

# Numbers that no step has: training steps use fold_in(key, step).
OF_INIT, OF_SEARCH = 2**32 - 1, 2**32 - 2


def init_state(
    key: jax.Array,
    model: nn.Module,
    chain: LossTransform,
    tx: optax.GradientTransformation,
    meta: MetaParams,
    search: SearchState,
    image_shape: tuple[int, ...],
) -> TrainState:
    """The state before the first step, a function of `key` alone."""
    params, stats = init_model(model, jax.random.fold_in(key, OF_INIT), image_shape)
    num_features, num_classes = params["head"]["kernel"].shape
    loss = chain.init(num_classes, num_features)
    return TrainState(jnp.zeros((), jnp.int32), params, stats, tx.init(params), loss, meta, search, key)


def make_train_step(
    objective: Objective, tx: optax.GradientTransformation, rule: SparseRule | None = None
) -> Callable[[TrainState, Batch], tuple[TrainState, metrics.Totals]]:
    """train_step(state, batch) -> (state, metrics): one optimiser step. rule: that of the search, if there is one."""

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, metrics.Totals]:
        key = jax.random.fold_in(state.key, state.step)
        meta = gather_rows(rule, state.meta, state.search, batch.index)[0]
        grads, aux = jax.grad(objective, has_aux=True)(state.params, meta, state, batch, key)
        updates, opt = tx.update(grads, state.opt, state.params)
        params = optax.apply_updates(state.params, updates)
        state = state.replace(step=state.step + 1, params=params, opt=opt, stats=aux.stats, loss=aux.loss)
        return state, aux.metrics

    return train_step


def make_search_step(
    stages: BilevelProblem,
    rule: SparseRule,
    tx: optax.GradientTransformation,
    direction: IHVPSolver,
    *,
    part: tuple[str, ...],
    fisher: bool,
) -> Callable[[TrainState, Batch, Batch], tuple[TrainState, metrics.Totals]]:
    """search_step(state, batch, trusted) -> (state, metrics): meta moves so that the trusted rows' loss falls.

    The rows' own numbers follow `rule`, the shared ones `tx`. part: the parameters that the derivative goes through.
    fisher: curvature by Gauss-Newton on the weighted cross-entropy, which is never negative; else by the Hessian.
    """

    def search_step(state: TrainState, batch: Batch, trusted: Batch) -> tuple[TrainState, metrics.Totals]:
        key = jax.random.fold_in(jax.random.fold_in(state.key, OF_SEARCH), state.search.step)
        seen = gather_rows(rule, state.meta, state.search, batch.index)
        numbers, back, rest = jax.vjp(lambda h: stages.encode(h, state, batch, key), seen[0], has_aux=True)

        def inputs(params: Tree, shared: Tree, numbers: Tree) -> LossInputs:
            return stages.score(params, shared, numbers, rest, state)

        def train(params: Tree, given: tuple[Tree, Tree]) -> jax.Array:
            return losses.mean_loss(inputs(params, *given))

        params, given = get_subtree(state.params, part), (seen[0].shared, numbers)
        curvature = None
        if fisher:
            now, known = inputs(params, *given), jnp.maximum(jnp.sum(rest.label >= 0), 1)
            # What transforms add to the logits is held fixed: its curvature need not be positive.
            added = jax.lax.stop_gradient(now.logits - now.output.logits)
            curvature = softmax_fisher(lambda p: inputs(p, *given).output.logits + added, now.weight, known)
        trust = stages.trust(state, trusted)
        (of_shared, of_numbers), report = hypergradient(train, trust, params, given, direction, curvature)
        # What reaches meta through the images and features, and what reaches it directly.
        (gradient,) = back(of_numbers)
        of_shared = jax.tree.map(jnp.add, gradient.shared, of_shared)
        meta, search = scatter_update(rule, state.meta, state.search, seen, gradient.per_example)
        updates, of_tx = tx.update(of_shared, search.shared, meta.shared)
        meta = meta.replace(shared=optax.apply_updates(meta.shared, updates))
        totals = metrics.search_totals(report, (gradient.per_example, of_shared), state.step)
        return state.replace(meta=meta, search=search.replace(shared=of_tx)), totals

    return search_step


def make_predict(model: nn.Module, augment: Callable) -> Callable[[TrainState, Batch], ModelOutput]:
    """predict(state, batch) -> Outputs, with running BatchNorm statistics and without augmentation."""

    def predict(state: TrainState, batch: Batch) -> ModelOutput:
        batch = augment(batch, state.meta.shared, None, None, train=False)
        return apply_model(model, state.params, state.stats, batch.image, train=False)[0]

    return predict


def batch_of(source: Split | None, chosen: jax.Array | Split) -> Batch:
    """The batch of rows number `chosen` [B] of a split on the device; row -1 is padding and gets label -1.

    Without a source chosen is the rows themselves, see `feed.Fed`.
    """
    part = take(source, chosen)
    return Batch(part.image, part.label, part.index)


def make_search_dispatch(search_step: Callable) -> Callable:
    """dispatch(state, totals, rows [B], trusted rows [V]) -> (state, totals): a search step."""

    def dispatch(state: TrainState, totals: metrics.Totals, fed: RowSource, trusted: RowSource):
        state, new = search_step(state, batch_of(*fed), batch_of(*trusted))
        return state, totals + new

    return dispatch


def make_train_dispatch(train_step: Callable) -> Callable:
    """dispatch(state, totals, rows [n B]) -> (state, totals): n training steps in one call of the device.

    One step is called plainly: XLA's CPU backend runs convolutions inside a loop 3 to 9 times slower.
    """

    def dispatch(state: TrainState, totals: metrics.Totals, fed: RowSource):
        def one(carry, chosen):
            state, totals = carry
            state, new = train_step(state, batch_of(fed.source, chosen))
            return (state, totals + new), None

        if len(jax.tree.leaves(fed.chosen)[0]) == 1:
            return one((state, totals), jax.tree.map(lambda x: x[0], fed.chosen))[0]
        return jax.lax.scan(one, (state, totals), fed.chosen)[0]

    return dispatch
