"""Robustness: how a trained model fares on disturbed test images; one file per protocol, with `protocol(data, config)`.

A protocol is a list of levels, each of them the test split disturbed with one strength (or other images altogether),
and the figure that sums them up. Exact definitions of those that ship with jaxaug: docs/robustness.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import instantiate, resolve
from jaxaug.core.types import Tree
from jaxaug.data.dataset import Dataset, Split

# (key, image [H W C], strength) -> image of the same shape and dtype, before normalisation. Pure; runs inside jit.
Perturb = Callable[[jax.Array, jax.Array, Tree], jax.Array]


class Level(NamedTuple):
    """One strength of one disturbance.

    line: the kind of disturbance, where a protocol has several ("fog"), else the protocol's name.
    severity: where it stands on the protocol's axis, 0 for images left alone.
    strength: what `perturb` is given: arrays, of the same shapes at every level, so that one compilation serves all.
    split: reads the rows to evaluate in place of the test split's; all levels need as many.
    """

    line: str
    severity: float
    strength: Tree = ()
    split: Callable[[], Split] | None = None


class Protocol(NamedTuple):
    """What to evaluate, and how it is told.

    axis: what `severity` is, in words. figure: the name, ending in `_error`, of the mean error over all levels with
    severity > 0. perturb: None leaves images alone. seed: of all that is random; the image with index i is given
    fold_in(key(seed), i) at every level and for every model, so that comparisons are paired.
    """

    axis: str
    figure: str
    levels: tuple[Level, ...]
    perturb: Perturb | None = None
    seed: int = 0


def build(config: ConfigDict, data: Dataset) -> dict[str, Protocol]:
    """last word -> the protocols that config.robustness names by address, with the options in config.protocol.

    Raises UsageError for an unknown name or option, files that are missing, or a protocol that breaks the rules above.
    """
    built: dict[str, Protocol] = {}
    for address in config.robustness:
        word = address.split(".")[-1]
        if word in built:
            raise UsageError(f"config.robustness names {word!r} twice: {tuple(config.robustness)}")
        make = resolve("robustness", address).protocol
        found = instantiate(f"protocol {address!r}", make, data, config.data, options=config.protocol.get(word, {}))
        if not found.figure.endswith("_error") or found.figure in {other.figure for other in built.values()}:
            raise UsageError(f"protocol {address!r}: its figure needs a name of its own, ending in '_error'")
        if not any(level.severity > 0 for level in found.levels):
            raise UsageError(f"protocol {address!r}: no level has a severity above 0, so that there is nothing to tell")
        built[word] = found
    return built
