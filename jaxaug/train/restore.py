"""A run that is complete, by its folder: its config and its final state."""

from __future__ import annotations

import pathlib

import jax
from ml_collections import ConfigDict

from jaxaug.core.errors import UsageError
from jaxaug.core.types import TrainState
from jaxaug.runs.checkpoint import Checkpointer, tree_structure
from jaxaug.runs.workdir import read_config
from jaxaug.train.config import default_config
from jaxaug.train.experiment import Experiment, build_experiment


def load_config(folder: str | pathlib.Path) -> ConfigDict:
    """The config of a run by its folder; fields that came since have their defaults. UsageError if it has none."""
    saved, config = read_config(pathlib.Path(folder)), default_config()
    try:
        config.update(saved)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{folder}/config.json is no config of this version of jaxaug: {error}") from None
    return config


def load_state(folder: str | pathlib.Path, job: Experiment) -> TrainState:
    """The final state of the run in a folder, for a job of the same model and data. Raises UsageError without one."""
    folder = pathlib.Path(folder)
    checkpoints = folder / "checkpoints"
    # Opening a store cleans up what the process of a run that goes on is writing.
    if not ((folder / "result.json").exists() and checkpoints.exists()):
        raise UsageError(f"the run in {folder} is not complete, or its checkpoints are gone")
    store = Checkpointer(checkpoints, {"data": job.config.data.name, "model": job.config.model.name})
    try:
        state = store.restore(job.abstract_state())
    finally:
        store.close()
    if state is None:
        raise UsageError(f"there is no checkpoint in {checkpoints}")
    return state


def load_network(folder: str | pathlib.Path, job: Experiment) -> TrainState:
    """The state with which `job` begins, but with the trained network of the run in a folder.

    Raises UsageError if its model is another, and for what `state_of` refuses.
    """
    trained = load_state(folder, build_experiment(load_config(folder)))
    begun = jax.jit(job.init, out_shardings=job.shardings())(job.key)
    if tree_structure((trained.params, trained.stats)) != tree_structure((begun.params, begun.stats)):
        raise UsageError(f"config.search.checkpoint: the network of the run in {folder} is not the one of config.model")
    return begun.replace(params=trained.params, stats=trained.stats)
