"""Weights & Biases. WANDB_MODE=offline keeps everything in the run's folder until `wandb sync`."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.runs.sinks.base import first_line, keep_id, kept_id, metrics_of, need, run_name

NAME = "wandb"


@register("sink", NAME)
class WeightsAndBiases:
    """Records and result as a run of Weights & Biases, whose own variables hold: WANDB_API_KEY, WANDB_ENTITY ...

    Args:
      project: its name there.
      mode: "online", "offline" or "disabled"; "" for that of WANDB_MODE, which is online unless it is set.
    """

    def __init__(self, project: str = "jaxaug", mode: str = ""):
        need("wandb", NAME)
        self._project, self._mode = project, mode
        self._run: Any = None

    def begin(self, folder: pathlib.Path, config: Mapping[str, Any]) -> None:
        """Begin a run there, or go on with that of the folder."""
        import wandb

        known = kept_id(folder, NAME)
        try:
            self._run = wandb.init(
                project=self._project,
                mode=self._mode or None,  # type: ignore[arg-type]
                dir=str(folder),
                config=dict(config),
                id=known or None,
                resume="allow" if known else None,
                name=run_name(folder),
                settings=wandb.Settings(silent=True, console="off", login_timeout=10),
            )
        except Exception as error:  # of many kinds: no key, no network, a word it does not know
            raise UsageError(
                f"Weights & Biases: {first_line(error)}. Run `wandb login`, or set WANDB_MODE=offline"
            ) from error
        keep_id(folder, NAME, self._run.id)
        # A run that goes on may repeat steps, which W&B's own counter would refuse.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def log(self, record: Mapping[str, float]) -> None:
        """Send the metrics of an epoch."""
        self._run.log({**metrics_of(record), "step": int(record["step"]), "epoch": record["epoch"]})

    def finish(self, result: Mapping[str, Any]) -> None:
        """The metrics of the result become its summary."""
        self._run.summary.update(metrics_of(result))

    def close(self) -> None:
        """Send what is waiting."""
        if self._run is not None:
            self._run.finish()
