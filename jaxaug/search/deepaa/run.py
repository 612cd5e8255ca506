"""A policy searched with the trained network of a run, written down for trainings to come.

In the run's folder: `policy.json` (`policies.load`, option `file` of the transform "policy"), `policy.png`, `policy.md`
for people, `search.jsonl` with the course of the search, checkpoints in `policy/`.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.atomic_io import write_text
from jaxaug.core.errors import Interrupted, UsageError
from jaxaug.core.random import DeviceStream
from jaxaug.core.sharding import is_main_process, replicated
from jaxaug.data.loader import Loader
from jaxaug.policies.summary import branch_name, entropy, policy_statistics, policy_summary
from jaxaug.runs.checkpoint import Checkpointer
from jaxaug.runs.history import read_history
from jaxaug.runs.workdir import POLICY
from jaxaug.search.base import SearchRun
from jaxaug.search.deepaa.state import PolicyState, identity_of
from jaxaug.search.deepaa.update import ItemIndices
from jaxaug.viz.policy import plot_policy

if TYPE_CHECKING:
    from jaxaug.search.deepaa.plan import DeepAASearch

FIGURE, SUMMARY, COURSE = "policy.png", "policy.md", "search.jsonl"


def search_policy(search: DeepAASearch, run: SearchRun) -> dict[str, Any]:
    """Search, or go on with the search in the run's folder; the figures of the policy.

    Raises UsageError for a gradient that is not finite and Interrupted, saved, if asked to stop.
    """
    checkpointer = Checkpointer(run.path / "policy", run.about)
    try:
        state = _Search(search, run, checkpointer).run()
    finally:
        checkpointer.close()
    policy = search.policy_of(state)
    records = read_history(run.path / COURSE) if is_main_process() else []
    if is_main_process():
        policy.save(run.path / POLICY)
        plot_policy(policy, run.path / FIGURE)
        write_text(run.path / SUMMARY, policy_summary(policy, records, run.title))
        print(f"policy: {run.path / POLICY}, {FIGURE}, {SUMMARY}")
    return {"policy": policy_statistics(policy), "policy_seconds": sum(record["seconds"] for record in records)}


class _Search:
    """A search in progress."""

    def __init__(self, search: DeepAASearch, run: SearchRun, checkpointer: Checkpointer) -> None:
        self._search, self._run, self._checkpointer = search, run, checkpointer
        everywhere = replicated(search.mesh)
        key = jax.random.fold_in(run.key, DeviceStream.POLICY_SEARCH)
        begin: Any = jax.jit(search.begin, out_shardings=everywhere)
        abstract = jax.eval_shape(begin, key)
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere), abstract)
        restored = checkpointer.restore(abstract)
        self._state: PolicyState = begin(key) if restored is None else restored
        # Nothing of the optimiser takes part in a search.
        self._net = run.state.replace(opt_state=())
        self._loaders = [Loader(split, search.mesh, run.place) for split in (search.item_rows, search.validation_rows)]
        total = search.num_layers * search.updates + search.refine
        self._bar = run.progress(f"{run.title}, policy", total, int(self._state.step))
        self._cosines: list[jax.Array] = []
        self._began = time.perf_counter()
        self._forget_after(int(self._state.step))

    def run(self) -> PolicyState:
        """Search to the end."""
        try:
            while (stage := self._search.stage(self._state)) is not None:
                self._state, cosine = self._update(*stage)
                self._cosines.append(cosine)
                self._state = self._search.after(self._state)
                following = self._search.stage(self._state)
                asked = jax.process_count() == 1 and self._run.stop()
                if following != stage or len(self._cosines) == self._run.log_every or asked:
                    self._record(*stage)
                    if self._run.stop() and following is not None:
                        step, path = int(self._state.step), self._run.path
                        raise Interrupted(f"stopped as asked after update {step} of the policy; saved in {path}")
        finally:
            self._bar.close()
        return self._state

    def _update(self, name: str, layer: int) -> tuple[PolicyState, jax.Array]:
        chosen = self._search.chosen(int(self._state.step))
        rows, few = (load(numbers, axis=0) for load, numbers in zip(self._loaders, chosen, strict=True))
        number, items = jnp.asarray(layer, jnp.int32), ItemIndices(rows.chosen, few.chosen)
        update = self._search.update_functions[name]
        return update(self._state, number, self._net, rows.source, few.source, items)[:2]

    def _record(self, name: str, layer: int) -> None:
        """Log, show, save."""
        cosine = float(np.mean(jax.device_get(self._cosines)))
        logits = np.asarray(self._state.logits[layer], np.float64)
        if not np.isfinite(logits).all():
            raise UsageError(
                f"the policy's logits are not finite at update {int(self._state.step)}: the network's gradients are not"
                f"; the last good state, update {self._checkpointer.latest}, is kept"
            )
        p, self._cosines = np.asarray(jax.nn.softmax(logits)), []
        space = self._search.space
        nothing = float(p[identity_of(space)])
        top = [branch_name(space, 0, int(i)) for i in np.argsort(-p)[:3]]
        step = int(self._state.step)
        # Directions other than the cosine's do not tell it.
        told = {} if np.isnan(cosine) else {"cosine": cosine}
        record: dict[str, Any] = {"step": step, "stage": name, "layer": layer + 1, **told}
        record |= {"entropy": entropy(p), "identity": nothing, "top": top}
        record["seconds"], self._began = time.perf_counter() - self._began, time.perf_counter()
        self._bar.update(step, {"layer": layer + 1, **told, "identity": nothing})
        if is_main_process():
            with (self._run.path / COURSE).open("a") as file:
                file.write(json.dumps(record) + "\n")
        self._checkpointer.save(self._state, {})

    def _forget_after(self, step: int) -> None:
        """Drop records of updates that will be made again."""
        file = self._run.path / COURSE
        if is_main_process() and file.exists():
            kept = [record for record in read_history(file) if record["step"] <= step]
            write_text(file, "".join(json.dumps(record) + "\n" for record in kept))
