"""What a search is to a trainer: rows and steps beside the training, something to finish after it, something to export.

A method is one class, registered under its name:

    @register("search")
    @dataclasses.dataclass(eq=False)
    class MySearch(SearchMethod):
        every: int = 10                       # options, `config.search.every`

        def setup(self, context): ...         # the parts of the run; whatever cannot be is refused here
        def due(self, step): ...              # beside the training: how many steps are to be taken by then
        def step(self, state, batch, validation): ...
        def finish(self, run): ...            # after the training
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
import optax

from jaxaug.augment.transform import LearnedTransform
from jaxaug.bilevel.per_example import SparseRule, init_per_example
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import instantiate
from jaxaug.core.sharding import is_main_process
from jaxaug.core.totals import Totals
from jaxaug.core.types import Batch, LossInputs, MetaParams, TrainState, Tree
from jaxaug.data.dataset import Dataset, Split
from jaxaug.optim.schedules import make_schedule
from jaxaug.policies.learnable import NAME as POLICY_NAME
from jaxaug.policies.learnable import learned_policy
from jaxaug.runs.workdir import POLICY

PerExampleInputs = Callable[[Tree, TrainState, Batch], LossInputs]  # params, state, raw batch


class BilevelProblem(NamedTuple):
    """The objective cut where the parameters that a search differentiates in begin to matter; the model as evaluated.

    params(state) -> what the derivative goes through.
    features(meta, state, batch, key) -> (arrays, rest): all that comes before, once for a search step. arrays: floats
    that meta may reach, with the features if the part is the head, else with the images; rest: the batch besides.
    train_inputs(params, shared, arrays, rest, state) -> LossInputs, of which the training loss is the mean.
    val_loss(state, batch) -> (params -> []): the plain loss of validation rows, without augmentation.
    """

    params: Callable[[TrainState], Tree]
    features: Callable[[MetaParams, TrainState, Batch, jax.Array], tuple[dict[str, Any], Batch]]
    train_inputs: Callable[[Tree, Tree, dict[str, Any], Batch, TrainState], LossInputs]
    val_loss: Callable[[TrainState, Batch], Callable[[Tree], jax.Array]]


@dataclasses.dataclass(frozen=True)
class SearchContext:
    """The parts of a run that a search may use.

    meta: what transforms declare as learned, as it begins. problem: path of the parameters that derivatives go through
    -> the objective cut there. train_inputs, val_inputs: of rows one by one, by the run's chain of losses and by the
    plain loss, the model as evaluated and no augmentation but what was done to the batch before.
    """

    data: Dataset
    mesh: jax.sharding.Mesh
    seed: int
    steps_per_epoch: int
    epochs: int
    meta: MetaParams
    problem: Callable[[tuple[str, ...]], BilevelProblem]
    train_inputs: PerExampleInputs
    val_inputs: PerExampleInputs


class Bar(Protocol):
    """A progress bar."""

    def update(self, step: int, metrics: dict[str, float]) -> None:
        """Show how far it is, and metrics by name."""

    def close(self) -> None:
        """Take it away."""


@dataclasses.dataclass(frozen=True)
class SearchRun:
    """The run whose training has ended.

    state: at its end. path: its folder. about: what checkpoints must have been made with. place: where images are kept
    (`Loader`). log_every: steps between records. stop() -> whether to stop now; all processes ask together.
    progress(title, total, completed) -> a bar. learned: the transform whose policy a search may have changed.
    """

    state: TrainState
    path: pathlib.Path
    title: str
    key: jax.Array
    about: dict[str, str]
    place: str
    log_every: int
    stop: Callable[[], bool]
    progress: Callable[[str, int, int], Bar]
    learned: LearnedTransform | None = None


class SearchMethod:
    """A search that does nothing, to be derived from.

    network: folder of a finished run whose network is used instead of training one; "": the training takes place.
    rule: by which the numbers of rows that were not looked at for a while are brought up to date (None: they stay).
    part: path of the parameters that derivatives go through; () for all of them. pool_rows: rows that were kept for the
    search (None: none were).
    """

    network: str = ""
    part: tuple[str, ...] = ()
    rule: SparseRule | None = None
    pool_rows: Split | None = None

    def prepare_data(self, data: Dataset, seed: int) -> Dataset:
        """The data that the run trains on; a search may keep rows for itself."""
        return data

    def setup(self, context: SearchContext) -> None:
        """Build what the search needs. Raises UsageError for whatever cannot be; nothing is compiled here."""

    def init(self, meta: MetaParams, index: np.ndarray, devices: int) -> tuple[MetaParams, Any]:
        """(meta with an entry for each training row, the state of the search) before the first step.

        index: [N] int32, the stable numbers of the training rows. devices: the rows are made divisible among them.
        """
        return init_per_example(meta, index, self.rule.moments if self.rule else 0, self.init_shared(meta), devices)

    def init_shared(self, meta: MetaParams) -> Tree:
        """The state of what all rows share, kept as `SearchState.shared`."""
        return ()

    def due(self, step: int) -> int:
        """How many search steps must have been taken before training step `step`; never falls."""
        return 0

    def rows(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """(training rows, validation rows) int32 that search step `number` looks at; the devices divide each."""
        raise UsageError(f"{type(self).__name__} takes steps, but has no method rows")

    def step(self, state: TrainState, batch: Batch, validation: Batch) -> tuple[TrainState, Totals]:
        """One pure search step, jitted by the trainer: the state after it, and what it reports."""
        raise UsageError(f"{type(self).__name__} takes steps, but has no method step")

    def finish(self, run: SearchRun) -> dict[str, Any]:
        """What is to be done after the training; numbers for `result.json`. Every process calls it."""
        return {}

    def export(self, run: SearchRun) -> None:
        """Write what was learned into the run's folder: `policy.json`, if all rows share a policy that was searched."""
        shared = run.state.meta.shared
        if run.learned is None or POLICY_NAME not in shared or not is_main_process():
            return
        # Fetched before it is computed with: the arrays belong to all processes, of which only one is here.
        offsets = jax.device_get(shared[POLICY_NAME])
        jax.device_get(learned_policy(run.learned.policy, offsets)).save(run.path / POLICY)


def create_meta_optimizer(
    name: str,
    *,
    per_pass: int,
    passes: int,
    learning_rate: float = 0.05,
    schedule: Any = "cosine",
    **options: Any,
) -> tuple[SparseRule, optax.GradientTransformation]:
    """(rule of the rows' own numbers, optax transformation of the shared ones) of a name.

    Args:
      name: of the family "meta_optimizer".
      per_pass: search steps of a pass over the training rows, which is an epoch of the schedule.
      passes: how many there are.
      learning_rate: above 0.
      schedule: slot of the family "schedule".
      options: of the component.
    """
    if not learning_rate > 0:
        raise UsageError(f"optim: learning_rate must be above 0, got {learning_rate}")
    rate = make_schedule(schedule, learning_rate=learning_rate, steps_per_epoch=per_pass, epochs=passes)
    return instantiate("meta_optimizer", {"name": name, **options}, rate)
