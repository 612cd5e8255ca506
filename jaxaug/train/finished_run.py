"""A run that is complete, by its folder: its config and its final state."""

from __future__ import annotations

import dataclasses
import pathlib

from ml_collections import ConfigDict

from jaxaug.core.errors import UsageError
from jaxaug.core.types import TrainState
from jaxaug.data.dataset import Dataset
from jaxaug.data.photographs import Photographs
from jaxaug.runs.checkpoint import Checkpointer, tree_structure
from jaxaug.runs.fields import LAYOUT
from jaxaug.runs.mirror import checkpoints_of
from jaxaug.runs.signature import Signature
from jaxaug.runs.workdir import CHECKPOINTS, RESULT, read_config
from jaxaug.train.config import complete, default_config
from jaxaug.train.experiment import Experiment, build_experiment


def load_config(folder: str | pathlib.Path) -> ConfigDict:
    """The config of a run by its folder; fields that came since have their defaults. UsageError if it has none.

    So have those that say on what devices it was carried out, which need not be those of today.
    """
    saved, config = read_config(pathlib.Path(folder)), default_config()
    saved = {name: value for name, value in saved.items() if name not in LAYOUT}
    try:
        config.update(saved)
        return complete(config)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{folder}/config.json is no config of this version of jaxaug: {error}; use the version that its "
            "environment.json names, or train anew"
        ) from None


def load_state(folder: str | pathlib.Path, experiment: Experiment) -> TrainState:
    """The final state of the run in a folder, for an experiment with the same model and data.

    Raises:
      UsageError: the run is not complete, or its checkpoint is of another model or data set.
    """
    folder = pathlib.Path(folder)
    checkpoints = checkpoints_of(folder, CHECKPOINTS)
    # Opening checkpoints cleans up what the process of a run that goes on is writing.
    if not ((folder / RESULT).exists() and checkpoints.exists()):
        raise UsageError(f"the run in {folder} is not complete, or its checkpoints are gone")
    checkpointer = Checkpointer(checkpoints, experiment.about)
    try:
        state = checkpointer.restore(experiment.abstract_state())
    finally:
        checkpointer.close()
    if state is None:
        raise UsageError(f"there is no checkpoint in {checkpoints}")
    return state


def load_network(folder: str | pathlib.Path, experiment: Experiment) -> TrainState:
    """The state with which an experiment begins, but with the trained network of the run in a folder.

    Raises:
      UsageError: its model is another, or what `load_state` refuses.
    """
    trained = load_state(folder, build_experiment(load_config(folder)))
    begun = experiment.begin()
    if tree_structure((trained.params, trained.model_state)) != tree_structure((begun.params, begun.model_state)):
        raise UsageError(f"config.search.network: the network of the run in {folder} is not the one of config.model")
    return begun.replace(params=trained.params, model_state=trained.model_state)


def signature_of(data: Dataset) -> Signature:
    """What a network that is trained on a data set takes and says."""
    source = getattr(data.test.image, "source", None)
    cut = {**dataclasses.asdict(source.cut), "upright": source.upright} if isinstance(source, Photographs) else None
    return Signature(data.name, data.image_shape, data.mean, data.std, data.class_names, cut)
