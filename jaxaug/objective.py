"""The one objective: `(params, hyper, state, batch, key) -> (loss, aux)`, and the same in two stages for a search.

Training differentiates it in params, a search in hyper.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax

from jaxaug import losses, metrics, models
from jaxaug.types import Batch, Hyper, LossTransform, Outputs, Progress, Terms, TrainState, Tree

Objective = Callable[..., tuple[jax.Array, "Aux"]]
HEAD = "head"


class Aux(flax.struct.PyTreeNode):
    """What a step leaves behind besides the loss: BatchNorm statistics, loss states, metrics."""

    stats: Tree
    loss: Tree
    metrics: metrics.Totals


def progress_of(step: jax.Array, steps_per_epoch: int, epochs: int) -> Progress:
    """How far the training is before step number `step` [] (from 0)."""
    return Progress(step=step / (steps_per_epoch * epochs), epoch=(step // steps_per_epoch) / epochs)


def make_objective(
    model: nn.Module, augment: Callable, chain: LossTransform, *, steps_per_epoch: int, epochs: int
) -> Objective:
    """objective(params, hyper, state, batch, key): augment -> model -> loss chain -> one number.

    batch: a raw `Batch`; hyper: that of its rows; key: of this step. Everything random in it comes from `key`.
    """

    def objective(params: Tree, hyper: Hyper, state: TrainState, batch: Batch, key: jax.Array):
        progress = progress_of(state.step, steps_per_epoch, epochs)
        of_augment, of_model = jax.random.split(key)
        batch = augment(batch.replace(own=hyper.own), hyper.shared, of_augment, progress, train=True)
        out, stats = models.apply(model, params, state.stats, batch.image, train=True, key=of_model)
        loss_state, terms = chain.apply(state.loss, losses.begin(out, batch, hyper.shared, progress))
        loss = losses.reduce(terms)
        totals = metrics.of_training(loss, out.logits, batch.label, state.step)
        return loss, Aux(stats, loss_state, totals)

    return objective


def make_row_terms(
    model: nn.Module, augment: Callable, chain: LossTransform | None, *, steps_per_epoch: int, epochs: int
) -> Callable[[Tree, TrainState, Batch], Terms]:
    """row_terms(params, state, batch) -> Terms of a raw batch, for `losses.of_rows`: the model as evaluated, and no
    augmentation but what was done to the batch before. chain: None for plain cross-entropy."""

    def row_terms(params: Tree, state: TrainState, batch: Batch) -> Terms:
        progress = progress_of(state.step, steps_per_epoch, epochs)
        batch = augment(batch, state.hyper.shared, None, None, train=False)
        out, _ = models.apply(model, params, state.stats, batch.image, train=False)
        terms = losses.begin(out, batch, state.hyper.shared, progress)
        return terms if chain is None else chain.apply(state.loss, terms)[1]

    return row_terms


class Stages(NamedTuple):
    """The objective cut where the parameters that a search differentiates in begin to matter; the model as evaluated.

    encode(hyper, state, batch, key) -> (numbers, rest): all that comes before, once for a search step. numbers: floats
    that hyper may reach, with the features if the part is the head, else with the images; rest: the batch besides.
    score(params, shared, numbers, rest, state) -> Terms.  trust(state, batch) -> (params -> []): plain cross-entropy on
    rows whose labels are trusted, without augmentation.
    """

    encode: Callable[[Hyper, TrainState, Batch, jax.Array], tuple[dict[str, Any], Batch]]
    score: Callable[[Tree, Tree, dict[str, Any], Batch, TrainState], Terms]
    trust: Callable[[TrainState, Batch], Callable[[Tree], jax.Array]]


def make_stages(
    model: nn.Module,
    augment: Callable,
    chain: LossTransform,
    part: tuple[str, ...],
    *,
    steps_per_epoch: int,
    epochs: int,
) -> Stages:
    """The stages for a part of the parameters: a path such as ("head",) or ("head", "kernel"); () for all of them."""
    cut = _Cut(model, part)

    def encode(hyper: Hyper, state: TrainState, batch: Batch, key: jax.Array):
        progress = progress_of(state.step, steps_per_epoch, epochs)
        batch = augment(batch.replace(own=hyper.own), hyper.shared, key, progress, train=True)
        numbers = {"seen": cut.seen(state, batch), "own": batch.own, "mass": batch.mass, "mix": batch.mix}
        return numbers, batch.replace(own=None, mass=None, mix=None)

    def score(params: Tree, shared: Tree, numbers: dict[str, Any], rest: Batch, state: TrainState) -> Terms:
        batch = rest.replace(own=numbers["own"], mass=numbers["mass"], mix=numbers["mix"])
        progress = progress_of(state.step, steps_per_epoch, epochs)
        out = cut.answer(params, state, numbers["seen"])
        return chain.apply(state.loss, losses.begin(out, batch, shared, progress))[1]

    def trust(state: TrainState, batch: Batch) -> Callable[[Tree], jax.Array]:
        batch = augment(batch, state.hyper.shared, None, None, train=False)
        # A barrier, or XLA writes out for both forward passes what they share, such as BatchNorm's factors for each
        # pixel: on a CPU the search step took half as long again.
        params, stats = jax.lax.optimization_barrier((state.params, state.stats))
        seen = cut.seen(state.replace(params=params, stats=stats), batch)
        progress = progress_of(state.step, steps_per_epoch, epochs)
        return lambda params: losses.reduce(losses.begin(cut.answer(params, state, seen), batch, {}, progress))

    return Stages(encode, score, trust)


class _Cut(NamedTuple):
    """A model, as evaluated, in two: what comes before a part of its parameters, and what that part makes of it."""

    model: nn.Module
    part: tuple[str, ...]

    def seen(self, state: TrainState, batch: Batch) -> jax.Array:
        """What the part works on: features [B D], or images [B H W C]."""
        if self.part[:1] != (HEAD,):
            return batch.image
        return models.apply(self.model, state.params, state.stats, batch.image, train=False)[0].features

    def answer(self, params: Tree, state: TrainState, seen: jax.Array) -> Outputs:
        params = models.with_part(state.params, self.part, params)
        if self.part[:1] == (HEAD,):
            return models.of_head(params[HEAD], seen)
        return models.apply(self.model, params, state.stats, seen, train=False)[0]
