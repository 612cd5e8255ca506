"""A policy searched with the trained network of a run (DeepAA), written down for trainings to come.

In the run's folder: `policy.json` (`Policy.load`, `config.augment.policy.file`), `policy.png`, `policy.md` for people,
`search.jsonl` with the course of the search, checkpoints in `policy/`.
"""

from __future__ import annotations

import json
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.atomic_io import write_text
from jaxaug.core.errors import UsageError
from jaxaug.core.sharding import any_process, is_main_process, replicated
from jaxaug.core.types import TrainState
from jaxaug.data.loader import Loader
from jaxaug.policies import summary
from jaxaug.runs.checkpoint import Checkpointer
from jaxaug.runs.history import read_history
from jaxaug.runs.workdir import POLICY, Workdir
from jaxaug.search.deepaa.state import PolicyState, identity_of
from jaxaug.search.deepaa.update import ItemIndices
from jaxaug.train.experiment import Experiment
from jaxaug.train.hooks.console import ProgressBar
from jaxaug.train.hooks.preemption import Interrupted, StopSignal
from jaxaug.viz.policy import plot_policy

FIGURE, SUMMARY, COURSE = "policy.png", "policy.md", "search.jsonl"
OF_POLICY = 2**32 - 3  # a number that no step of the training has, see `steps.OF_SEARCH`


def search(job: Experiment, net: TrainState, folder: Workdir, requests: StopSignal, title: str) -> dict[str, Any]:
    """Search, or go on with the search in the run's folder; the figures of the policy.

    net: the trained network. Raises UsageError for a gradient that is not finite and Interrupted, saved, if asked to.
    """
    store = Checkpointer(folder.path / "policy", {"data": job.data.name, "model": job.config.model.name})
    try:
        found = _Search(job, net, folder.path, store, requests, title)
        state = found.run()
    finally:
        store.close()
    assert job.plan is not None
    policy = job.plan.found(state)
    figures = summary.policy_figures(policy)
    records = read_history(folder.path / COURSE) if is_main_process() else []
    if is_main_process():
        policy.save(folder.path / POLICY)
        plot_policy(policy, folder.path / FIGURE)
        write_text(folder.path / SUMMARY, summary.policy_summary(policy, records, title))
        print(f"policy: {folder.path / POLICY}, {FIGURE}, {SUMMARY}")
    return {"policy": figures, "policy_seconds": sum(record["seconds"] for record in records)}


class _Search:
    """A search in progress."""

    def __init__(
        self,
        job: Experiment,
        net: TrainState,
        path: pathlib.Path,
        store: Checkpointer,
        requests: StopSignal,
        title: str,
    ) -> None:
        assert job.plan is not None
        self._job, self._plan, self._path, self._store, self._requests = job, job.plan, path, store, requests
        everywhere = replicated(job.mesh)
        key = jax.random.fold_in(job.key, OF_POLICY)
        begin: Any = jax.jit(self._plan.begin, out_shardings=everywhere)
        abstract = jax.eval_shape(begin, key)
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere), abstract)
        restored = store.restore(abstract)
        self._state: PolicyState = begin(key) if restored is None else restored
        # Nothing of the optimiser takes part in a search.
        self._net = net.replace(opt=())
        place = job.config.data.place
        self._feeds = [Loader(split, job.mesh, place) for split in (self._plan.pool, self._plan.trusted)]
        options = self._plan.options
        total = options.layers * options.updates + options.refine
        self._bar = ProgressBar(f"{title}, policy", total, int(self._state.step), visible=is_main_process())
        self._cosines: list[jax.Array] = []
        self._began = time.perf_counter()
        self._forget_after(int(self._state.step))

    def run(self) -> PolicyState:
        """Search to the end."""
        try:
            while (stage := self._plan.stage(self._state)) is not None:
                self._state, cosine = self._update(*stage)
                self._cosines.append(cosine)
                self._state = self._plan.after(self._state)
                following = self._plan.stage(self._state)
                asked = jax.process_count() == 1 and self._requests.stop
                if following != stage or len(self._cosines) == self._job.config.log_every or asked:
                    self._record(*stage)
                    if any_process(self._requests.stop) and following is not None:
                        step = int(self._state.step)
                        raise Interrupted(f"stopped as asked after update {step} of the policy; saved in {self._path}")
        finally:
            self._bar.close()
        return self._state

    def _update(self, name: str, layer: int) -> tuple[PolicyState, jax.Array]:
        chosen = self._plan.chosen(int(self._state.step))
        rows, few = (feed(numbers, axis=0) for feed, numbers in zip(self._feeds, chosen, strict=True))
        number, fed = jnp.asarray(layer, jnp.int32), ItemIndices(rows.chosen, few.chosen)
        return self._plan.updates[name](self._state, number, self._net, rows.source, few.source, fed)[:2]

    def _record(self, name: str, layer: int) -> None:
        """Log, show, save."""
        cosine = float(np.mean(jax.device_get(self._cosines)))
        logits = np.asarray(self._state.logits[layer], np.float64)
        if not np.isfinite(logits).all():
            raise UsageError(
                f"the policy's logits are not finite at update {int(self._state.step)}: the network's gradients are not"
                f"; the last good state, update {self._store.latest}, is kept"
            )
        p, self._cosines = np.asarray(jax.nn.softmax(logits)), []
        nothing = float(p[identity_of(self._plan.space)])
        top = [summary.branch_name(self._plan.space, 0, int(i)) for i in np.argsort(-p)[:3]]
        step = int(self._state.step)
        # Directions other than the cosine's do not tell it.
        told = {} if np.isnan(cosine) else {"cosine": cosine}
        record: dict[str, Any] = {"step": step, "stage": name, "layer": layer + 1, **told}
        record |= {"entropy": summary.entropy(p), "identity": nothing, "top": top}
        record["seconds"], self._began = time.perf_counter() - self._began, time.perf_counter()
        self._bar.update(step, {"layer": layer + 1, **told, "identity": nothing})
        if is_main_process():
            with (self._path / COURSE).open("a") as file:
                file.write(json.dumps(record) + "\n")
        self._store.save(self._state, {})

    def _forget_after(self, step: int) -> None:
        """Drop records of updates that will be made again."""
        file = self._path / COURSE
        if is_main_process() and file.exists():
            kept = [record for record in read_history(file) if record["step"] <= step]
            write_text(file, "".join(json.dumps(record) + "\n" for record in kept))
