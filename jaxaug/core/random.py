"""Random numbers of the data side: numpy generators that depend on the numbers given and on nothing else."""

import numpy as np

from jaxaug.core.errors import UsageError


def numpy_generator(*numbers: int) -> np.random.Generator:
    """A numpy generator seeded by `numbers`; the first is the user's seed.

    Raises:
      UsageError: a negative number.
    """
    if min(numbers) < 0:
        raise UsageError(f"a seed must be 0 or more, not {min(numbers)}")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(numbers)))
