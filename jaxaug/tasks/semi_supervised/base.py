"""What methods for few labels share: two streams of rows in one step, and one objective with a place for each method.

A batch has its labelled rows first, then the unlabelled ones, whose label is -1. Every method gives one `Terms`:

    loss = share * mean of the chain of losses over labelled rows
         + pseudo_weight * sum of the chain over pseudo-labelled rows / unlabelled rows
         + weight * ramp_up(t) * consistency + isda_weight * mean of ISDA's consistency over unlabelled rows

Without unlabelled rows the loss is that of classification, bit for bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.bilevel.per_example import init_per_example
from jaxaug.core.errors import UsageError
from jaxaug.core.totals import Sums
from jaxaug.core.types import Batch, MetaParams, ModelOutput, Progress, TrainState, Tree
from jaxaug.data.dataset import Dataset
from jaxaug.losses import isda_consistency
from jaxaug.losses.base import per_example_loss
from jaxaug.tasks.base import Aux, TrainingParts
from jaxaug.tasks.classification import ConfiguredClassification

STREAMS = ("unlabelled", "labelled")
RAMPS = ("epoch", "step")
SHARES = ("batch", "labelled")
ROWS = "per_example"  # the part of a task's state that is spread over the devices

Objective = Callable[..., tuple[jax.Array, Aux]]


@dataclasses.dataclass(frozen=True)
class TrainingStep:
    """One step as a method sees it.

    batch: raw, [L + U] rows, the labelled ones first. labelled: L.
    """

    parts: TrainingParts
    params: Tree
    state: TrainState
    batch: Batch
    shared: Tree
    progress: Progress
    key: jax.Array
    labelled: int

    @property
    def unlabelled(self) -> int:
        """U, how many rows have no label."""
        return len(self.batch.index) - self.labelled

    def keys(self, number: int) -> jax.Array:
        """Two keys, of the augmentation and of the network, for view `number`; those of view 0 are classification's."""
        return jax.random.split(jax.random.fold_in(self.key, number) if number else self.key)

    def view(self, number: int, batch: Batch, *, strong: bool = False) -> Batch:
        """The batch as augmented for view `number`."""
        augment = self.parts.strong if strong else self.parts.augment
        return augment(batch, self.shared, self.keys(number)[0], self.progress, train=True)

    def student(self, image: jax.Array, number: int = 0) -> tuple[ModelOutput, Tree]:
        """What the network that is trained says of normalised images, and its state after it."""
        return self.parts.trained(self.params, self.state.model_state, image, self.keys(number)[1])


@dataclasses.dataclass(frozen=True)
class Terms:
    """What a method has found out about a batch.

    output, batch: of the rows [L + U] that the chain of losses sees; an unlabelled row may have a pseudo-label by now.
    consistency: [].
    """

    output: ModelOutput
    batch: Batch
    model_state: Tree
    consistency: jax.Array
    task_state: Tree


