"""The search beside a training: which steps are due, what they report."""

from __future__ import annotations

from collections.abc import Iterator

import jax

from jaxaug.core.errors import UsageError
from jaxaug.core.sharding import replicated
from jaxaug.core.types import TrainState
from jaxaug.data.loader import Loader
from jaxaug.train import metrics
from jaxaug.train.experiment import Experiment
from jaxaug.train.step import make_search_dispatch


class BilevelHook:
    """A search in progress: the trusted rows on the devices, and what is being counted since the last record.

    feed: of the training rows; taken: search steps that the state has behind it.
    """

    _totals: metrics.Totals
    _counted: int

    def __init__(self, job: Experiment, feed: Loader, taken: int):
        assert job.search is not None
        assert job.search_step is not None
        self._job, self._plan, self._taken = job, job.search, taken
        self._feeds = (feed, Loader(job.data.validation, job.mesh, job.config.data.place))
        everywhere = replicated(job.mesh)
        self._zeros = jax.jit(metrics.empty_search_totals, out_shardings=everywhere)
        self._dispatch = jax.jit(
            make_search_dispatch(job.search_step),
            donate_argnums=(0, 1),
            out_shardings=(job.shardings(), everywhere),
        )
        self.begin_record()

    def steps(self, step: int) -> Iterator[int]:
        """The numbers of the search steps that are to be taken before training step `step`."""
        yield from range(self._taken, self._plan.due(step))

    def step(self, state: TrainState) -> TrainState:
        """The state after one search step."""
        rows = self._plan.batch(self._taken)
        fed = [feed(chosen) for feed, chosen in zip(self._feeds, rows, strict=True)]
        self._feeds[0].wait_for(self._totals)
        state, self._totals = self._dispatch(state, self._totals, *fed)
        self._taken, self._counted = self._taken + 1, self._counted + 1
        return state

    def begin_record(self) -> None:
        """Count from here."""
        self._totals, self._counted = self._zeros(), 0

    def figures(self) -> dict[str, float]:
        """Means since the last record; {} if no step was taken. Raises UsageError if a gradient was not finite."""
        if not self._counted:
            return {}
        if int(self._totals.first_bad) != metrics.NEVER:
            raise UsageError(
                f"the search's gradient is not finite at training step {int(self._totals.first_bad)}: lower "
                "config.search.optim.learning_rate, raise the damping of its direction, and use another --workdir"
            )
        return metrics.summary(self._totals)
