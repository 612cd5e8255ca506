"""Checkpoints of a run, by orbax: written in the background, the latest and the best kept."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from orbax.checkpoint import v1 as ocp

from jaxaug.core.atomic_io import write_text
from jaxaug.core.errors import UsageError

State = Any  # a record with `step` [] int32 and `key`, a typed PRNG key, among its fields
STRUCTURE = "structure.json"


class Checkpointer:
    """The checkpoints in a folder. `structure.json` beside them tells what state they hold, and of what.

    Args:
      directory: the folder.
      about: names that a run must share with the checkpoint it goes on from, for example of its model and data set.
      best: the metric of a record by which the best checkpoint is kept; higher is better.
    """

    def __init__(self, directory: pathlib.Path, about: Mapping[str, str] | None = None, best: str = "validation_top1"):
        self._about, self._best = dict(about or {}), best
        # Orbax accepts a relative path and fails only when the save finishes.
        self.directory = directory.resolve()
        self._started: int | None = None
        keep = ocp.training.preservation_policies
        self._checkpoints = ocp.training.Checkpointer(
            self.directory,
            save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),
            preservation_policy=keep.AnyPreservationPolicy(
                [
                    keep.LatestN(2),
                    keep.BestN(get_metric_fn=lambda m: m[best], n=1, keep_checkpoints_without_metrics=False),
                ]
            ),
            cleanup_tmp_directories=True,
        )

    @property
    def latest(self) -> int | None:
        """The step of the newest complete checkpoint."""
        found = self._checkpoints.latest
        return None if found is None else found.step

    def restore(self, abstract: State, step: int | None = None) -> State | None:
        """The newest state (or that of `step`), None if there is none.

        Args:
          abstract: shapes, dtypes and shardings of the state this run expects (`jax.eval_shape`).
          step: of a checkpoint that is there.

        Raises:
          UsageError: the checkpoint is of another model or data set, with the first differences.
        """
        if self.latest is None:
            return None
        saved = json.loads((self.directory / STRUCTURE).read_text())
        # What only the checkpoint tells about itself is no difference: not every reader knows as much as the run did.
        asked = {name: value for name, value in saved["about"].items() if name in self._about}
        self._compare({**saved["arrays"], **asked}, {**tree_structure(abstract), **self._about})
        chosen = self.latest if step is None else step
        return _with_key(self._checkpoints.load(chosen, _without_key(abstract)), jax.random.wrap_key_data)

    def save(self, state: State, figures: Mapping[str, float]) -> None:
        """Start writing the state as checkpoint `state.step`; returns when the device arrays are copied.

        Args:
          state: what is saved.
          figures: the record of its epoch, which may have the metric of the best checkpoint.
        """
        step = int(state.step)
        if step in (self._started, self.latest):
            return
        self._started = step
        if jax.process_index() == 0:
            self.directory.mkdir(parents=True, exist_ok=True)
            structure = {"about": self._about, "arrays": tree_structure(state)}
            write_text(self.directory / STRUCTURE, json.dumps(structure, indent=0))
        scored = {self._best: figures[self._best]} if self._best in figures else None
        self._checkpoints.save_async(step, _with_key(state, jax.random.key_data), metrics=scored, force=True)

    def close(self) -> None:
        """Wait until everything is on the disk."""
        self._checkpoints.close()

    def _compare(self, saved: dict[str, str], expected: dict[str, str]) -> None:
        lines = [
            f"  {name}: checkpoint {saved.get(name, 'nothing')}, this run {expected.get(name, 'nothing')}"
            for name in sorted(saved.keys() | expected.keys())
            if saved.get(name) != expected.get(name)
        ]
        if lines:
            more = f"\n  and {len(lines) - 3} more" if len(lines) > 3 else ""
            raise UsageError(
                f"the checkpoint in {self.directory} is of another model, data set or optimiser:\n"
                + "\n".join(lines[:3])
                + more
                + "\nUse its config, or another --workdir."
            )


def tree_structure(state: Any) -> dict[str, str]:
    """path -> 'dtype[shape]' of every array of a state."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves}


@jax.jit
def all_finite(tree: Any) -> jax.Array:
    """Whether every number of a pytree is finite -> [] bool; true where there is none."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in leaves])) if leaves else jnp.array(True)


def _with_key(state: State, convert: Any) -> State:
    return state.replace(key=convert(state.key))


def _without_key(abstract: State) -> State:
    """The abstract state with the key as the plain array that is stored."""
    plain = jax.eval_shape(jax.random.key_data, abstract.key)
    return abstract.replace(key=jax.ShapeDtypeStruct(plain.shape, plain.dtype, sharding=abstract.step.sharding))
