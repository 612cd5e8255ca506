"""Metrics of a whole split that lives on the devices."""

from __future__ import annotations

from typing import Any

import jax

from jaxaug import devices, metrics, steps
from jaxaug.data import Split
from jaxaug.data.batches import evaluation_rows
from jaxaug.job import Job
from jaxaug.robustness import Perturb
from jaxaug.types import TrainState, Tree


class Evaluator:
    """evaluator(state) -> figures: every row of the split counts once, the padding never, on any number of devices.

    perturb: changes each image before it is normalised; the row with index i gets fold_in(key(seed), i), whatever the
    batches and devices.
    """

    def __init__(self, job: Job, split: Split, perturb: Perturb | None = None, seed: int = 0):
        self._mesh, self._batch_size = job.mesh, job.config.eval_batch_size
        self.place(split)

        def step(state: TrainState, source: Split, rows: jax.Array, strength: Tree) -> metrics.Totals:
            batch = steps.of_rows(source, rows)
            if perturb is not None:
                # The generator is named, so that no setting of JAX moves the patches.
                key = jax.random.key(seed, impl="threefry2x32")
                keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch.index)
                batch = batch.replace(image=jax.vmap(perturb, (0, 0, None))(keys, batch.image, strength))
            return metrics.of_evaluation(job.predict(state, batch).logits, batch.label)

        self._step = jax.jit(step, out_shardings=devices.everywhere(job.mesh))

    def place(self, split: Split) -> None:
        """Evaluate these rows from now on; nothing is compiled again if they are as many as before."""
        # Rounded up, so that any number of devices divides it.
        size = -(-min(self._batch_size, len(split.label)) // self._mesh.size) * self._mesh.size
        self._source: Any = devices.place(split, devices.everywhere(self._mesh))
        self._rows = [
            devices.place(rows, devices.along(self._mesh, 0)) for rows in evaluation_rows(len(split.label), size)
        ]

    def totals(self, state: TrainState, strength: Tree = ()) -> metrics.Totals:
        """The sums and counts of the whole split, on the host. strength: what `perturb` is given beside each image."""
        strength = devices.place(strength, devices.everywhere(self._mesh))
        # Fetched together at the end, so that the device need not wait for the host between batches.
        parts = jax.device_get([self._step(state, self._source, rows, strength) for rows in self._rows])
        return sum(parts[1:], parts[0])

    def __call__(self, state: TrainState, strength: Tree = ()) -> dict[str, float]:
        return metrics.summary(self.totals(state, strength))
