"""The search beside a training: the steps that are due, what they report."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import jax
import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.sharding import replicated
from jaxaug.core.totals import NEVER, Totals, empty_totals
from jaxaug.core.types import TrainState
from jaxaug.data.loader import Loader, RowSource
from jaxaug.train.experiment import Experiment
from jaxaug.train.programs import search_program


class BilevelHook:
    """A search in progress: the validation rows on the devices, and what is being counted since the last record.

    Args:
      loader: of the training rows.
      taken: search steps that the state has behind it.
    """

    _totals: Totals
    _counted: int

    def __init__(self, experiment: Experiment, loader: Loader, taken: int):
        assert experiment.search is not None
        self._search, self._taken = experiment.search, taken
        validation = Loader(experiment.data.validation, experiment.mesh, experiment.config.place)
        self._loaders = (loader, validation)
        self._dispatch = search_program(experiment)
        zeros = functools.partial(empty_totals, experiment.search_totals)
        self._zeros = jax.jit(zeros, out_shardings=replicated(experiment.mesh))
        self.begin_record()

    def steps_before(self, step: int) -> Iterator[int]:
        """The numbers of the search steps that are to be taken before training step `step`."""
        yield from range(self._taken, self._search.due(step))

    def take(self, state: TrainState) -> TrainState:
        """The state after one search step."""
        rows = self._rows(self._taken)
        self._loaders[0].wait_for(self._totals)
        state, self._totals = self._dispatch(state, self._totals, *rows)
        self._taken, self._counted = self._taken + 1, self._counted + 1
        return state

    def begin_record(self) -> None:
        """Count from here."""
        self._totals, self._counted = self._zeros(), 0

    def metrics(self) -> dict[str, float]:
        """Means since the last record; {} if no step was taken. Raises UsageError if a gradient was not finite."""
        if not self._counted:
            return {}
        if int(self._totals.first_bad) != NEVER:
            raise UsageError(
                f"the search's gradient is not finite at training step {int(self._totals.first_bad)}: lower "
                "config.search.optim.learning_rate, raise the damping of its solver, and use another --workdir"
            )
        return self._totals.means()

    def _rows(self, number: int) -> list[RowSource]:
        train, validation = self._search.rows(number)
        return [self._loaders[0](train, numbers=np.asarray(number)), self._loaders[1](validation)]
