"""The network of a run's newest checkpoint, whether the run is finished, interrupted or still going on."""

from __future__ import annotations

import pathlib

import jax
import jax.numpy as jnp

from jaxaug.core.errors import UsageError
from jaxaug.core.types import TrainState
from jaxaug.runs.checkpoint import load_part, saved_steps
from jaxaug.runs.mirror import checkpoints_of
from jaxaug.runs.workdir import CHECKPOINTS
from jaxaug.train.experiment import Experiment

_EVALUATED = ("params", "model_state", "meta", "task_state")


def load_network_state(folder: str | pathlib.Path, experiment: Experiment) -> TrainState:
    """What evaluations need of the newest checkpoint, without disturbing a process that goes on with the run.

    Args:
      folder: of the run.
      experiment: its config made into functions.

    Returns:
      A state without optimiser, losses, search and what is learned of single rows.

    Raises:
      UsageError: there is no checkpoint, or it is damaged or of another model.
    """
    checkpoints = checkpoints_of(pathlib.Path(folder), CHECKPOINTS)
    steps = saved_steps(checkpoints)
    if not steps:
        raise UsageError(f"the run in {folder} has no checkpoint yet, or they are gone")
    whole = experiment.abstract_state()
    whole = whole.replace(meta=whole.meta.replace(per_example={}))
    empty = {name: getattr(whole, name) for name in _EVALUATED}
    part = {name: tree for name, tree in empty.items() if jax.tree.leaves(tree)}
    found = {**empty, **load_part(checkpoints, steps[-1], part)}
    step, key = jnp.asarray(steps[-1], jnp.int32), jax.random.key(0)
    return TrainState(step, opt_state=(), loss_state=(), search_state=(), key=key, **found)
