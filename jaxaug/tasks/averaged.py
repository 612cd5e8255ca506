"""What tasks share that keep an exponential average of their network: teachers, targets, what is evaluated."""

from __future__ import annotations

import dataclasses

from jaxaug.core.types import TrainState, Tree
from jaxaug.optim.averaging import average, copied
from jaxaug.tasks.classification import ConfiguredClassification


@dataclasses.dataclass(eq=False)
class Averaged(ConfiguredClassification):
    """The task's state holds averaged "params", which follow those that are trained after each step.

    Attributes:
      decay: the share of the average that a step keeps, in [0, 1).
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(0 <= self.decay < 1, "decay must be in [0, 1)")

    def init_state(self, params: Tree, model_state: Tree) -> Tree:
        """The averaged network, which begins as the one that is trained, with statistics of its own."""
        return {"params": copied(params), "model_state": copied(model_state)}

    def after_step(self, state: TrainState) -> TrainState:
        """The average follows."""
        kept = average(state.task_state["params"], state.params, state.step, self.decay)
        return state.replace(task_state={**state.task_state, "params": kept})
