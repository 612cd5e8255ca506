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

from jaxaug import optim
from jaxaug.data import seeds
from jaxaug.errors import UsageError
from jaxaug.find import call, choose, find
from jaxaug.search import rows
from jaxaug.search.implicit import Direction

CURVATURES = {"fisher": True, "hessian": False}
# Keep the order of the search's rows apart from that of the epochs, which is seeded by (seed, epoch).
OF_ROWS, OF_TRUSTED = 2**31, 2**31 + 1


@dataclasses.dataclass(frozen=True)
class Search:
    """A config's search made into functions.

    rule: of the rows' own numbers; tx: of the shared ones. due(step) -> how many search steps must have been taken
    before training step `step`. batch(n) -> (rows int32 [B], trusted rows int32 [V]) of search step n.
    """

    rule: rows.Rule
    tx: optax.GradientTransformation
    direction: Direction
    part: tuple[str, ...]
    fisher: bool
    due: Callable[[int], int]
    batch: Callable[[int], tuple[np.ndarray, np.ndarray]]


def build(
    config: ConfigDict, *, size: int, trusted: int, steps_per_epoch: int, epochs: int, seed: int, devices: int = 1
) -> Search:
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
    direction = call(
        f"search {config.direction!r}", find("search", config.direction), options=dict(config.get(word, {}))
    )
    fisher = choose("config.search.curvature", config.curvature, CURVATURES)
    return Search(rule, tx, direction, tuple(config.part), fisher, due, batch)


def optimiser(config: ConfigDict, per_pass: int, passes: int) -> tuple[rows.Rule, optax.GradientTransformation]:
    """(rule, tx) of config: name "rmsprop" (decay, eps) or "adam" (b1, b2, eps), learning_rate and its schedule, in
    which a pass over the rows is an epoch."""
    if config.learning_rate <= 0:
        raise UsageError(f"config.search.optim.learning_rate must be above 0, got {config.learning_rate}")
    rate = call(
        "config.search.optim.schedule",
        optim.make_schedule,
        config.learning_rate,
        options={"steps_per_epoch": per_pass, "epochs": passes, **config.schedule},
    )

    def rmsprop() -> tuple[rows.Rule, optax.GradientTransformation]:
        options = {"decay": config.decay, "eps": config.eps}
        return rows.rmsprop(rate, **options), optax.rmsprop(rate, eps_in_sqrt=False, **options)

    def adam() -> tuple[rows.Rule, optax.GradientTransformation]:
        options = {"b1": config.b1, "b2": config.b2, "eps": config.eps}
        return rows.adam(rate, **options), optax.adam(rate, **options)

    return choose("config.search.optim.name", config.name, {"rmsprop": rmsprop, "adam": adam})()


def _part(seed: int, stream: int, n: int, size: int, batch_size: int) -> np.ndarray:
    """Batch number n of endless shuffled passes over `size` rows; the last partial batch of each is dropped."""
    epoch, place = divmod(n, size // batch_size)
    order = seeds.generator(seed, stream, epoch).permutation(size)
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
