"""Optimisers and learning-rate schedules, from optax."""

from jaxaug.optim.optimizers import adamw, create, sgd
from jaxaug.optim.rates import Rates, frozen_by, layer_rates, with_rates
from jaxaug.optim.schedules import (
    Schedule,
    ScheduleRule,
    constant,
    cosine,
    linear,
    make_schedule,
    polynomial,
    steps,
)

__all__ = [
    "Rates",
    "Schedule",
    "ScheduleRule",
    "adamw",
    "constant",
    "cosine",
    "create",
    "frozen_by",
    "layer_rates",
    "linear",
    "make_schedule",
    "polynomial",
    "sgd",
    "steps",
    "with_rates",
]


def __dir__() -> list[str]:
    return __all__
