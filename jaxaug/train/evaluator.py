"""Metrics of a whole split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import jax

from jaxaug.core.sharding import put_global, replicated
from jaxaug.core.totals import Totals, totals_of
from jaxaug.core.types import Batch, ModelOutput, TrainState, Tree
from jaxaug.data.dataset import Split
from jaxaug.data.loader import Loader, RowSource
from jaxaug.robustness.base import Perturb
from jaxaug.tasks.base import Task
from jaxaug.train.step import batch_of


class Evaluable(Protocol):
    """What is needed to evaluate a network: an `Experiment`, or a run whose network is used without its data."""

    @property
    def config(self) -> Any:
        """With `eval_batch_size` and `place`."""

    @property
    def mesh(self) -> jax.sharding.Mesh:
        """The devices."""

    @property
    def task(self) -> Task:
        """By which it is judged."""

    @property
    def predict(self) -> Callable[[TrainState, Batch], ModelOutput]:
        """What the network says of a raw batch."""


def evaluation_program(experiment: Evaluable, perturb: Perturb | None = None, seed: int = 0) -> Any:
    """Jitted (state, rows [B], strength) -> `Totals`; see `Evaluator`."""

    def step(state: TrainState, rows: RowSource, strength: Tree) -> Totals:
        batch = batch_of(*rows)
        if perturb is not None:
            # The generator is named, so that no setting of JAX moves the patches.
            key = jax.random.key(seed, impl="threefry2x32")
            keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch.index)
            batch = batch.replace(image=jax.vmap(perturb, (0, 0, None))(keys, batch.image, strength))
        return totals_of(experiment.task.eval_sums(experiment.predict(state, batch), batch))

    return jax.jit(step, out_shardings=replicated(experiment.mesh))


class Evaluator:
    """evaluator(state) -> metrics: every row of the split counts once, the padding never, on any number of devices.

    Args:
      perturb: changes each image before it is normalised; the row with index i gets fold_in(key(seed), i), whatever the
        batches and devices.
      seed: of what is random in it.
    """

    def __init__(self, experiment: Evaluable, split: Split, perturb: Perturb | None = None, seed: int = 0):
        self._task, self._mesh = experiment.task, experiment.mesh
        self._batch_size, self._place = experiment.config.eval_batch_size, experiment.config.place
        self.use(split)

        self._step = evaluation_program(experiment, perturb, seed)

    def use(self, split: Split) -> None:
        """Evaluate these rows from now on; nothing is compiled again if they are as many as before."""
        self._loader = Loader(split, self._mesh, self._place)

    def totals(
        self, state: TrainState, strength: Tree = (), told: Callable[[int], None] = lambda batches: None
    ) -> Totals:
        """The sums and counts of the whole split, on the host.

        Args:
          state: with the network's parameters.
          strength: what `perturb` is given beside each image.
          told: is called after each batch, with the number of batches that were sent.
        """
        strength = put_global(strength, replicated(self._mesh))
        # Fetched together at the end, so that the device need not wait for the host between batches.
        parts: list[Totals] = []
        for rows in self._loader.whole(self._batch_size):
            self._loader.wait_for(parts[-1:])
            parts.append(self._step(state, rows, strength))
            told(len(parts))
        parts = jax.device_get(parts)
        return sum(parts[1:], parts[0])

    def __call__(self, state: TrainState, strength: Tree = ()) -> dict[str, float]:
        return self._task.summarize(self.totals(state, strength))
