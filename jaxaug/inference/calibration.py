"""Temperature scaling (Guo et al. 2017): one number that logits are divided by, so that confidence is what it says."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from jaxaug.core.atomic_io import write_text
from jaxaug.core.errors import UsageError
from jaxaug.data.dataset import Split
from jaxaug.inference.trained_run import TrainedRun
from jaxaug.runs.workdir import TEMPERATURE
from jaxaug.train.experiment import search_and_data

RANGE = (0.01, 100.0)


def fit_temperature(logits: Any, labels: Any) -> float:
    """The temperature at which the mean of -log softmax(logits / temperature)[label] is least, in 0.01..100.

    No other class becomes the likeliest. Above 1 where a network is too sure of itself.

    Args:
      logits: [N K], of rows that the network was not trained on.
      labels: [N] int, their classes 0..K-1; rows with another label, such as -1, are left out.

    Raises:
      UsageError: other shapes, logits that are not finite, or no row with a label.
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise UsageError(
            f"fit_temperature: logits must be [N K] and labels integers [N], got {logits.shape} and {labels.dtype} "
            f"{labels.shape}"
        )
    known = (labels >= 0) & (labels < logits.shape[1])
    logits, labels = logits[known], labels[known]
    if not len(labels) or not np.isfinite(logits).all():
        raise UsageError("fit_temperature: it needs rows with a label, and logits that are finite")
    right = logits[np.arange(len(labels)), labels]

    # Convex in 1 / temperature, so that there is one least value.
    def nll(inverse: float) -> float:
        return float(np.mean(logsumexp(inverse * logits, axis=1) - inverse * right))

    found = minimize_scalar(lambda log: nll(math.exp(log)), bounds=(-math.log(RANGE[1]), -math.log(RANGE[0])))
    return math.exp(-found.x)


def calibrate(run: TrainedRun) -> float:
    """The temperature of a run, fitted on its validation rows and kept beside it in `temperature.json`.

    What was fitted for the same checkpoint before is returned.

    Args:
      run: with validation rows.

    Returns:
      The temperature, as `TrainedRun.predict` takes it.

    Raises:
      UsageError: it has none, was trained on them, or its data cannot be read.
    """
    file = run.folder / TEMPERATURE
    known = _read(run)
    if known is not None:
        return known
    rows = _validation_rows(run)
    logits = run.predict(rows.image).logits
    temperature = fit_temperature(logits, rows.label)
    about = {"temperature": temperature, "checkpoint": run.checkpoint, "step": run.step, "rows": len(rows)}
    write_text(file, json.dumps(about, indent=1))
    return temperature


def _read(run: TrainedRun) -> float | None:
    """The temperature of the run's checkpoint, None where it has not been fitted."""
    try:
        found = json.loads((run.folder / TEMPERATURE).read_text())
        # Averaged weights share their step with those that were trained.
        same = (found["checkpoint"], found["step"]) == (run.checkpoint, run.step)
        return float(found["temperature"]) if same else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{run.folder / TEMPERATURE} is damaged: {error!r}. Remove it to fit it again.") from None


def _validation_rows(run: TrainedRun) -> Split:
    if run.has_maps:
        raise UsageError(f"the run in {run.folder} says a class for each pixel; temperatures are of classes of images")
    data = run.config.data
    if data.get("rows", "train") != "train" or data.get("ablation") == "oversplit":
        raise UsageError(
            f"the run in {run.folder} was trained on its validation rows, which do not tell how sure it may be: fit a "
            "temperature on rows of your own with inference.fit_temperature"
        )
    rows = search_and_data(run.config)[1].validation
    if not len(rows):
        raise UsageError(
            f"the run in {run.folder} has no validation rows to fit a temperature on: train with "
            "config.data.validation_size, or fit it on rows of your own with inference.fit_temperature"
        )
    return rows