@dataclasses.dataclass(eq=False)
class SemiSupervised(ConfiguredClassification):
    """Classification from labelled and unlabelled rows; methods give `terms`, and state of their own."""

    strong_views = False
    takes_unlabelled = True

    unlabelled_batch_size: int = 64
    epoch_of: str = "unlabelled"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rows = np.zeros(0, np.int32)  # [U] int32, the index of the rows without a label
        self.num_classes = 0
        self._require(self.unlabelled_batch_size >= 1, "unlabelled_batch_size must be at least 1")
        self._require(self.epoch_of in STREAMS, f"epoch_of must be one of {STREAMS}")

    def check(self, data: Dataset) -> None:
        """Raises UsageError for label maps, and where a class has no labelled row."""
        self.check_shape(data)
        label = data.train.label
        counts = np.bincount(label[label >= 0], minlength=data.num_classes)
        if counts.sum() < data.num_classes:
            raise UsageError(f"{data.name}: {counts.sum()} labels are fewer than the {data.num_classes} classes")
        if not counts.all():
            name = data.class_names[int(counts.argmin())]
            raise UsageError(f"{data.name}: class {name!r} has no labelled training row: label one, or leave it out")
        self.rows, self.num_classes = data.train.index[label < 0], data.num_classes

    @property
    def takes_mixed_rows(self) -> bool:
        """Not where labelled rows would be mixed with rows that have no label."""
        return not len(self.rows)

    # What a method may replace.

    def terms(self, step: TrainingStep) -> Terms:
        """What the method makes of one step."""
        raise TypeError(f"{type(self).__name__} has no terms")

    def weights(self, step: TrainingStep) -> tuple[float, float, jax.Array | float]:
        """(of the labelled rows' mean, of the pseudo-labelled rows' mean, of the consistency)."""
        return 1.0, 0.0, 0.0

    def of_features(self, step: TrainingStep, output: ModelOutput, loss_state: Tree) -> jax.Array | float:
        """What is added to the loss, by the output of all rows and the state of the chain of losses after them."""
        return 0.0

    def init_state(self, params: Tree, model_state: Tree) -> Tree:
        """What the method keeps between steps."""
        return {}

    def after_step(self, state: TrainState) -> TrainState:
        """The state after the optimiser's step."""
        return state

    def after_plain(self, task_state: Tree, model_state: Tree) -> Tree:
        """The state of the method after a batch without unlabelled rows, and the network's after it."""
        return task_state

    def network(self, state: TrainState) -> tuple[Tree, Tree]:
        """(parameters, model state) of the network that is evaluated."""
        return state.params, state.model_state

    def train_sums(self, output: ModelOutput, batch: Batch) -> Sums:
        """Top-1 of the labels as given; consistency and the share of pseudo-labelled rows are counted by the method."""
        none = (jnp.zeros(()), jnp.zeros(()))
        return {**super().train_sums(output, batch), "consistency": none, "pseudo_labelled": none}

    def objective(self, parts: TrainingParts, plain: Objective) -> Objective:
        """The objective of a trainer. plain: that of classification, used where a batch has no unlabelled rows."""

        def objective(params: Tree, meta: MetaParams, state: TrainState, batch: Batch, key: jax.Array):
            if len(batch.index) == parts.labelled:
                loss, aux = plain(params, meta, state, batch, key)
                return loss, aux.replace(task_state=self.after_plain(aux.task_state, aux.model_state))
            batch = batch.replace(per_example=meta.per_example)
            progress = parts.progress(state.step)
            step = TrainingStep(parts, params, state, batch, meta.shared, progress, key, parts.labelled)
            terms = self.terms(step)
            inputs = self.loss_inputs(terms.output, terms.batch, meta.shared, progress)
            loss_state, inputs = parts.chain.apply(state.loss_state, inputs)
            each, known = per_example_loss(inputs), inputs.batch.labelled[: step.labelled]
            supervised = jnp.sum(each[: step.labelled]) / jnp.maximum(jnp.sum(known), 1)
            pseudo = jnp.sum(each[step.labelled :]) / step.unlabelled
            of_labelled, of_pseudo, of_consistency = self.weights(step)
            loss = of_labelled * supervised + of_pseudo * pseudo + of_consistency * terms.consistency
            loss = loss + self.of_features(step, inputs.output, loss_state)
            counted = self.train_sums(rows_of(terms.output, slice(step.labelled)), head_of(terms.batch, step.labelled))
            pseudo_labelled = jnp.sum(terms.batch.label[step.labelled :] >= 0, dtype=jnp.float32)
            counted = {
                **counted,
                "consistency": (terms.consistency, jnp.ones(())),
                "pseudo_labelled": (pseudo_labelled, jnp.asarray(float(step.unlabelled))),
            }
            return loss, Aux(terms.model_state, loss_state, counted, terms.task_state)

        return objective


