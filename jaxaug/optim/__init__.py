"""Optimisers and learning-rate schedules, from optax."""

from jaxaug.optim.optimizers import adamw, create, sgd
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
    "Schedule",
    "ScheduleRule",
    "adamw",
    "constant",
    "cosine",
    "create",
    "linear",
    "make_schedule",
    "polynomial",
    "sgd",
    "steps",
]


def __dir__() -> list[str]:
    return __all__
