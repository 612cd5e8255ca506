"""TensorBoard's files."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from jaxaug.core.registry import register
from jaxaug.runs.sinks.base import metrics_of

FOLDER = "tensorboard"


@register("sink", "tensorboard")
class TensorBoard:
    """Metrics by step in `tensorboard/` in the run's folder; nothing else need be installed."""

    def __init__(self) -> None:
        self._folder: pathlib.Path | None = None
        self._writer: Any = None

    def begin(self, folder: pathlib.Path, config: Mapping[str, Any]) -> None:
        """Remember the folder; the file is made at the first record."""
        self._folder = folder / FOLDER

    def log(self, record: Mapping[str, float]) -> None:
        """Add the metrics of an epoch."""
        if self._writer is None:
            from tensorboardX import SummaryWriter  # slow to import, and only here

            self._writer = SummaryWriter(str(self._folder))
        for name, value in metrics_of(record).items():
            self._writer.add_scalar(name, value, int(record["step"]))

    def finish(self, result: Mapping[str, Any]) -> None:
        """Nothing: the last record says it all."""

    def close(self) -> None:
        """Flush the file."""
        if self._writer is not None:
            self._writer.close()
