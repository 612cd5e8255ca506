"""Reading and comparing what a run leaves behind."""

import jax
import numpy as np

from jaxaug.runs.checkpoint import Checkpointer
from jaxaug.train.experiment import build_experiment


def final_state(workdir, config, step=None):
    """The newest checkpoint of a run (or that of `step`), as NumPy arrays by path."""
    store = Checkpointer(workdir / "checkpoints")
    state = store.restore(build_experiment(config).abstract_state(), step)
    store.close()
    state = state.replace(key=jax.random.key_data(state.key))
    return {jax.tree_util.keystr(k): np.asarray(v) for k, v in jax.tree_util.tree_leaves_with_path(state)}


def assert_same(one, other, tolerance=0.0):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=0, atol=tolerance, err_msg=name)
