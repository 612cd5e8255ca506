"""AutoDO (Gudovskiy et al., CVPR 2021): what a search during training does, and when.

What the config's transforms and parts declare as learned moves along the gradient of the loss on trusted rows, by
implicit differentiation (`implicit.hypergradient`), either in one pass over the training rows before each epoch or in
one step before every n-th training step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import optax
from ml_collections import ConfigDict

from jaxaug.bilevel.hypergradient import IHVPSolver
from jaxaug.bilevel.per_example import SparseRule
from jaxaug.core.errors import UsageError
from jaxaug.core.random import numpy_generator
from jaxaug.core.registry import instantiate, pick, resolve
from jaxaug.optim.schedules import make_schedule

CURVATURES = {"fisher": True, "hessian": False}
# Keep the order of the search's rows apart from that of the epochs, which is seeded by (seed, epoch).
OF_ROWS, OF_TRUSTED = 2**31, 2**31 + 1


@dataclasses.dataclass(frozen=True)
class BilevelSearch:
    """A config's search made into functions.

    rule: of the rows' own numbers; tx: of the shared ones. due(step) -> how many search steps must have been taken
    before training step `step`. batch(n) -> (rows int32 [B], trusted rows int32 [V]) of search step n.
    """

    rule: SparseRule
    tx: optax.GradientTransformation
    direction: IHVPSolver
    part: tuple[str, ...]
    fisher: bool
    due: Callable[[int], int]
    batch: Callable[[int], tuple[np.ndarray, np.ndarray]]


def build(
    config: ConfigDict, *, size: int, trusted: int, steps_per_epoch: int, epochs: int, seed: int, devices: int = 1
) -> BilevelSearch:
    """The search that `config.search` describes, for `size` training rows and `trusted` validation rows.

    Raises UsageError for unknown names and for sizes that cannot be.
    """
    _check(config, size, trusted, epochs, devices)
    per_pass = size // config.batch_size

    def due(step: int) -> int:
        after = step - config.start * steps_per_epoch
        if after < 0:
            return 0
        return (after // config.every + 1) if config.every else (after // steps_per_epoch + 1) * per_pass

    total = due(steps_per_epoch * epochs - 1)
    unit = per_pass if not config.every else max(steps_per_epoch // config.every, 1)
    rule, tx = optimiser(config.optim, unit, -(-total // unit))
    few = min(config.validation_batch_size, trusted) // devices * devices

    def batch(n: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = _part(seed, OF_ROWS, n, size, config.batch_size)
        return chosen, _part(seed, OF_TRUSTED, n, trusted, few)

    word = config.direction.split(".")[-1]
    direction = instantiate(
        f"search {config.direction!r}", resolve("search", config.direction), options=dict(config.get(word, {}))
    )
    fisher = pick("config.search.curvature", config.curvature, CURVATURES)
    return BilevelSearch(rule, tx, direction, tuple(config.part), fisher, due, batch)


def optimiser(config: ConfigDict, per_pass: int, passes: int) -> tuple[SparseRule, optax.GradientTransformation]:
    """(rule, tx) of config: name "rmsprop" (decay, eps) or "adam" (b1, b2, eps), learning_rate and its schedule, in
    which a pass over the rows is an epoch."""
    if config.learning_rate <= 0:
        raise UsageError(f"config.search.optim.learning_rate must be above 0, got {config.learning_rate}")
    rate = instantiate(
        "config.search.optim.schedule",
        make_schedule,
        config.learning_rate,
        options={"steps_per_epoch": per_pass, "epochs": passes, **config.schedule},
    )

    def rmsprop() -> tuple[SparseRule, optax.GradientTransformation]:
        options = {"decay": config.decay, "eps": config.eps}
        return rmsprop(rate, **options), optax.rmsprop(rate, eps_in_sqrt=False, **options)

    def adam() -> tuple[SparseRule, optax.GradientTransformation]:
        options = {"b1": config.b1, "b2": config.b2, "eps": config.eps}
        return adam(rate, **options), optax.adam(rate, **options)

    return pick("config.search.optim.name", config.name, {"rmsprop": rmsprop, "adam": adam})()


def _part(seed: int, stream: int, n: int, size: int, batch_size: int) -> np.ndarray:
    """Batch number n of endless shuffled passes over `size` rows; the last partial batch of each is dropped."""
    epoch, place = divmod(n, size // batch_size)
    order = numpy_generator(seed, stream, epoch).permutation(size)
    return order[place * batch_size : (place + 1) * batch_size].astype(np.int32)


def _check(config: ConfigDict, size: int, trusted: int, epochs: int, devices: int) -> None:
    if trusted < devices:
        raise UsageError(
            "a search needs rows whose labels are trusted: set config.data.validation_size (rows, or a share below 1)"
        )
    for name, least in (("start", 0), ("every", 0), ("batch_size", 1), ("validation_batch_size", devices)):
        if config[name] < least:
            raise UsageError(f"config.search.{name} must be at least {least}, got {config[name]}")
    if config.batch_size % devices:
        raise UsageError(f"config.search.batch_size {config.batch_size} cannot be divided among {devices} devices")
    if config.batch_size > size:
        raise UsageError(f"config.search.batch_size is {config.batch_size}, but there are {size} training rows")
    if config.start >= epochs:
        raise UsageError(f"config.search.start is {config.start}, but there are {epochs} epochs: nothing is searched")
