"""Learning-rate schedules, from optax."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import pick

Schedule = Callable[[jax.Array], jax.Array]


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
    decay = pick("config.optim.schedule.shape", shape, _shapes(milestones, factor, power))
    if not 0 <= start <= learning_rate:
        raise UsageError(f"config.optim.schedule.start must be in 0..{learning_rate}, the learning rate, got {start}")
    unit = pick("config.optim.schedule.per", per, {"step": 1, "epoch": steps_per_epoch})
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
