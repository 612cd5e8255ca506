"""What methods that learn from two views of an image share: the networks behind the encoder, and one objective.

    loss = 1/2 mean_i D(p1_i, z2_i) + 1/2 mean_i D(p2_i, z1_i) + the chain of losses of a linear probe
    z = projector(encoder(view)),  p = predictor(projector(encoder(view)));  nothing is pulled through z

D is the negative cosine similarity; of views that show little of their image, it is softened. The probe is the
network's own head, whose loss reaches the features in no other way: labels serve it alone, and its metrics are those of
a classification.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxaug.core.totals import Sums
from jaxaug.core.types import Batch, MetaParams, ModelOutput, TrainState, Tree
from jaxaug.data.dataset import Dataset
from jaxaug.losses.base import mean_loss
from jaxaug.models.api import HEAD, apply_head
from jaxaug.models.layers import TORCH_DEFAULT, uniform_bias
from jaxaug.tasks.base import OWN_PARAMS, Aux, ShownMetric, TrainingParts
from jaxaug.tasks.classification import Classification, ConfiguredClassification
from jaxaug.tasks.semi_supervised.base import TrainingStep

SOFTENING = ("none", "weight", "target")
LEAST = 1e-12  # of a norm that is divided by


class Layers(nn.Module):
    """Dense layers [B D] -> [B W], each with a BatchNorm, and ReLU between them.

    Args:
      widths: of the layers.
      last: what follows the last layer: "norm", a BatchNorm without scale and shift, or "none".
    """

    widths: tuple[int, ...]
    last: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        norm = functools.partial(nn.BatchNorm, use_running_average=False, epsilon=1e-5)
        dense = functools.partial(nn.Dense, kernel_init=TORCH_DEFAULT)  # as released, in PyTorch
        for width in self.widths[:-1]:
            x = nn.relu(norm()(dense(width, use_bias=False)(x)))
        # No bias of 0, or a row with no unit above 0 would be predicted as 0, which has no direction.
        x = dense(self.widths[-1], use_bias=self.last == "none", bias_init=uniform_bias(x.shape[-1]))(x)
        return norm(use_bias=False, use_scale=False)(x) if self.last == "norm" else x


@dataclasses.dataclass(eq=False)
class SelfSupervised(ConfiguredClassification):
    """Two views of every image should be told alike; methods say what a view is compared with."""

    takes_mixed_rows = False
    projector_ends = "norm"

    projector: tuple[int, ...] = (2048, 2048)
    predictor: int = 512
    softening: str = "none"
    power: float = 2.0
    neighbours: int = 200
    temperature: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.projector = tuple(self.projector)
        sizes = (*self.projector, self.predictor)
        self._require(len(sizes) > 1 and min(sizes) >= 1, "projector needs a width or more, all of them at least 1")
        self._require(self.softening in SOFTENING, f"softening must be one of {SOFTENING}")
        self._require(self.power > 0 and self.temperature > 0, "power and temperature must be above 0")
        self._require(self.neighbours >= 0, "neighbours must be at least 0")
        if self.neighbours:
            self.shown_metrics = (
                *Classification.shown_metrics,
                ShownMetric("knn_top1", "nearest neighbours %", 100, 2),
            )
        self.reads = frozenset({"label"} | ({"visibility"} if self.softening != "none" else set()))

    def check(self, data: Dataset) -> None:
        """Raises UsageError for label maps; rows without a label are as good as others."""
        self.check_shape(data)

    # What a method may replace.

    def targets(self, step: TrainingStep, views: tuple[Batch, Batch], own: tuple[jax.Array, jax.Array]) -> Any:
        """(what view 1, view 2 [B W] are to be predicted as, what the task keeps); own: their projections."""
        raise TypeError(f"{type(self).__name__} has no targets")

    def init_state(self, params: Tree, model_state: Tree) -> Tree:
        """What the method keeps between steps."""
        return {}

    def own_params(self, key: jax.Array, params: Tree) -> Tree:
        """The parameters of projector and predictor, which are trained with those of the network `params`."""
        width, keys = params[HEAD]["kernel"].shape[0], jax.random.split(key)
        projector = self._projector.init(keys[0], jnp.zeros((2, width)))["params"]
        return {"projector": projector, "predictor": self._predictor.init(keys[1], self._begun)["params"]}

    @property
    def _begun(self) -> jax.Array:
        return jnp.zeros((2, self.projector[-1]))

    @property
    def _projector(self) -> Layers:
        return Layers(self.projector, self.projector_ends)

    @property
    def _predictor(self) -> Layers:
        return Layers((self.predictor, self.projector[-1]), "none")

    def project(self, params: Tree, features: jax.Array) -> jax.Array:
        """z [B W] of features [B D], by the parameters `own_params` lie among; BatchNorm sees the batch."""
        return _applied(self._projector, params[OWN_PARAMS]["projector"], features)

    def predict_projection(self, params: Tree, projection: jax.Array) -> jax.Array:
        """p [B W] of z [B W]."""
        return _applied(self._predictor, params[OWN_PARAMS]["predictor"], projection)

    def train_sums(self, output: ModelOutput, batch: Batch) -> Sums:
        """Top-1 of the probe; similarity of the views and the spread of projections are counted by the objective."""
        none = (jnp.zeros(()), jnp.zeros(()))
        return {**super().train_sums(output, batch), "similarity": none, "spread": none}

    def objective(self, parts: TrainingParts, plain: Callable[..., Any]) -> Callable[..., tuple[jax.Array, Aux]]:
        """The objective of a trainer; plain, that of classification, has no part in it."""

        def objective(params: Tree, meta: MetaParams, state: TrainState, batch: Batch, key: jax.Array):
            batch, progress = batch.replace(per_example=meta.per_example), parts.progress(state.step)
            step = TrainingStep(parts, params, state, batch, meta.shared, progress, key, len(batch.index))
            first, second = step.view(0, batch), step.view(1, batch)
            output, model_state = step.student(first.image)
            other, model_state = parts.trained(params, model_state, second.image, step.keys(1)[1])
            own = self.project(params, output.features), self.project(params, other.features)
            targets, task_state = self.targets(step, (first, second), own)
            said = [self.predict_projection(params, projection) for projection in own]
            alike = jnp.stack([cosine(said[0], targets[1]), cosine(said[1], targets[0])])
            asked = confidence_of_views(first, second, self.power) if self.softening != "none" else jnp.ones(())
            pulled = jnp.mean(softened(alike, asked, self.softening))
            probe = apply_head(params[HEAD], jax.lax.stop_gradient(output.features))
            inputs = self.loss_inputs(probe, first, meta.shared, progress)
            loss_state, inputs = parts.chain.apply(state.loss_state, inputs)
            one = jnp.ones(())
            sums = {"similarity": (jnp.mean(alike), one), "spread": (spread(own[0]), one)}
            sums = {**self.train_sums(probe, first), **sums}
            return pulled + mean_loss(inputs), Aux(model_state, loss_state, sums, task_state)

        return objective


def cosine(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """The cosine [B] between predictions and targets [B W], which are constants."""
    target = jax.lax.stop_gradient(target)
    return jnp.sum(_normalised(prediction) * _normalised(target), axis=-1)


def confidence_of_views(first: Batch, second: Batch, power: float) -> jax.Array:
    """p [B] = p1 p2, p = 1 - (1 - v)^power, how much of an image is seen in both views; v is the visible fraction.

    It is Soft Augmentation's curve with nothing left by chance, as no class is guessed.
    """
    seen = jnp.stack([first.visible_fraction, second.visible_fraction])
    return jnp.prod(1.0 - (1.0 - seen) ** power, axis=0)


def softened(alike: jax.Array, asked: jax.Array, softening: str) -> jax.Array:
    """The loss of each pair, for cosines [2 B] and a confidence [B]; all of them are -cosine where it is 1.

    "none": -cosine. "weight": -p cosine. "target": |p - cosine| - 1, which asks for a similarity of p and no more.
    """
    if softening == "target":
        return jnp.abs(asked - alike) - 1.0
    return -asked * alike if softening == "weight" else -alike


def spread(projection: jax.Array) -> jax.Array:
    """How far normalised projections [B W] differ, times the root of W: 1 all over the sphere, 0 in a single point."""
    return jnp.mean(jnp.std(_normalised(projection), axis=0)) * projection.shape[-1] ** 0.5


def _normalised(x: jax.Array) -> jax.Array:
    x = x.astype(jnp.float32)
    return x * jax.lax.rsqrt(jnp.maximum(jnp.sum(x**2, axis=-1, keepdims=True), LEAST))


def _applied(layers: Layers, params: Tree, x: jax.Array) -> jax.Array:
    # Their statistics are those of the batch alone: they are no part of the network that is evaluated.
    return layers.apply({"params": params}, x, mutable=["batch_stats"])[0]  # type: ignore[return-value]
