"""Optimisers and learning-rate schedules, from optax.

The recipes of the four papers differ in what they count (epochs or steps), whether from 0 or from 1, and where the
schedule ends; those three are options, so that each is met exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from jaxaug.errors import UsageError
from jaxaug.find import call, choose

Schedule = Callable[[jax.Array], jax.Array]


def build(config: ConfigDict, *, steps_per_epoch: int, epochs: int) -> tuple[optax.GradientTransformation, Schedule]:
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
    schedule = call(
        "config.optim.schedule",
        make_schedule,
        config.learning_rate,
        options={"steps_per_epoch": steps_per_epoch, "epochs": epochs, **config.schedule},
    )
    mask = choose("config.optim.decay", config.decay, {"all": None, "kernels": _kernels})
    decay = optax.add_decayed_weights(config.weight_decay, mask)

    def sgd() -> optax.GradientTransformation:
        momentum = config.momentum or None
        return optax.chain(decay, optax.sgd(schedule, momentum, nesterov=config.nesterov))

    def adamw() -> optax.GradientTransformation:
        return optax.adamw(schedule, weight_decay=config.weight_decay, mask=mask)

    tx = choose("config.optim.name", config.name, {"sgd": sgd, "adamw": adamw})()
    return (optax.chain(optax.clip_by_global_norm(config.clip), tx) if config.clip else tx), schedule


def _kernels(params):
    """True for matrices and convolution kernels: not for biases, BatchNorm scales and shifts."""
    return jax.tree.map(lambda p: p.ndim > 1, params)


def make_schedule(
    learning_rate: float,
    *,
    steps_per_epoch: int,
    epochs: int,
    shape: str = "cosine",
    per: str = "step",
    first: int = 0,
    longer_by: int = 0,
    milestones: tuple[int, ...] = (),
    factor: float = 0.1,
    power: float = 0.9,
    floor: float = 0.0,
    warmup: float = 0.0,
    start: float = 0.0,
) -> Schedule:
    """The learning rate as a function of the step (from 0).

    With i = first + the number of epochs (per="epoch") or steps (per="step") completed, n = longer_by + their total
    and t = i / n, the rate is floor + (learning_rate - floor) * g, where g is by `shape`:

    "constant": 1;  "linear": 1 - t;  "polynomial": (1 - t)^power;  "cosine": (1 + cos(pi t)) / 2;
    "steps": factor^(number of milestones <= i), milestones in the unit of `per`.

    warmup: that many epochs at the start rise linearly from the rate `start`, and the rest is as above with both i and
    n counted from the end of the warm-up.
    """
    decay = choose("config.optim.schedule.shape", shape, _shapes(milestones, factor, power))
    if not 0 <= start <= learning_rate:
        raise UsageError(f"config.optim.schedule.start must be in 0..{learning_rate}, the learning rate, got {start}")
    unit = choose("config.optim.schedule.per", per, {"step": 1, "epoch": steps_per_epoch})
    risen = round(warmup * steps_per_epoch)
    total = steps_per_epoch * epochs
    if not 0 <= risen <= total - unit:
        raise UsageError(f"config.optim.schedule.warmup is {warmup} epochs, too long for a training of {epochs}")

    def main(step: jax.Array) -> jax.Array:
        i = first + step // unit
        return floor + (learning_rate - floor) * decay(i, longer_by + (total - risen) // unit)

    if not risen:
        return main
    return optax.join_schedules([optax.linear_schedule(start, learning_rate, risen), main], [risen])


def _shapes(milestones: tuple[int, ...], factor: float, power: float) -> dict[str, Callable]:
    """g of `make_schedule` by name, as functions of i and n."""
    return {
        "constant": lambda i, n: jnp.ones(()),
        "linear": lambda i, n: 1.0 - i / n,
        "polynomial": lambda i, n: jnp.maximum(1.0 - i / n, 0.0) ** power,
        "cosine": lambda i, n: 0.5 * (1.0 + jnp.cos(math.pi * i / n)),
        "steps": lambda i, n: factor ** jnp.sum(i >= jnp.asarray(milestones)),
    }
