"""Which run a folder means, and which of its checkpoints."""

from __future__ import annotations

import pathlib

from jaxaug.core.errors import UsageError
from jaxaug.runs.checkpoint import saved_steps
from jaxaug.runs.history import read_history
from jaxaug.runs.mirror import REPLACED, checkpoints_of
from jaxaug.runs.workdir import CHECKPOINTS, CONFIG, METRICS

AVERAGED = "averaged"
CHECKPOINT_CHOICES = ("last", "best", AVERAGED)
_SHOWN = 3  # runs below a folder


def run_in(folder: pathlib.Path) -> pathlib.Path:
    """The folder of a run, or the single run below a folder. Raises UsageError if there are several."""
    if (folder / CONFIG).exists() or not folder.is_dir():
        return folder
    found = [path.parent for depth in ("*", "*/*", "*/*/*") for path in folder.glob(f"{depth}/{CONFIG}")]
    below = [path for path in found if REPLACED not in path.parts]
    if len(below) > 1:
        shown = ", ".join(str(path) for path in below[:_SHOWN])
        raise UsageError(
            f"{folder} has {len(below)} runs below it: name one of {shown}{', ...' * (len(below) > _SHOWN)}"
        )
    return below[0] if below else folder


def checkpoint_step(folder: pathlib.Path, checkpoint: str, metric: str) -> int:
    """The step of a checkpoint of a run.

    Args:
      folder: of the run.
      checkpoint: "last", or "best" of the epoch that was best on validation; "averaged" weights are those of the last.
      metric: by which epochs are compared, such as "top1".

    Raises:
      UsageError: there is no such checkpoint.
    """
    steps, key = saved_steps(checkpoints_of(folder, CHECKPOINTS)), f"validation_{metric}"
    if not steps:
        raise UsageError(f"the run in {folder} has no checkpoint yet, or they are gone")
    if checkpoint != "best":
        return steps[-1]
    file = folder / METRICS
    scored = [one for one in (read_history(file) if file.exists() else []) if key in one]
    if not scored:
        raise UsageError(
            f"the run in {folder} has no validation rows, so that no epoch is its best: use its last checkpoint"
        )
    best = max(one[key] for one in scored)
    kept = [int(one["step"]) for one in scored if one[key] == best and one["step"] in steps]
    if not kept:
        raise UsageError(f"the checkpoint of the best epoch of the run in {folder} is gone: use its last one")
    return kept[0]
