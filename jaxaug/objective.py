"""The one objective: `(params, hyper, state, batch, key) -> (loss, aux)`. Training differentiates it in params."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import flax.struct
import jax

from jaxaug import losses, metrics, models
from jaxaug.types import Batch, LossTransform, Progress, TrainState, Tree

Objective = Callable[..., tuple[jax.Array, "Aux"]]


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

    batch: a raw `Batch`; key: of this step. Everything random in it comes from `key`.
    """

    def objective(params: Tree, hyper: Tree, state: TrainState, batch: Batch, key: jax.Array):
        progress = progress_of(state.step, steps_per_epoch, epochs)
        of_augment, of_model = jax.random.split(key)
        batch = augment(batch, hyper, of_augment, progress, train=True)
        out, stats = models.apply(model, params, state.stats, batch.image, train=True, key=of_model)
        loss_state, terms = chain.apply(state.loss, losses.begin(out, batch, hyper, progress))
        loss = losses.reduce(terms)
        totals = metrics.of_training(loss, out.logits, batch.label, state.step)
        return loss, Aux(stats, loss_state, totals)

    return objective
