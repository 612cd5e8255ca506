"""MLflow's tracking, on a server or in a database of one file."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Mapping
from typing import Any

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.runs.fields import fields_of
from jaxaug.runs.sinks.base import first_line, keep_id, kept_id, metrics_of, need, run_name

NAME = "mlflow"
LONGEST = 500  # letters of a value; what a server takes has grown from there
AT_ONCE = 100  # parameters that a server takes in one request


@register("sink", NAME)
class MLflow:
    """Records, config and result as a run of MLflow.

    Args:
      experiment: its name there.
      uri: of the tracking server, or of a file such as "sqlite:///mlflow.db"; "" for that of MLFLOW_TRACKING_URI, or
        else what MLflow takes by itself, a file or folder where the command is given.
    """

    def __init__(self, experiment: str = "jaxaug", uri: str = ""):
        need("mlflow", NAME)
        self._experiment, self._uri = experiment, uri
        self._client: Any = None
        self._run, self._status = "", "KILLED"

    def begin(self, folder: pathlib.Path, config: Mapping[str, Any]) -> None:
        """Begin a run there, or go on with that of the folder."""
        from mlflow.tracking import MlflowClient

        known = kept_id(folder, NAME)
        try:
            self._client = MlflowClient(self._uri or None)
            self._run = known or self._new_run(folder, config)
            self._client.update_run(self._run, status="RUNNING")
        except Exception as error:  # of many kinds: no server, no such run any more
            raise UsageError(
                f"MLflow: {first_line(error)}. Set MLFLOW_TRACKING_URI to a server or to "
                f"sqlite:///mlflow.db; without {folder / NAME}.id a new run is begun there"
            ) from error
        keep_id(folder, NAME, self._run)

    def _new_run(self, folder: pathlib.Path, config: Mapping[str, Any]) -> str:
        from mlflow.entities import Param

        found = self._client.get_experiment_by_name(self._experiment)
        experiment = found.experiment_id if found else self._client.create_experiment(self._experiment)
        identity = self._client.create_run(experiment, run_name=run_name(folder)).info.run_id
        told = [Param(name, str(value)[:LONGEST]) for name, value in fields_of(config)]
        for start in range(0, len(told), AT_ONCE):
            self._client.log_batch(identity, params=told[start : start + AT_ONCE])
        return identity

    def log(self, record: Mapping[str, float]) -> None:
        """Send the metrics of an epoch."""
        self._send({**metrics_of(record), "epoch": record["epoch"]}, int(record["step"]))

    def finish(self, result: Mapping[str, Any]) -> None:
        """The metrics of the result, as `result.<metric>`."""
        self._send({f"result.{name}": value for name, value in metrics_of(result).items()}, 0)
        self._status = "FINISHED"

    def close(self) -> None:
        """Say whether the run is complete."""
        if self._run:
            self._client.set_terminated(self._run, self._status)

    def _send(self, metrics: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self._run, metrics=[Metric(name, value, now, step) for name, value in metrics.items()])
