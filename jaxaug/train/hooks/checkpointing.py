"""When a training is saved, and that nothing broken is saved over what was good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxaug.core.errors import UsageError
from jaxaug.core.sharding import any_process, is_main_process
from jaxaug.core.types import TrainState
from jaxaug.runs.checkpoint import Checkpointer, all_finite


class CheckpointHook:
    """Saves states that are finite: when an epoch is due, and at each new best on validation.

    Args:
      best: the metric of a record that names the best epoch, such as "validation_top1".
    """

    def __init__(self, checkpointer: Checkpointer, best: str):
        self._checkpointer, self._best = checkpointer, best

    def is_best(self, history: Sequence[Mapping[str, float]]) -> bool:
        """Whether no epoch before the last one of the history was as good on validation."""
        if not history or self._best not in history[-1]:
            return False
        before = max((record[self._best] for record in history[:-1] if self._best in record), default=float("-inf"))
        # Of a resumed run only the main process has the earlier records, and all of them must save together.
        return any_process(is_main_process() and history[-1][self._best] > before)

    def save(self, state: TrainState, record: Mapping[str, float]) -> None:
        """Begin to write the state. Raises UsageError if it is not finite."""
        if not bool(all_finite((state.params, state.model_state, state.loss_state, state.meta, state.average))):
            raise UsageError(
                f"parameters or statistics are not finite at step {int(state.step)}; nothing was saved over the "
                f"last good checkpoint (step {self._checkpointer.latest}). Lower config.optim.learning_rate or set "
                "config.optim.clip, and use another --workdir."
            )
        self._checkpointer.save(state, dict(record))
