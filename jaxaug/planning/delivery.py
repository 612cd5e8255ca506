"""How many images/s this machine reads for a config's training, beside what a plan says that a host must read."""

from __future__ import annotations

import itertools
import time

import jax
from ml_collections import ConfigDict

from jaxaug.core.errors import UsageError
from jaxaug.data.loader import Loader
from jaxaug.train.config import complete, expand
from jaxaug.train.experiment import build_experiment, step_batches

_WARM_UP = 1  # batches that fill the disk's cache and start the threads


def images_delivered(config: ConfigDict, hosts: int = 1, seconds: float = 5.0) -> float | None:
    """Read batches as a training does, without training, and count.

    Args:
      config: as for a training; of variants, the first. Its data set must be on this machine.
      hosts: that share a batch: so much smaller a batch is read.
      seconds: for which is read, one batch at least.

    Returns:
      Images/s from where they are to a device of this machine; None where all rows lie on the devices, and none is
      sent.

    Raises:
      UsageError: whatever is wrong with the config, or a data set that is missing.
    """
    if hosts < 1 or not seconds > 0:
        raise UsageError(f"hosts must be 1 or more and seconds positive, not {hosts} and {seconds}")
    config = complete(next(iter(expand(config).values())))
    config.robustness, config.mesh = (), {"data": 1, "fsdp": 1}
    config.batch_size, config.accumulate, config.batch_norm_groups = max(config.batch_size // hosts, 1), 1, 1
    experiment = build_experiment(config, devices=jax.local_devices()[:1])
    loader = Loader(experiment.data.train, experiment.mesh, config.place, config.seed)
    if not loader.sends:
        return None
    # Again from the first step on, where the training is shorter than the measurement.
    steps = itertools.chain.from_iterable(step_batches(experiment, 0) for _ in itertools.count())
    read, began = 0, 0.0
    for number, (step, rows) in enumerate(steps):
        if number == _WARM_UP:
            read, began = 0, time.perf_counter()
        jax.block_until_ready(loader.of_steps(step, rows).chosen)
        read += rows.size
        if number >= _WARM_UP and time.perf_counter() - began >= seconds:
            break
    return read / (time.perf_counter() - began)
