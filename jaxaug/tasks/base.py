"""What a model is trained for: how its outputs become a loss, and the metrics by which it is judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import flax.struct
import jax

from jaxaug.core.totals import Sums, Totals
from jaxaug.core.types import Batch, LossInputs, LossTransform, ModelOutput, Progress, Tree
from jaxaug.data.dataset import Dataset

OWN_PARAMS = "task"  # where parameters of a task lie among those that are trained


class ShownMetric(NamedTuple):
    """How a metric is told to people: its title, what it is multiplied by, digits after the point."""

    metric: str
    title: str
    scale: float = 1.0
    digits: int = 2


class Aux(flax.struct.PyTreeNode):
    """What an objective leaves behind besides the loss: the states after it, and sums for the metrics."""

    model_state: Tree
    loss_state: Tree
    sums: Sums
    task_state: Tree = ()


class TrainingParts(Protocol):
    """What a task with an objective of its own finds: the augmentation, the network, the chain of losses.

    augment, strong: (batch, shared, key, progress, *, train) -> normalised batch. labelled: how many rows of a batch
    come first, with a label.
    """

    augment: Callable[..., Batch]
    strong: Callable[..., Batch]
    chain: LossTransform
    labelled: int

    def progress(self, step: jax.Array) -> Progress:
        """How far the training is before a step []."""

    def trained(self, params: Tree, model_state: Tree, image: jax.Array, key: jax.Array) -> tuple[ModelOutput, Tree]:
        """(what the network says of normalised images as it is trained, its state after it)."""


class Task(Protocol):
    """A task, registered under its name: `@register("task")`.

    metric: the one by which epochs are compared; higher is better. shown_metrics: those of a run's table, the main one
    first. One may declare in an attribute `reads`, a frozenset, which fields of a batch it looks at by itself
    ("label", "visibility", "mix_ratio"): contradictions to the augmentation are then told. And in a method
    `evaluated(predict, image) -> ModelOutput` how normalised images [B H W C] are looked at in an evaluation, with
    predict(image) -> ModelOutput; without it they are once, as they are.

    One that says `takes_unlabelled` trains on rows without a label too (`SemiSupervised`): `unlabelled_batch_size` and
    `epoch_of` say how many are in a step and which stream an epoch counts, `strong_views` whether it asks for
    `TrainingParts.strong`. It may replace the objective: `objective(parts, plain) -> objective`, keep a state beside
    the training's: `init_state(params, model_state)`, what is in its "per_example" spread over the devices,
    `after_step(state) -> state`, and say which network is evaluated: `network(state) -> (params, model_state)`.

    One may train parameters of its own, beside the network's: `own_params(key, params) -> tree`. With a number
    `neighbours` above 0, and a `temperature`, the nearest training rows are asked in every evaluation.
    """

    metric: str
    shown_metrics: tuple[ShownMetric, ...]

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
