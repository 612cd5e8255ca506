"""Parts of a config that make no sense together, found by what they declare to read and write.

What stands in one chain of losses or one pipeline is checked there; here, what both have to agree about.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from jaxaug.augment.compose import transforms_of
from jaxaug.core.errors import UsageError
from jaxaug.core.types import LossTransform, TrainState
from jaxaug.data.dataset import Dataset
from jaxaug.tasks.base import Task


def check_parts(transforms: Iterable[Any], chain: LossTransform, task: Task) -> None:
    """Refuses images that are mixed where labels are not, or may not be; warns of a visibility of one side alone.

    Nothing is concluded where the task or one of the losses does not declare what it reads.

    Args:
      transforms: of the batches, of all stages.
      chain: of the losses.
      task: which may read fields of a batch too, and says so in an attribute `reads`.

    Raises:
      UsageError: images are mixed, and labels are not; or the task takes no mixed rows (its `takes_mixed_rows`).
    """
    of_task: frozenset[str] | None = getattr(task, "reads", None)
    if chain.reads is None or of_task is None:
        return
    reads, writers = chain.reads | of_task, transforms_of([*transforms])
    mixing = [one.name for one in writers if "mix_ratio" in one.writes]
    if mixing and "mix_ratio" not in reads:
        raise UsageError(
            f"config.augment: {mixing[0]!r} mixes images, but no part of config.loss mixes their labels, so that they "
            f'would be wrong: add "mixed_targets" to config.loss, after what else changes targets, or leave out '
            f"{mixing[0]!r}"
        )
    if mixing and not getattr(task, "takes_mixed_rows", True):
        raise UsageError(
            f"config.augment: {mixing[0]!r} mixes rows, and the task {type(task).__name__} compares views of one row: "
            f"leave out {mixing[0]!r}"
        )
    hiding = [one.name for one in writers if "visibility" in one.writes]
    if hiding and "visibility" not in reads:
        logging.getLogger(__name__).warning(
            "config.augment: %r writes down what it hides of an image, but no part of config.loss reads it, so that "
            "labels stay hard: add 'soft_targets' to config.loss, or set soften=False (softens=() of a policy) if that "
            "is meant",
            hiding[0],
        )
    if not hiding and getattr(task, "softening", "none") != "none":
        logging.getLogger(__name__).warning(
            "config.task: softening=%r is by what views hide of their image, and no part of config.augment writes that "
            "down, so that it does nothing: add 'soft_crop' (or softens of a policy), or set softening='none'",
            getattr(task, "softening", "none"),
        )


def check_state(state: TrainState, data: Dataset) -> None:
    """Raises UsageError for numbers of each row beside label maps.

    Args:
      state: shapes of the state that training begins with.
      data: the set.
    """
    if state.meta.per_example and data.train.label.ndim > 1:
        raise UsageError(
            f"config: {', '.join(sorted(state.meta.per_example))} would be learned for each row, {data.name} has "
            "label maps, for which that is not written down: leave it out of config.loss and config.augment"
        )


def check_average(decay: float, task: Task, state: TrainState) -> None:
    """Refuse a decay outside 0..1, and an average of what is evaluated as one already.

    Args:
      decay: of the average of the weights, 0 for none.
      task: of the training.
      state: as the training begins, or its shapes.

    Raises:
      UsageError: with what to do.
    """
    if not 0 <= decay < 1:
        raise UsageError(f"it must be in [0, 1), got {decay}")
    network = getattr(task, "network", None)
    if decay and network is not None and network(state)[0] is not state.params:
        raise UsageError("the task evaluates a network of its own, which is an average already: leave it out")


def check_search(task: Task) -> None:
    """Raises UsageError for a task that trains by an objective of its own, beside a search that learns as it trains.

    Hypergradients are those of the chain of losses on the rows of a step; of another objective they would be wrong.
    """
    if getattr(task, "objective", None) is not None:
        raise UsageError(
            "the task trains by an objective of its own, of which a search beside the training takes no derivatives: "
            "search with config.task=classification, and give this training what was found (search=learned, or the "
            "policy's file)"
        )
