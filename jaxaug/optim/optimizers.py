"""Optimisers and learning-rate schedules, from optax.

The recipes of the four papers differ in what they count (epochs or steps), whether from 0 or from 1, and where the
schedule ends; those three are options, so that each is met exactly.
"""

from __future__ import annotations

import jax
import optax
from ml_collections import ConfigDict

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import instantiate, pick
from jaxaug.optim.schedules import Schedule, make_schedule


def create(config: ConfigDict, *, steps_per_epoch: int, epochs: int) -> tuple[optax.GradientTransformation, Schedule]:
    """(tx, schedule) for a config:

    name: "sgd" (momentum, nesterov) or "adamw"; learning_rate > 0; schedule: options of `make_schedule`;
    weight_decay: for sgd it is coupled, that is added to the gradient before the momentum, as the papers' PyTorch
    code has it; decay: "all" parameters (as they do) or "kernels" only; clip: largest global norm of the
    gradient, 0 for none.
    """
    if config.learning_rate <= 0 or config.weight_decay < 0 or config.clip < 0:
        raise UsageError(
            "config.optim: learning_rate must be above 0, weight_decay and clip at least 0, got "
            f"{config.learning_rate}, {config.weight_decay}, {config.clip}"
        )
    schedule = instantiate(
        "config.optim.schedule",
        make_schedule,
        config.learning_rate,
        options={"steps_per_epoch": steps_per_epoch, "epochs": epochs, **config.schedule},
    )
    mask = pick("config.optim.decay", config.decay, {"all": None, "kernels": _kernels})
    decay = optax.add_decayed_weights(config.weight_decay, mask)

    def sgd() -> optax.GradientTransformation:
        momentum = config.momentum or None
        return optax.chain(decay, optax.sgd(schedule, momentum, nesterov=config.nesterov))

    def adamw() -> optax.GradientTransformation:
        return optax.adamw(schedule, weight_decay=config.weight_decay, mask=mask)

    tx = pick("config.optim.name", config.name, {"sgd": sgd, "adamw": adamw})()
    return (optax.chain(optax.clip_by_global_norm(config.clip), tx) if config.clip else tx), schedule


def _kernels(params):
    """True for matrices and convolution kernels: not for biases, BatchNorm scales and shifts."""
    return jax.tree.map(lambda p: p.ndim > 1, params)
