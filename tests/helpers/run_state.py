"""Stopping a run, and reading and comparing what it leaves behind."""

import signal

import jax
import numpy as np

from jaxaug.runs.checkpoint import Checkpointer
from jaxaug.train import experiment
from jaxaug.train.experiment import build_experiment
from jaxaug.train.hooks.console import ProgressBar


def final_state(workdir, config, step=None):
    """The newest checkpoint of a run (or that of `step`), as NumPy arrays by path."""
    checkpointer = Checkpointer(workdir / "checkpoints")
    state = checkpointer.restore(build_experiment(config).abstract_state(), step)
    checkpointer.close()
    state = state.replace(key=jax.random.key_data(state.key))
    return {jax.tree_util.keystr(k): np.asarray(v) for k, v in jax.tree_util.tree_leaves_with_path(state)}


def assert_same(one, other, tolerance=0.0):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=0, atol=tolerance, err_msg=name)


def on_devices(monkeypatch, count=1):
    """Experiments that are built from now on see so many devices alone: their mesh."""
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:count]), ("data",))
    monkeypatch.setattr(experiment, "make_mesh", lambda *_: mesh)
    return mesh


def stop_at(monkeypatch, number, step):
    """Raise the signal in this process when the progress bar reaches the step."""
    update = ProgressBar.update

    def update_and_raise(self, at, metrics):
        update(self, at, metrics)
        if at >= step:
            signal.raise_signal(number)

    monkeypatch.setattr(ProgressBar, "update", update_and_raise)
