"""Metrics of a whole split that lives on the devices."""

from __future__ import annotations

import jax

from jaxaug import devices, metrics, steps
from jaxaug.data import Split
from jaxaug.data.batches import evaluation_rows
from jaxaug.job import Job
from jaxaug.types import TrainState


class Evaluator:
    """evaluator(state) -> figures: every row of the split counts once, the padding never, on any number of devices."""

    def __init__(self, job: Job, split: Split):
        everywhere = devices.everywhere(job.mesh)
        # Rounded up, so that any number of devices divides it.
        size = -(-min(job.config.eval_batch_size, len(split.label)) // job.mesh.size) * job.mesh.size
        self._source = devices.place(split, everywhere)
        self._rows = [
            devices.place(rows, devices.along(job.mesh, 0)) for rows in evaluation_rows(len(split.label), size)
        ]

        def step(state: TrainState, source: Split, rows: jax.Array) -> metrics.Totals:
            batch = steps.of_rows(source, rows)
            return metrics.of_evaluation(job.predict(state, batch).logits, batch.label)

        self._step = jax.jit(step, out_shardings=everywhere)

    def __call__(self, state: TrainState) -> dict[str, float]:
        # Fetched together at the end, so that the device need not wait for the host between batches.
        parts = jax.device_get([self._step(state, self._source, rows) for rows in self._rows])
        return metrics.summary(sum(parts[1:], parts[0]))
