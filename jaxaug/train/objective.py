"""The one objective: `(params, meta, state, batch, key) -> (loss, aux)`, and the same in two stages for a search.

Training differentiates it in params, a search in meta.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax

from jaxaug import losses
from jaxaug.core.types import Batch, LossInputs, LossTransform, MetaParams, ModelOutput, Progress, TrainState, Tree
from jaxaug.models.api import apply_head, apply_model, replace_subtree
from jaxaug.train import metrics

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
    """objective(params, meta, state, batch, key): augment -> model -> loss chain -> one number.

    batch: a raw `Batch`; meta: that of its rows; key: of this step. Everything random in it comes from `key`.
    """

    def objective(params: Tree, meta: MetaParams, state: TrainState, batch: Batch, key: jax.Array):
        progress = progress_of(state.step, steps_per_epoch, epochs)
        augment_key, model_key = jax.random.split(key)
        batch = augment(batch.replace(per_example=meta.per_example), meta.shared, augment_key, progress, train=True)
        out, stats = apply_model(model, params, state.stats, batch.image, train=True, key=model_key)
        loss_state, inputs = chain.apply(state.loss, losses.cross_entropy_inputs(out, batch, meta.shared, progress))
        loss = losses.mean_loss(inputs)
        totals = metrics.training_totals(loss, out.logits, batch.label, state.step)
        return loss, Aux(stats, loss_state, totals)

    return objective


def make_per_example_inputs(
    model: nn.Module, augment: Callable, chain: LossTransform | None, *, steps_per_epoch: int, epochs: int
) -> Callable[[Tree, TrainState, Batch], LossInputs]:
    """row_terms(params, state, batch) -> Terms of a raw batch, for `losses.of_rows`: the model as evaluated, and no
    augmentation but what was done to the batch before. chain: None for plain cross-entropy."""

    def row_terms(params: Tree, state: TrainState, batch: Batch) -> LossInputs:
        progress = progress_of(state.step, steps_per_epoch, epochs)
        batch = augment(batch, state.meta.shared, None, None, train=False)
        out, _ = apply_model(model, params, state.stats, batch.image, train=False)
        inputs = losses.cross_entropy_inputs(out, batch, state.meta.shared, progress)
        return inputs if chain is None else chain.apply(state.loss, inputs)[1]

    return row_terms


class BilevelProblem(NamedTuple):
    """The objective cut where the parameters that a search differentiates in begin to matter; the model as evaluated.

    encode(meta, state, batch, key) -> (numbers, rest): all that comes before, once for a search step. numbers: floats
    that meta may reach, with the features if the part is the head, else with the images; rest: the batch besides.
    score(params, shared, numbers, rest, state) -> Terms.  trust(state, batch) -> (params -> []): plain cross-entropy on
    rows whose labels are trusted, without augmentation.
    """

    encode: Callable[[MetaParams, TrainState, Batch, jax.Array], tuple[dict[str, Any], Batch]]
    score: Callable[[Tree, Tree, dict[str, Any], Batch, TrainState], LossInputs]
    trust: Callable[[TrainState, Batch], Callable[[Tree], jax.Array]]


def make_bilevel_problem(
    model: nn.Module,
    augment: Callable,
    chain: LossTransform,
    part: tuple[str, ...],
    *,
    steps_per_epoch: int,
    epochs: int,
) -> BilevelProblem:
    """The stages for a part of the parameters: a path such as ("head",) or ("head", "kernel"); () for all of them."""
    cut = HeadSplit(model, part)

    def encode(meta: MetaParams, state: TrainState, batch: Batch, key: jax.Array):
        progress = progress_of(state.step, steps_per_epoch, epochs)
        batch = augment(batch.replace(per_example=meta.per_example), meta.shared, key, progress, train=True)
        numbers = {
            "seen": cut.seen(state, batch),
            "per_example": batch.per_example,
            "visibility": batch.visibility,
            "mix_ratio": batch.mix_ratio,
        }
        return numbers, batch.replace(per_example=None, visibility=None, mix_ratio=None)

    def score(params: Tree, shared: Tree, numbers: dict[str, Any], rest: Batch, state: TrainState) -> LossInputs:
        batch = rest.replace(
            per_example=numbers["per_example"], visibility=numbers["visibility"], mix_ratio=numbers["mix_ratio"]
        )
        progress = progress_of(state.step, steps_per_epoch, epochs)
        out = cut.answer(params, state, numbers["seen"])
        return chain.apply(state.loss, losses.cross_entropy_inputs(out, batch, shared, progress))[1]

    def trust(state: TrainState, batch: Batch) -> Callable[[Tree], jax.Array]:
        batch = augment(batch, state.meta.shared, None, None, train=False)
        # A barrier, or XLA writes out for both forward passes what they share, such as BatchNorm's factors for each
        # pixel: on a CPU the search step took half as long again.
        params, stats = jax.lax.optimization_barrier((state.params, state.stats))
        seen = cut.seen(state.replace(params=params, stats=stats), batch)
        progress = progress_of(state.step, steps_per_epoch, epochs)
        return lambda params: losses.mean_loss(
            losses.cross_entropy_inputs(cut.answer(params, state, seen), batch, {}, progress)
        )

    return BilevelProblem(encode, score, trust)


class HeadSplit(NamedTuple):
    """A model, as evaluated, in two: what comes before a part of its parameters, and what that part makes of it."""

    model: nn.Module
    part: tuple[str, ...]

    def seen(self, state: TrainState, batch: Batch) -> jax.Array:
        """What the part works on: features [B D], or images [B H W C]."""
        if self.part[:1] != (HEAD,):
            return batch.image
        return apply_model(self.model, state.params, state.stats, batch.image, train=False)[0].features

    def answer(self, params: Tree, state: TrainState, seen: jax.Array) -> ModelOutput:
        params = replace_subtree(state.params, self.part, params)
        if self.part[:1] == (HEAD,):
            return apply_head(params[HEAD], seen)
        return apply_model(self.model, params, state.stats, seen, train=False)[0]
