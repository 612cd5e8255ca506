"""Learning-rate schedules: a decay by one of five shapes, behind a linear warm-up.

The recipes of the papers differ in what they count (epochs or steps), whether from 0 or from 1, and where the schedule
ends; those three are options, so that each is met exactly. With i = first + the number of epochs (per="epoch") or
steps (per="step") completed, n = longer_by + their total and t = i / n, the rate is

    floor + (learning_rate - floor) * g,      g in 0..1 by the shape: see each schedule.

For the first `warmup` epochs it rises linearly from `start` instead, and the rest is as above with both i and n
counted from the end of the warm-up; with `overlap` they are counted from the first step on, and the warm-up rises to
what the decay has come to at its end, being first / warmup of the way up when it begins.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import optax

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import Slot, instantiate, pick, register

Schedule = Callable[[jax.Array], jax.Array]
"""The step, from 0 -> the learning rate."""
ScheduleRule = Callable[[float, int, int], Schedule]
"""(learning_rate, steps_per_epoch, epochs) -> the schedule."""
Shape = Callable[[jax.Array, int], jax.Array]  # g as a function of i and n
_Function = TypeVar("_Function", bound=Callable[..., ScheduleRule])

_ARGUMENTS = {
    "per": 'what is counted, and held in between: "step" or "epoch".',
    "first": "the number that the first step or epoch has, 0 or 1.",
    "longer_by": "how many steps or epochs the decay ends after the training.",
    "floor": "the rate that the decay ends at.",
    "warmup": "epochs at the start in which the rate rises linearly to the learning rate.",
    "start": "the rate that the warm-up rises from, in 0..learning_rate.",
    "overlap": "the decay begins with the training rather than after the warm-up, which rises to meet it.",
}


def make_schedule(slot: Slot, *, learning_rate: float, steps_per_epoch: int, epochs: int) -> Schedule:
    """The learning rate as a function of the step.

    Args:
      slot: the name of a schedule, or `{"name": "cosine", "warmup": 5.0}` with its options.
      learning_rate: the largest rate, above 0.
      steps_per_epoch: optimiser steps in an epoch.
      epochs: how many epochs are trained.

    Returns:
      A function of the step (from 0, may be traced), as optax takes it.

    Raises:
      UsageError: an unknown name or option, or an option out of range.
    """
    return instantiate("schedule", slot)(learning_rate, steps_per_epoch, epochs)


def _with_common_arguments(function: _Function) -> _Function:
    """Ends the docstring with the options that every decay has: their meaning is written once."""
    lines = [f"  {name}: {meaning}" for name, meaning in _ARGUMENTS.items()]
    function.__doc__ = "\n".join([inspect.getdoc(function) or "", *lines])
    return function


@register("schedule")
def constant(*, warmup: float = 0.0, start: float = 0.0) -> ScheduleRule:
    """The learning rate throughout: g = 1.

    Args:
      warmup: epochs at the start in which the rate rises linearly to the learning rate.
      start: the rate that the warm-up rises from, in 0..learning_rate.
    """
    return _rule("constant", lambda i, n: jnp.ones(()), warmup=warmup, start=start)


@register("schedule")
@_with_common_arguments
def linear(
    *,
    per: str = "step",
    first: int = 0,
    longer_by: int = 0,
    floor: float = 0.0,
    warmup: float = 0.0,
    start: float = 0.0,
    overlap: bool = False,
) -> ScheduleRule:
    """A straight line down: g = 1 - t.

    Args:
    """
    return _rule("linear", lambda i, n: 1.0 - i / n, per, first, longer_by, floor, warmup, start, overlap)


@register("schedule")
@_with_common_arguments
def polynomial(
    *,
    power: float = 0.9,
    per: str = "step",
    first: int = 0,
    longer_by: int = 0,
    floor: float = 0.0,
    warmup: float = 0.0,
    start: float = 0.0,
    overlap: bool = False,
) -> ScheduleRule:
    """A power of what is left: g = (1 - t)^power.

    Args:
      power: the exponent; 1 is `linear`.
    """

    def shape(i: jax.Array, n: int) -> jax.Array:
        return jnp.maximum(1.0 - i / n, 0.0) ** power

    return _rule("polynomial", shape, per, first, longer_by, floor, warmup, start, overlap)


@register("schedule")
@_with_common_arguments
def cosine(
    *,
    per: str = "step",
    first: int = 0,
    longer_by: int = 0,
    floor: float = 0.0,
    warmup: float = 0.0,
    start: float = 0.0,
    overlap: bool = False,
) -> ScheduleRule:
    """Half a cosine (Loshchilov and Hutter 2017): g = (1 + cos(pi t)) / 2.

    Args:
    """

    def shape(i: jax.Array, n: int) -> jax.Array:
        return 0.5 * (1.0 + jnp.cos(math.pi * i / n))

    return _rule("cosine", shape, per, first, longer_by, floor, warmup, start, overlap)


@register("schedule")
@_with_common_arguments
def steps(
    *,
    milestones: tuple[int, ...] = (),
    factor: float = 0.1,
    per: str = "step",
    first: int = 0,
    longer_by: int = 0,
    floor: float = 0.0,
    warmup: float = 0.0,
    start: float = 0.0,
    overlap: bool = False,
) -> ScheduleRule:
    """A staircase down: g = factor^(number of milestones <= i).

    Args:
      milestones: where the rate falls, in the unit of `per`.
      factor: what it is multiplied by at each.
    """

    def shape(i: jax.Array, n: int) -> jax.Array:
        return factor ** jnp.sum(i >= jnp.asarray(milestones))

    return _rule("steps", shape, per, first, longer_by, floor, warmup, start, overlap)


def _rule(
    name: str,
    shape: Shape,
    per: str = "step",
    first: int = 0,
    longer_by: int = 0,
    floor: float = 0.0,
    warmup: float = 0.0,
    start: float = 0.0,
    overlap: bool = False,
) -> ScheduleRule:
    """What all schedules share: see the head of this file."""

    def rule(learning_rate: float, steps_per_epoch: int, epochs: int) -> Schedule:
        if not 0 <= start <= learning_rate:
            raise UsageError(f"{name}: start must be in 0..{learning_rate}, the learning rate, got {start}")
        unit = pick(f"{name} per", per, {"step": 1, "epoch": steps_per_epoch})
        risen = round(warmup * steps_per_epoch)
        total = steps_per_epoch * epochs
        if not 0 <= risen <= total - unit:
            raise UsageError(f"{name}: a warmup of {warmup} epochs is too long for a training of {epochs}")

        decayed_over = total if overlap else total - risen

        def main(step: jax.Array) -> jax.Array:
            return floor + (learning_rate - floor) * shape(first + step // unit, longer_by - (-decayed_over // unit))

        if not risen:
            return main
        if not overlap:
            return optax.join_schedules([optax.linear_schedule(start, learning_rate, risen), main], [risen])
        begun = first * unit  # the first step has this number, for the warm-up too
        meet = main(jnp.asarray(risen - begun))

        def met(step: jax.Array) -> jax.Array:
            return jnp.where(step + begun < risen, start + (meet - start) * (step + begun) / risen, main(step))

        return met

    return rule
