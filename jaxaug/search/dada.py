"""DADA (Li et al., ECCV 2020): a policy that all rows share, learned beside the network, one step of each in turn.

The policy moves along the gradient of the loss on the validation rows after one unrolled training step of all
parameters (`bilevel.unrolled`). Its space is the preset "dada_space".
"""

from __future__ import annotations

import dataclasses

from jaxaug.bilevel.hypergradient import IHVPSolver
from jaxaug.bilevel.ihvp import unrolled
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import Slot, register
from jaxaug.search.autodo import BilevelSearch
from jaxaug.search.base import SearchContext


@register("search", "dada")
@dataclasses.dataclass(eq=False)
class DADA(BilevelSearch):
    """DADA's search: a step before every `every`-th training step, through one unrolled step of all parameters.

    Attributes:
      start: epochs of training before it begins.
      every: training steps between two steps of the search, 1 or more.
      batch_size: training rows of a search step.
      validation_batch_size: validation rows of a search step, at most as many as there are.
      rate: learning rate of the unrolled step, above 0.
      optim: slot of the family "meta_optimizer", with learning_rate and schedule.
    """

    start: int = 0
    every: int = 1
    batch_size: int = 256
    validation_batch_size: int = 256
    part: tuple[str, ...] = dataclasses.field(default=(), init=False)
    through: str = dataclasses.field(default="parameters", init=False)
    solver: Slot = dataclasses.field(default="unrolled", init=False)
    # One unrolled step asks for no curvature; as the Hessian it is not even traced.
    curvature: str = dataclasses.field(default="hessian", init=False)
    optim: Slot = "rmsprop"
    rate: float = 0.01

    def setup(self, context: SearchContext) -> None:
        """Raises UsageError as AutoDO's search does, and for every = 0."""
        if self.every == 0:
            raise UsageError(
                "every must be at least 1 for 'dada', which moves the network and the policy in turn; 0, a pass over "
                "the training rows before each epoch, is for 'autodo'"
            )
        super().setup(context)

    def make_solver(self) -> IHVPSolver:
        """One step of SGD ahead."""
        return unrolled(self.rate)
