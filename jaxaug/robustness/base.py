"""What a protocol of robustness is: levels of a disturbance of the test images, and the metric that sums them up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import Slot, as_slots, defaults_of, instantiate, resolve, slot_name, slot_options
from jaxaug.core.types import Tree
from jaxaug.data.dataset import Dataset, Split

Perturb = Callable[[jax.Array, jax.Array, Tree], jax.Array]
"""(key, image [H W C], strength) -> image of the same shape and dtype, before normalisation. Pure; runs inside jit."""


class Level(NamedTuple):
    """One strength of one disturbance.

    Attributes:
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

    Attributes:
      axis: what `severity` is, in words.
      metric: the name, ending in `_error`, of the mean error over all levels with severity > 0.
      levels: the test split disturbed with one strength each, or other images altogether.
      perturb: what is done to an image; None leaves images alone.
      seed: of all that is random; the image with index i is given fold_in(key(seed), i) at every level and for every
        model, so that comparisons are paired.
    """

    axis: str
    metric: str
    levels: tuple[Level, ...]
    perturb: Perturb | None = None
    seed: int = 0


def create(slots: Slot | Iterable[Slot], data: Dataset, *, directory: str = "") -> dict[str, Protocol]:
    """The protocols that slots name, by the last word of their names.

    Args:
      slots: names, or `{"name": "occlusion", "fill": "black"}` with options.
      data: the set whose test images are disturbed.
      directory: the folder of data sets, for protocols that read published files and whose slot names no folder.

    Raises:
      UsageError: an unknown name or option, files that are missing, or a protocol without a metric of its own or
        without a level of a severity above 0.
    """
    built: dict[str, Protocol] = {}
    for slot in as_slots(slots):
        name = slot_name(slot)
        word = name.split(".")[-1]
        if word in built:
            raise UsageError(f"{word}: is asked for twice")
        found = instantiate("robustness", {"name": name, **_options(slot, directory)}, data)
        if not found.metric.endswith("_error") or found.metric in {other.metric for other in built.values()}:
            raise UsageError(f"{word}: its metric needs a name of its own, ending in '_error'")
        if not any(level.severity > 0 for level in found.levels):
            raise UsageError(f"{word}: no level has a severity above 0, so that there is nothing to tell")
        built[word] = found
    return built


def _options(slot: Slot, directory: str) -> dict[str, Any]:
    given = slot_options(slot)
    if "directory" in defaults_of(resolve("robustness", slot_name(slot))):
        given["directory"] = given.get("directory") or directory
    return given
