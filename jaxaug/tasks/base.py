"""What a model is trained for: how its outputs become a loss, and the figures by which it is judged."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import jax

from jaxaug.core.totals import Sums, Totals
from jaxaug.core.types import Batch, LossInputs, ModelOutput, Progress, Tree
from jaxaug.data.dataset import Dataset


class Figure(NamedTuple):
    """How a metric is told to people: its title, what it is multiplied by, digits after the point."""

    metric: str
    title: str
    scale: float = 1.0
    digits: int = 2


class Task(Protocol):
    """A task, registered under its name: `@register("task")`.

    metric: the one by which epochs are compared; higher is better. figures: those of a run's table, in order, the main
    metric first. One may declare in an attribute `reads`, a frozenset, which fields of a batch it looks at by itself
    ("label", "visibility", "mix_ratio"): contradictions to the augmentation are then told.
    """

    metric: str
    figures: tuple[Figure, ...]

    def check(self, data: Dataset) -> None:
        """Raises UsageError for a data set that the task makes no sense for."""

    def loss_inputs(self, output: ModelOutput, batch: Batch, meta: Tree, progress: Progress) -> LossInputs:
        """What the chain of loss transforms begins with. meta: `MetaParams.shared`."""

    def train_sums(self, output: ModelOutput, batch: Batch) -> Sums:
        """name -> (sum, count) over the rows of a training batch; the loss is added by the trainer."""

    def eval_sums(self, output: ModelOutput, batch: Batch) -> Sums:
        """name -> (sum, count) over the rows of a batch of an evaluation; rows without a label count nowhere."""

    def summarize(self, totals: Totals) -> dict[str, float]:
        """Every metric of the sums over a whole split, by name."""

    def diagrams(self, totals: Totals) -> dict[str, Any]:
        """What figures of a run draw from the sums over its test split, as plain numbers."""

    def predict(self, output: ModelOutput) -> jax.Array:
        """[B] int32: what the model says of each row."""
