"""Optimisers, from optax, as the papers' recipes use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import optax

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import Slot, instantiate, pick, register
from jaxaug.core.types import Tree
from jaxaug.optim.rates import Rates, check_rates, with_rates
from jaxaug.optim.schedules import Schedule, make_schedule


def create(
    name: str,
    *,
    steps_per_epoch: int,
    epochs: int,
    learning_rate: float = 0.1,
    schedule: Slot = "cosine",
    clip: float = 0.0,
    rates: Rates = (),
    layer_decay: float = 1.0,
    **options: Any,
) -> tuple[optax.GradientTransformation, Schedule]:
    """The optimiser of a name, with its schedule.

    Args:
      name: of an optimiser, "sgd" or "adamw", or the dotted name of one's own.
      steps_per_epoch: optimiser steps in an epoch.
      epochs: how many epochs are trained.
      learning_rate: the largest rate, above 0.
      schedule: the rate over the training, a name or `{"name": ..., option: value}` (see `make_schedule`).
      clip: the largest global norm of the gradient, 0 for none.
      rates: pairs of a pattern of paths and what the rate is multiplied by there, (("head", 1.0), ("*", 0.1)); the
        first that matches counts, 0 freezes.
      layer_decay: what the rate is multiplied by for each stage or block that lies between a layer and the head.
      **options: of the optimiser.

    Returns:
      (tx, schedule): the optax transformation, and the rate as a function of the step.

    Raises:
      UsageError: an unknown name or option, or a value out of range.
    """
    if not learning_rate > 0 or not clip >= 0:
        raise UsageError(f"optim: learning_rate must be above 0 and clip at least 0, got {learning_rate} and {clip}")
    check_rates(rates, layer_decay)
    rate = make_schedule(schedule, learning_rate=learning_rate, steps_per_epoch=steps_per_epoch, epochs=epochs)
    tx = instantiate("optimizer", {"name": name, **options}, rate)
    tx = optax.chain(optax.clip_by_global_norm(clip), tx) if clip else tx
    return with_rates(tx, rates, layer_decay), rate


@register("optimizer")
def sgd(
    schedule: Schedule,
    *,
    momentum: float = 0.9,
    nesterov: bool = True,
    weight_decay: float = 1e-4,
    decay: str = "all",
    clip_decayed: float = 0.0,
) -> optax.GradientTransformation:
    """Stochastic gradient descent with momentum, as PyTorch's.

    Args:
      schedule: the rate as a function of the step.
      momentum: the share of the last update that is kept, 0 for none.
      nesterov: whether the momentum looks a step ahead.
      weight_decay: times the parameters, is added to the gradient before the momentum, as the papers' code has it.
      decay: what is decayed: "all" parameters (as the papers do) or "kernels" only.
      clip_decayed: the largest global norm of the gradient with its decay (`clip` is without), 0 for none.
    """
    mask = _decayed("sgd", weight_decay, decay)
    if not clip_decayed >= 0:
        raise UsageError(f"sgd: clip_decayed must be at least 0, got {clip_decayed}")
    return optax.chain(
        optax.add_decayed_weights(weight_decay, mask),
        optax.clip_by_global_norm(clip_decayed) if clip_decayed else optax.identity(),
        optax.sgd(schedule, momentum or None, nesterov=nesterov),
    )


@register("optimizer")
def adamw(
    schedule: Schedule,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 1e-4,
    decay: str = "all",
) -> optax.GradientTransformation:
    """Adam with a decay of its own beside the moments (Loshchilov and Hutter 2019).

    Args:
      schedule: the rate as a function of the step.
      b1: the share of the mean of the gradients that is kept.
      b2: the share of the mean of their squares that is kept.
      eps: is added to the root of the squares.
      weight_decay: times the parameters and the rate, is taken off the parameters.
      decay: what is decayed: "all" parameters or "kernels" only.
    """
    mask = _decayed("adamw", weight_decay, decay)
    return optax.adamw(schedule, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay, mask=mask)


def _decayed(name: str, weight_decay: float, decay: str) -> Callable[[Tree], Tree] | None:
    """Which parameters are decayed, as optax takes it: None for all."""
    if not weight_decay >= 0:
        raise UsageError(f"{name}: weight_decay must be at least 0, got {weight_decay}")
    return pick(f"{name} decay", decay, {"all": None, "kernels": _is_kernel})


def _is_kernel(params: Tree) -> Tree:
    """True for matrices and convolution kernels: not for biases, BatchNorm scales and shifts."""
    return jax.tree.map(lambda p: p.ndim > 1, params)
