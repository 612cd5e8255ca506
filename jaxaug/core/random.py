"""Random streams: which number keeps which kind of random numbers apart from the others.

On the host, numpy generators depend on (seed, stream, ...) and on nothing else; the stream of an epoch is its number.
On the devices, keys are `fold_in(key, stream)`; the stream of a training step is its number. What is neither epoch nor
step has a stream below. The values are part of what a seed means: another value is another run.
"""

from __future__ import annotations

import enum

import numpy as np

from jaxaug.core.errors import UsageError

# A seed sequence reads its numbers 32 bits at a time, so that a wider seed could be another seed and its stream.
_END = 2**32


@enum.unique
class HostStream(enum.IntEnum):
    """Streams of `numpy_generator`; above any number of an epoch."""

    SEARCH_TRAINING_ROWS = 2**31  # the training rows of each step of a search beside the training
    SEARCH_VALIDATION_ROWS = 2**31 + 1  # the validation rows of the same steps
    POLICY_SEARCH_ITEMS = 2**31 + 2  # the items of each step of a search after the training
    CUTS = 2**31 + 3  # what is cut out of a photograph, by step and row
    LABELLED_ROWS = 2**31 + 4  # passes over the labelled rows, beside a stream of others
    UNLABELLED_ROWS = 2**31 + 5  # passes over the rows without a label
    KEPT_UNLABELLED = 2**32 - 7  # training rows without a label that are kept
    KEPT_LABELS = 2**32 - 6  # training rows that keep their label
    SUBSAMPLE = 2**32 - 5  # training rows that are kept
    IMBALANCE = 2**32 - 4  # training rows of the upper classes that are kept
    NOISY_ROWS = 2**32 - 3  # training rows that get another label
    NOISY_LABELS = 2**32 - 2  # the labels they get
    SPLIT = 2**32 - 1  # rows that are cut off, class by class


@enum.unique
class DeviceStream(enum.IntEnum):
    """Streams of `jax.random.fold_in` and the run's key; above any number of a step."""

    POLICY_SEARCH = 2**32 - 3  # a search after the training
    SEARCH = 2**32 - 2  # a search beside the training
    INITIALIZATION = 2**32 - 1  # the first parameters


def numpy_generator(seed: int, *stream: int) -> np.random.Generator:
    """A numpy generator of its own for each seed and stream.

    Args:
      seed: the user's seed, 0..2**32 - 1.
      stream: a `HostStream` or the number of an epoch, and perhaps further numbers, each 0..2**32 - 1.

    Raises:
      UsageError: a number out of range.
    """
    for number in (seed, *stream):
        if not 0 <= number < _END:
            raise UsageError(f"a seed must be 0 or more and below 2**32, got {number}")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, *map(int, stream)))))
