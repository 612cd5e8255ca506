"""Checkpoints: states come back bit for bit, the best by any metric is kept, another model's are refused."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug.core.errors import UsageError
from jaxaug.core.sharding import make_mesh, replicated
from jaxaug.runs.checkpoint import Checkpointer, all_finite, tree_structure


class State(flax.struct.PyTreeNode):
    step: jax.Array
    params: dict[str, jax.Array]
    key: jax.Array


def state_of(step, size=3):
    def build():
        return State(jnp.int32(step), {"w": jnp.arange(size) / 7 + step}, jax.random.key(step))

    return jax.jit(build, out_shardings=replicated(make_mesh()))()


def abstract_of(state):
    everywhere = replicated(make_mesh())
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere), jax.eval_shape(lambda: state)
    )


def saved(folder, figures, **options):
    """One checkpoint of every (step, record); the folder's steps afterwards."""
    checkpointer = Checkpointer(folder, **options)
    for step, record in figures.items():
        checkpointer.save(state_of(step), record)
    checkpointer.close()
    return sorted(int(path.name) for path in folder.iterdir() if path.is_dir())


@pytest.mark.parametrize("best", ["validation_top1", "validation_mean_iou"])
def test_the_best_and_the_latest_are_kept(tmp_path, best):
    scores = {1: 0.2, 2: 0.9, 3: 0.1, 4: 0.3, 5: 0.4}
    assert saved(tmp_path, {step: {best: score} for step, score in scores.items()}, best=best) == [2, 4, 5]
    checkpointer = Checkpointer(tmp_path, best=best)
    for asked, step in ((None, 5), (2, 2)):
        found, expected = checkpointer.restore(abstract_of(state_of(0)), asked), state_of(step)
        np.testing.assert_array_equal(found.params["w"], expected.params["w"])
        np.testing.assert_array_equal(jax.random.key_data(found.key), jax.random.key_data(expected.key))
        assert int(found.step) == step
    checkpointer.close()


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    """A reader that names less than the run did is content with what it names."""
    about = {"data": "digits", "model": "convnet"}
    saved(tmp_path, {3: {}}, about=about)
    abstract = abstract_of(state_of(0))
    for known in (about, {"data": "digits"}, None):
        checkpointer = Checkpointer(tmp_path, known)
        assert int(checkpointer.restore(abstract).step) == 3
        checkpointer.close()
    for known, expected, message in (
        ({**about, "model": "resnet"}, abstract, "model: checkpoint convnet, this run resnet"),
        ({**about, "task": "any"}, abstract, "task: checkpoint nothing, this run any"),
        (about, abstract_of(state_of(0, size=4)), r"w.*: checkpoint float32\[3\], this run float32\[4\]"),
    ):
        checkpointer = Checkpointer(tmp_path, known)
        with pytest.raises(UsageError, match=message):
            checkpointer.restore(expected)
        checkpointer.close()


def test_nothing_to_restore(tmp_path):
    checkpointer = Checkpointer(tmp_path)
    assert checkpointer.latest is None
    assert checkpointer.restore(abstract_of(state_of(0))) is None
    checkpointer.close()


def test_structure_and_finiteness():
    tree = {"a": np.zeros((2, 3), np.float32), "b": np.int32(4)}
    assert tree_structure(tree) == {"['a']": "float32[2, 3]", "['b']": "int32[]"}
    assert all_finite(tree)
    assert all_finite({"b": np.int32(4)})
    assert not all_finite({"a": np.array([1, np.nan], np.float32)})
