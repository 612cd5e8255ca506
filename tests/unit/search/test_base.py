"""What a trainer asks of a search: built from a config, each has what `SearchMethod` says."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.settings import tiny_config

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import list_names, resolve
from jaxaug.core.totals import Totals
from jaxaug.core.types import Batch, MetaParams
from jaxaug.policies import presets
from jaxaug.policies.learnable import initial_offsets
from jaxaug.policies.policy import Policy
from jaxaug.search import SearchMethod
from jaxaug.train.experiment import build_experiment

LEARNED = {"name": "policy", "preset": "affine", "exact": False, "border": "edge", "learned": "shared"}
SEARCHES = {
    "autodo": {"start": 0, "batch_size": 32, "validation_batch_size": 16},
    "dada": {"start": 0, "every": 2, "batch_size": 32, "validation_batch_size": 16},
    "deepaa": {"num_layers": 1, "updates": 1, "images": 2, "ops": ("Invert",), "levels": 3},
}
BESIDE = ("autodo", "dada")
OTHERS = {"learned"}  # searches nothing: tests/integration/test_search_runs.py


@pytest.fixture(scope="module")
def experiments():
    """name -> a run of two epochs with that search."""

    def one(name):
        config = tiny_config(epochs=2, loss=())
        config.model, config.data.validation_size = {"name": "linear"}, 100
        config.augment.train = (LEARNED,) if name in BESIDE else ()
        config.search = {"name": name, **SEARCHES[name]}
        return build_experiment(config)

    return {name: one(name) for name in SEARCHES}


def test_every_search_is_known_here():
    assert {name for name in list_names("search") if "." not in name} == {*SEARCHES, *OTHERS}
    assert all(issubclass(resolve("search", name), SearchMethod) for name in SEARCHES)


@pytest.mark.parametrize("name", SEARCHES)
def test_steps_due_never_fall(experiments, name):
    due = [experiments[name].search.due(step) for step in range(experiments[name].total_steps)]
    assert all(isinstance(number, int) and number >= 0 for number in due)
    assert due == sorted(due)
    assert (due[-1] > 0) == (name in BESIDE) == (experiments[name].search_totals is not None)


@pytest.mark.parametrize("name", BESIDE)
def test_rows_are_a_function_of_the_number(experiments, name):
    search, data = experiments[name].search, experiments[name].data
    for number in (0, 7, 100):
        found = search.rows(number)
        for rows, split, size in zip(found, (data.train, data.validation), (32, 16), strict=True):
            assert rows.dtype == np.int32
            assert len(set(rows.tolist())) == len(rows) == size
            assert 0 <= rows.min() <= rows.max() < len(split)
        for rows, again, other in zip(found, search.rows(number), search.rows(number + 1), strict=True):
            np.testing.assert_array_equal(rows, again)
            assert not np.array_equal(rows, other)


@pytest.mark.parametrize("name", BESIDE)
def test_a_step_keeps_the_form_of_the_state(experiments, name):
    experiment = experiments[name]
    state = jax.eval_shape(experiment.init, experiment.key)

    def batch_of(rows):
        image = jnp.zeros((len(rows), *experiment.data.image_shape), jnp.uint8)
        return Batch(image, jnp.zeros(len(rows), jnp.int32), jnp.asarray(rows))

    batches = map(batch_of, experiment.search.rows(0))
    after, totals = jax.eval_shape(experiment.search.step, state, *batches)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), state)
    assert isinstance(totals, Totals)
    assert totals.sums.keys() == experiment.search_totals.sums.keys()
    assert all(figure.startswith("search_") for figure in totals.sums)


def run_of(path, **fields):
    return types.SimpleNamespace(path=path, learned=None, **fields)


@pytest.mark.parametrize("name", BESIDE)
def test_what_all_rows_share_is_exported(experiments, name, tmp_path):
    experiment = experiments[name]
    policy = presets.affine()
    offsets = jax.tree.map(lambda x: x + 0.5, initial_offsets(policy))
    state = types.SimpleNamespace(meta=MetaParams(shared={"policy": offsets}))
    run = types.SimpleNamespace(path=tmp_path, state=state, learned=experiment.learned)
    assert experiment.search.finish(run) == {}
    experiment.search.export(run)
    found = Policy.load(tmp_path / "policy.json")
    assert not np.allclose(found.level, policy.level)


def test_a_method_that_does_nothing(tmp_path):
    """It trains as without a search: no step is due, nothing is left behind."""
    method, meta = SearchMethod(), MetaParams({"weight": jnp.zeros(())}, {"power": jnp.ones(())})
    assert method.due(10**6) == 0
    begun, state = method.init(meta, np.array([3, 1, 2], np.int32), 2)
    assert state.ids[:3].tolist() == [1, 2, 3]
    assert len(begun.per_example["weight"]) == len(state.ids)
    assert len(state.ids) % 2 == 0  # divided among two devices
    assert begun.shared["power"] == 1
    assert int(state.step) == 0
    assert (state.moments, state.shared) == ((), ())
    data = object()
    assert method.prepare_data(data, 0) is data
    assert method.setup(None) is None
    run = run_of(tmp_path, state=types.SimpleNamespace(meta=MetaParams()))
    assert method.finish(run) == {}
    method.export(run)
    assert not list(tmp_path.iterdir())


def test_steps_that_are_not_written():
    class Half(SearchMethod):
        def due(self, step):
            return step

    with pytest.raises(UsageError, match="Half takes steps, but has no method rows"):
        Half().rows(0)
    with pytest.raises(UsageError, match="Half takes steps, but has no method step"):
        Half().step(None, None, None)
