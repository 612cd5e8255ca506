"""Checkpoints of a run, by orbax: written in the background, the latest and the best kept."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from orbax.checkpoint import v1 as ocp

from jaxaug.core.errors import UsageError
from jaxaug.core.atomic_io import write_text

# Names in structure.json that are no arrays.
ABOUT = ("data", "model")

State = Any  # a record with `step` [] int32 and `key`, a typed PRNG key, among its fields

# The metric that names the best checkpoint; higher is better.
BEST = "validation_top1"


class Checkpointer:
    """The checkpoints in `directory`. `structure.json` beside them tells what state they hold, and of what.

    about: names that a run must share with the checkpoint it goes on from, for example of its model and data set.
    """

    def __init__(self, directory: pathlib.Path, about: Mapping[str, str] | None = None):
        self._about = dict(about or {})
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
                    keep.BestN(get_metric_fn=lambda m: m[BEST], n=1, keep_checkpoints_without_metrics=False),
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

        abstract: shapes, dtypes and shardings of the state this run expects (`jax.eval_shape`). Raises UsageError
        that names the first differences if the checkpoint is of another model or data set.
        """
        if self.latest is None:
            return None
        saved = json.loads((self.directory / "structure.json").read_text())
        self._compare(saved, {**tree_structure(abstract), **{name: saved.get(name, "") for name in ABOUT}, **self._about})
        return _with_key(self._checkpoints.load(step or self.latest, _without_key(abstract)), jax.random.wrap_key_data)

    def save(self, state: State, figures: dict[str, float]) -> None:
        """Start writing the state as checkpoint `state.step`; returns when the device arrays are copied."""
        step = int(state.step)
        if step in (self._started, self.latest):
            return
        self._started = step
        if jax.process_index() == 0:
            self.directory.mkdir(parents=True, exist_ok=True)
            write_text(self.directory / "structure.json", json.dumps({**tree_structure(state), **self._about}, indent=0))
        scored = {BEST: figures[BEST]} if BEST in figures else None
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
    """Whether every number of a pytree is finite -> [] bool."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in leaves]))


def _with_key(state: State, convert: Any) -> State:
    return state.replace(key=convert(state.key))


def _without_key(abstract: State) -> State:
    """The abstract state with the key as the plain array that is stored."""
    plain = jax.eval_shape(jax.random.key_data, abstract.key)
    return abstract.replace(key=jax.ShapeDtypeStruct(plain.shape, plain.dtype, sharding=abstract.step.sharding))
