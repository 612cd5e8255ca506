"""Weights that a training begins with: of a run, of one of its checkpoints, or of a file of converted ones."""

from __future__ import annotations

import pathlib

import jax
import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import instantiate, pick
from jaxaug.core.sharding import make_mesh, replicated
from jaxaug.core.types import Tree
from jaxaug.models import weights as files
from jaxaug.models.weights import Fitted
from jaxaug.runs.checkpoint import is_checkpoint, load_part, saved_shapes
from jaxaug.runs.choice import AVERAGED, CHECKPOINT_CHOICES, checkpoint_step, run_in
from jaxaug.runs.mirror import checkpoints_of
from jaxaug.runs.workdir import CHECKPOINTS, CONFIG, read_config
from jaxaug.tasks.base import OWN_PARAMS

PARTS = ("params", "model_state")


def load_weights(path: str | pathlib.Path, weights: str = "last") -> tuple[Tree, Tree]:
    """The weights of a network on the host; neither its config nor its data are needed.

    Args:
      path: the folder of a run, finished or not, or one with a single run below it; the folder of one of its
        checkpoints; or an .npz that `jaxaug convert` or `models.weights.save` has written.
      weights: of a run, "last" or "best", of the epoch that was best on validation; of a run or a checkpoint
        "averaged", those of the average, or of the network that its task keeps beside the trained one, a teacher.

    Returns:
      (params, model_state), nested dicts of arrays.

    Raises:
      UsageError: there is nothing of the kind, or it is damaged.
    """
    pick("weights", weights, dict.fromkeys(CHECKPOINT_CHOICES))
    path = pathlib.Path(path).expanduser()
    if path.is_file() and path.suffix == ".npz":
        return files.load(path)
    if path.is_file():
        raise UsageError(f"{path}: convert it first: jaxaug convert {path} --model=NAME --out={path.stem}.npz")
    if is_checkpoint(path):
        return _of_checkpoint(path.parent, int(path.name), weights)
    if not path.exists():
        raise UsageError(f"{path}: there is no such file or folder; jaxaug convert makes a file of published weights")
    path = run_in(path)
    if not (path / CONFIG).exists():
        raise UsageError(f"{path} is neither a file of weights nor the folder of a run or of one of its checkpoints")
    task = instantiate("task", read_config(path)["task"])
    step = checkpoint_step(path, weights, task.metric)
    return _of_checkpoint(checkpoints_of(path, CHECKPOINTS), step, weights)


def _of_checkpoint(directory: pathlib.Path, step: int, weights: str) -> tuple[Tree, Tree]:
    everywhere = replicated(make_mesh())
    if weights != AVERAGED:
        part = {name: saved_shapes(directory, name, everywhere) for name in PARTS}
        found = load_part(directory, step, {name: tree for name, tree in part.items() if tree})
    elif average := saved_shapes(directory, "average", everywhere):
        found = load_part(directory, step, {"average": average})["average"]
    else:
        kept = saved_shapes(directory, "task_state", everywhere)
        chosen = {name: kept[name] for name in PARTS if name in kept}
        if PARTS[0] not in chosen:
            raise UsageError(
                f"the run of {directory} keeps no averaged weights, as config.average_decay would: use its last ones"
            )
        # A task that averages parameters alone evaluates them with the statistics of the trained network.
        rest = {} if PARTS[1] in chosen else saved_shapes(directory, PARTS[1], everywhere)
        found = load_part(directory, step, {"task_state": chosen, **({PARTS[1]: rest} if rest else {})})
        found = {**found, **found["task_state"]}
    params, model_state = (jax.tree.map(np.asarray, found.get(name, {})) for name in PARTS)
    return {name: part for name, part in params.items() if name != OWN_PARAMS}, model_state


def initial_weights(path: str, weights: str, head: str, *, expected: tuple[Tree, Tree]) -> Fitted:
    """The weights at a path for a network that is to be trained; `told` names them.

    Args:
      path, weights: as `load_weights` takes them.
      head: as `models.weights.fit` takes it.
      expected: the shapes of (params, model_state).

    Raises:
      UsageError: they cannot be read, or are not of this network.
    """
    params, model_state = load_weights(path, weights)
    try:
        found = files.fit(params, model_state, expected, head=head)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return found._replace(told=f"begins with the weights of {path}: {found.told}")
