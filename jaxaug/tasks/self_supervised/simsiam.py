"""SimSiam (Chen and He, CVPR 2021): two views of an image predict each other; nothing is pulled through the target.

loss = 1/2 D(p1, stop(z2)) + 1/2 D(p2, stop(z1)),   D(p, z) = -p / |p| . z / |z|
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

from jaxaug.core.registry import register
from jaxaug.core.types import Batch
from jaxaug.tasks.self_supervised.base import SelfSupervised
from jaxaug.tasks.semi_supervised.base import TrainingStep


@register("task", "simsiam")
@dataclasses.dataclass(eq=False)
class SimSiam(SelfSupervised):
    """Each view predicts the projection of the other one by the same network.

    Args:
      projector: widths of the layers behind the features, each with a BatchNorm: (2048, 2048) on CIFAR, three of them
        on ImageNet.
      predictor: width of the layer in the middle of the predictor; a quarter of the projection's in the paper.
      softening: of views that show little of their image: "none"; "weight", a pair counts as its confidence p;
        "target", the similarity asked for is p instead of 1. p = (1 - (1 - v1)^power)(1 - (1 - v2)^power) of the
        visible fractions.
      power: above 0, Soft Augmentation's exponent.
      neighbours: of the training rows that vote on each row of an evaluation; 0: no monitor.
      temperature: a neighbour of similarity s votes with exp(s / temperature); above 0.
    """

    def targets(self, step: TrainingStep, views: tuple[Batch, Batch], own: tuple[jax.Array, jax.Array]) -> Any:
        """The projections themselves."""
        return own, step.state.task_state
