"""Large arrays spread along the mesh's axis `fsdp`: the numbers of a whole state, and half the memory."""

import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.run_state import assert_same, final_state, stop_at
from helpers.settings import tiny_config

from jaxaug.core.errors import Interrupted, UsageError
from jaxaug.core.sharding import replicated, sharded_along
from jaxaug.core.types import Batch
from jaxaug.train import trainer
from jaxaug.train.experiment import build_experiment

EVERYTHING = ((".", "fsdp"),)
SPREAD = {"mesh": {"data": 1, "fsdp": -1}, "sharding": EVERYTHING}


def test_a_run_goes_on_in_another_layout(tmp_path, monkeypatch):
    """Whole, then spread, and read back whole: within 1e-6 the run that was left alone, in one folder."""
    config = tiny_config()
    trainer.train_and_evaluate(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, signal.SIGTERM, 9)
        with pytest.raises(Interrupted):
            trainer.train_and_evaluate(config, tmp_path / "other")
    trainer.train_and_evaluate(tiny_config(**SPREAD), tmp_path / "other")
    assert_same(*(final_state(tmp_path / name, config) for name in ("other", "whole")), tolerance=1e-6)


def test_each_device_holds_half_of_the_state():
    """By the compiler's own account; what is too small or odd to be cut is all that is held twice."""
    experiment = build_experiment(tiny_config(**SPREAD))
    spread, state = sharded_along(experiment.mesh, 0), experiment.abstract_state()
    shape = (64, *experiment.data.image_shape)

    def of(shape, dtype):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=spread)

    batch = Batch(of(shape, jnp.uint8), of((64,), jnp.int32), of((64,), jnp.int32))
    places = (experiment.shardings(), replicated(experiment.mesh))
    step = jax.jit(experiment.train_step, out_shardings=places, donate_argnums=0)
    compiled = step.lower(state, batch).compile()
    whole = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
    assert 0.5 * whole <= compiled.memory_analysis().alias_size_in_bytes < 0.56 * whole
    assert "f32[32,8,8,8]" in compiled.as_text()  # the rows are spread along both axes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mesh": {"data": 2, "fsdp": 2}}, r"config\.mesh: data=2, fsdp=2 does not fit 2 devices"),
        ({"sharding": (("[", "fsdp"),)}, r"config\.sharding: \('\[', 'fsdp'\) is no rule"),
        ({"mesh": {"data": -1, "fsdp": 2}, "sharding": (("head/bias", ("fsdp", "fsdp")),)}, r"more axes than params"),
    ],
)
def test_layouts_that_cannot_be(changes, message):
    """Before anything is compiled."""
    with pytest.raises(UsageError, match=message):
        build_experiment(tiny_config(**changes))


@pytest.mark.slow
def test_per_row_numbers_of_a_search_lie_on_both_axes():
    """AutoDO: a search step of a spread state is that of a whole one."""

    def stepped(**changes):
        config = tiny_config(loss=("learned_targets", "learned_weights"), **changes)
        config.model, config.augment.train = {"name": "linear"}, ()
        config.data.update(validation_size=128)
        config.search = {"name": "autodo", "start": 0, "every": 1, "batch_size": 64, "validation_batch_size": 64}
        experiment = build_experiment(config)
        places = experiment.shardings()
        state = jax.jit(experiment.init, out_shardings=places)(experiment.key)
        rows, validation = (
            Batch(part.image[:64], part.label[:64].astype(np.int32), part.index[:64])
            for part in (experiment.data.train, experiment.data.validation)
        )
        step = jax.jit(experiment.search.step, out_shardings=(places, replicated(experiment.mesh)))
        return step(state, rows, validation)[0]

    spread, whole = stepped(**SPREAD), stepped()
    per_row = jax.tree.leaves((spread.meta.per_example, spread.search_state.moments))
    assert {x.addressable_shards[0].data.shape[0] * 2 for x in per_row} == {len(spread.search_state.ids)}
    assert spread.params["head"]["kernel"].addressable_shards[0].data.size * 2 == spread.params["head"]["kernel"].size
    # RMSprop's first step divides by the gradient's size, which makes much of little.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=5e-6), spread.meta, whole.meta)
