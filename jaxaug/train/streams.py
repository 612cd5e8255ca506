"""Which rows are in a step: of one stream, or of two where a task learns from rows without a label too."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.random import HostStream
from jaxaug.data.dataset import Dataset
from jaxaug.data.sampler import stream_rows, training_rows


@dataclasses.dataclass(frozen=True)
class Streams:
    """The rows of every step, a function of (seed, step): labelled ones first, then those without a label.

    labelled, unlabelled: [L], [U] int32, positions among the training rows; no unlabelled ones: one stream, of all
    rows, whose last partial batch is dropped. Two streams go on from one shuffled pass into the next.
    steps_per_epoch: of the stream that epochs are counted on.
    """

    labelled: np.ndarray
    unlabelled: np.ndarray
    batch_size: int
    unlabelled_batch_size: int
    steps_per_epoch: int

    def batches(self, seed: int, from_step: int) -> Iterator[tuple[int, np.ndarray]]:
        """Endless (step, positions int32 [B + U])."""
        if not len(self.unlabelled):
            yield from training_rows(len(self.labelled), self.batch_size, seed, from_step)
        first = stream_rows(len(self.labelled), self.batch_size, seed, from_step, HostStream.LABELLED_ROWS)
        second = stream_rows(
            len(self.unlabelled), self.unlabelled_batch_size, seed, from_step, HostStream.UNLABELLED_ROWS
        )
        for step, (labelled, unlabelled) in enumerate(zip(first, second, strict=False), start=from_step):
            yield step, np.concatenate([self.labelled[labelled], self.unlabelled[unlabelled]])


def streams_of(config: Any, data: Dataset, task: Any, devices: int = 1) -> Streams:
    """The streams of a config with every option, for its task.

    Raises:
      UsageError: batches that do not fit the rows or the devices, or other parts of the config that take one stream.
    """
    rows, size = np.arange(len(data.train), dtype=np.int32), config.batch_size
    known = data.train.label >= 0 if getattr(task, "takes_unlabelled", False) else np.ones(len(rows), bool)
    if known.all():
        if size > len(rows):
            raise UsageError(f"config.batch_size is {size}, but {data.name} has {len(rows)} training rows: lower it")
        if getattr(task, "takes_unlabelled", False):
            logging.getLogger(__name__).warning(
                "%s: every training row has a label, so that %r is its supervised part alone: set "
                "data.labels_per_class, or add rows without one",
                data.name,
                config.task.name,
            )
        return Streams(rows, rows[:0], size, 0, len(rows) // size)
    other, of_unlabelled = int((~known).sum()), task.unlabelled_batch_size
    _check_alone(config, other, of_unlabelled, devices)
    by = {"labelled": (int(known.sum()), size), "unlabelled": (other, of_unlabelled)}
    count, batch = by[task.epoch_of]
    return Streams(rows[known], rows[~known], size, of_unlabelled, max(count // batch, 1))


def _check_alone(config: Any, count: int, size: int, devices: int) -> None:
    name = config.task.name
    if size % devices or size > count:
        raise UsageError(
            f"config.task.unlabelled_batch_size {size} must be at most the {count} rows without a label, and divisible "
            f"among {devices} devices"
        )
    if config.search.name != "none":
        raise UsageError(f"a search does not go with rows that have no label: leave out config.search, or {name!r}")
    if config.batch_norm_groups != 1:
        raise UsageError(
            f"config.batch_norm_groups must be 1 for {name!r}, whose views are to be in one group: leave it out"
        )
    if config.augment.views != 1:
        raise UsageError(f"config.augment.views must be 1 for {name!r}, which takes views of its own")
