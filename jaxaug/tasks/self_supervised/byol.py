"""BYOL (Grill et al., NeurIPS 2020): as SimSiam, with the projections of an averaged network as targets.

loss = 1/2 D(p1, z'2) + 1/2 D(p2, z'1),   theta' <- a theta' + (1 - a) theta after step t,
a = min(1 - 1/(t + 1), decay)
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

from jaxaug.core.registry import register
from jaxaug.core.types import Batch
from jaxaug.tasks.averaged import Averaged
from jaxaug.tasks.self_supervised.base import SelfSupervised
from jaxaug.tasks.semi_supervised.base import TrainingStep


@register("task", "byol")
@dataclasses.dataclass(eq=False)
class BYOL(Averaged, SelfSupervised):
    """Each view predicts the projection of the other one by an averaged network.

    Args:
      projector: widths of the layers behind the features, all but the last with a BatchNorm; 4096 and 256 in the paper.
      predictor: width of the layer in the middle of the predictor.
      softening: of views that show little of their image: "none", "weight" or "target", as in `SimSiam`.
      power: above 0, Soft Augmentation's exponent.
      neighbours: of the training rows that vote on each row of an evaluation; 0: no monitor.
      temperature: a neighbour of similarity s votes with exp(s / temperature); above 0.
      decay: the share of the average that a step keeps, in [0, 1).
    """

    projector_ends = "none"

    projector: tuple[int, ...] = (4096, 256)
    predictor: int = 4096
    decay: float = 0.996

    def targets(self, step: TrainingStep, views: tuple[Batch, Batch], own: tuple[jax.Array, jax.Array]) -> Any:
        """What the average, as it is trained, makes of the same views."""
        kept, found = step.state.task_state, []
        params, model_state = kept["params"], kept["model_state"]
        for number, view in enumerate(views):
            output, model_state = step.parts.trained(params, model_state, view.image, step.keys(number)[1])
            found.append(self.project(params, output.features))
        return tuple(found), {**kept, "model_state": jax.lax.stop_gradient(model_state)}