@dataclasses.dataclass(eq=False)
class ConsistencyMethod(SemiSupervised):
    """A method whose unlabelled rows enter by a weighted consistency; its weight rises at the beginning."""

    weight: float = 1.0
    ramp_up: float = 0.0
    ramp_by: str = "epoch"
    supervised_over: str = "batch"
    pseudo_weight: float = 0.0
    isda_weight: float = 0.0
    isda_strength: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("weight", "ramp_up", "pseudo_weight", "isda_weight", "isda_strength"):
            self._require(getattr(self, name) >= 0, f"{name} must be at least 0")
        self._require(self.ramp_by in RAMPS, f"ramp_by must be one of {RAMPS}")
        self._require(self.supervised_over in SHARES, f"supervised_over must be one of {SHARES}")

    def weights(self, step: TrainingStep) -> tuple[float, float, jax.Array | float]:
        """The share of the labelled rows, `pseudo_weight`, and the weight of the consistency at this step."""
        share = step.labelled / len(step.batch.index) if self.supervised_over == "batch" else 1.0
        return share, self.pseudo_weight, self.weight * ramp_up(step.progress, self.ramp_up, self.ramp_by)

    def of_features(self, step: TrainingStep, output: ModelOutput, loss_state: Tree) -> jax.Array | float:
        """ISDA's consistency, by the statistics of the chain's ISDA; lambda grows with the steps as it does there."""
        if not self.isda_weight:
            return 0.0
        if "isda" not in loss_state:
            raise UsageError("isda_weight needs the statistics of ISDA: add 'isda' to the losses")
        rows = rows_of(output, slice(step.labelled, None))
        assert rows.kernel is not None
        strength = self.isda_strength * step.progress.step
        return self.isda_weight * jnp.mean(isda_consistency(loss_state["isda"], rows.logits, rows.kernel, strength))

    def pseudo_labelled(self, step: TrainingStep, batch: Batch, probability: jax.Array) -> Batch:
        """The batch whose unlabelled rows have the likeliest class [L + U K] as label, if the chain is to see them."""
        if not self.pseudo_weight:
            return batch
        return with_pseudo_labels(batch, step.labelled, jnp.argmax(probability[step.labelled :], axis=-1))


def ramp_up(progress: Progress, epochs: float, by: str) -> jax.Array:
    """exp(-5 (1 - t)^2), t = min(done / epochs, 1) -> [] (Laine and Aila 2017); 1 for no epochs.

    Args:
      progress: how far the training is, with its number of epochs.
      epochs: after which the weight is full.
      by: done is counted in completed epochs ("epoch") or their fractions ("step").
    """
    assert progress.epochs is not None
    if not epochs:
        return jnp.ones(())
    done = (progress.epoch if by == "epoch" else progress.step) * progress.epochs
    return jnp.exp(-5.0 * (1.0 - jnp.clip(done / epochs, 0.0, 1.0)) ** 2)


def once(at: jax.Array, size: int) -> jax.Array:
    """The places [B] to write to among `size`, with `mode="drop"`: of a row that a batch has twice, its first.

    Several writes to one place would be in no order on a GPU.
    """
    seen_before = jnp.any(jnp.tril(at[:, None] == at[None, :], -1), axis=1)
    return jnp.where(seen_before, size, at)


def squared_distance(logits: jax.Array, target: jax.Array) -> jax.Array:
    """1 / K sum_k (softmax(logits)_k - target_k)^2 -> [B]."""
    return jnp.mean((jax.nn.softmax(logits, axis=-1) - target) ** 2, axis=-1)


def with_pseudo_labels(batch: Batch, labelled: int, label: jax.Array) -> Batch:
    """The batch whose rows after the first `labelled` have these labels [U] int, -1 for none."""
    return batch.replace(label=jnp.concatenate([batch.label[:labelled], label.astype(batch.label.dtype)]))


def head_of(batch: Batch, count: int) -> Batch:
    """The first rows of a batch."""
    return jax.tree.map(lambda x: x[:count], batch)


def tail_of(batch: Batch, start: int) -> Batch:
    """The rows of a batch from number `start` on."""
    return jax.tree.map(lambda x: x[start:], batch)


def joined(first: Batch, second: Batch) -> Batch:
    """The rows of two batches; where only one of them hid pixels, the other's are all seen."""
    if (first.visibility is None) != (second.visibility is None):
        first, second = (
            b if b.visibility is not None else b.replace(visibility=jnp.ones(b.image.shape[:3], jnp.float32))
            for b in (first, second)
        )
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, second)


def rows_of(output: ModelOutput, rows: Any) -> ModelOutput:
    """What was said of some rows: a slice, or [B] int."""
    return output.replace(features=output.features[rows], logits=output.logits[rows])


def row_store(rows: np.ndarray, begin: dict[str, jax.Array]) -> dict[str, Any]:
    """A number for each row, spread over the devices: {"ids": [N], name: [N ...]}, padded as searches' are.

    Args:
      rows: [N] int32, the index of the rows.
      begin: name -> what every row begins with.
    """
    meta, search = init_per_example(MetaParams(begin), rows, 0, multiple=jax.device_count())
    return {"ids": search.ids, **meta.per_example}
