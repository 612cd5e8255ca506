"""A search of one's own beside a training: a class with rows and a step, taken by the hook."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.settings import tiny_config

from jaxaug.core import registry
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import list_names, register
from jaxaug.core.sharding import replicated
from jaxaug.core.totals import totals_of
from jaxaug.data import Loader
from jaxaug.search import SearchMethod
from jaxaug.train.experiment import build_experiment
from jaxaug.train.hooks.search import BilevelHook


@dataclasses.dataclass(eq=False)
class Counting(SearchMethod):
    """Adds up the numbers of the rows it is given.

    Attributes:
      every: training steps between two of its own.
      bad_from: the search step from which on its metric is not finite.
    """

    every: int = 2
    bad_from: int = 100

    def setup(self, context):
        self.context = context

    def due(self, step):
        return step // self.every

    def rows(self, number):
        return np.arange(4, dtype=np.int32) + number, np.arange(2, dtype=np.int32)

    def step(self, state, batch, validation):
        number = state.search_state.step
        metric = jnp.mean(batch.index.astype(jnp.float32))
        params = jax.tree.map(lambda x: x + 1.0, state.params)
        state = state.replace(params=params, search_state=state.search_state.replace(step=number + 1))
        sums = {"search_index": (metric, jnp.ones(())), "search_trusted": (jnp.sum(validation.labelled), jnp.ones(()))}
        return state, totals_of(sums, number < self.bad_from, state.step)


@pytest.fixture
def counting(monkeypatch):
    """`counting(**options)` builds a run with that search: (its experiment, its first state, its hook)."""
    for family in registry.FAMILIES:  # what is registered below a patch is lost with it
        list_names(family)
    monkeypatch.setattr(registry, "_TABLES", {family: dict(table) for family, table in registry._TABLES.items()})
    register("search", "counting")(Counting)

    def build(taken=0, **options):
        config = tiny_config(loss=())
        config.model, config.augment.train = {"name": "linear"}, ()
        config.data.validation_size = 100
        config.search = {"name": "counting", **options}
        experiment = build_experiment(config)
        loader = Loader(experiment.data.train, experiment.mesh)
        state = jax.jit(experiment.init, out_shardings=experiment.shardings())(experiment.key)
        return experiment, state, BilevelHook(experiment, loader, taken)

    return build


def test_it_is_built_with_the_parts_of_the_run(counting):
    experiment, _, _ = counting()
    search = experiment.search
    assert search.context.data is experiment.data
    assert (search.context.steps_per_epoch, search.context.epochs) == (experiment.steps_per_epoch, 1)
    assert set(experiment.search_totals.sums) == {"search_index", "search_trusted"}


def test_steps_that_are_due_are_taken_and_counted(counting):
    experiment, state, hook = counting(every=2)
    begun = jax.device_get(state.params)
    assert hook.metrics() == {}
    assert [list(hook.steps_before(step)) for step in (0, 1, 2, 5)] == [[], [], [0], [0, 1]]
    for _ in range(2):
        state = hook.take(state)
    assert list(hook.steps_before(5)) == []
    assert list(hook.steps_before(6)) == [2]
    index = experiment.data.train.index
    expected = np.mean([index[number : number + 4].mean() for number in range(2)])
    assert hook.metrics() == {"search_index": pytest.approx(expected), "search_trusted": 2.0}
    for one, other in zip(jax.tree.leaves(state.params), jax.tree.leaves(begun), strict=True):
        np.testing.assert_allclose(one, other + 2.0, rtol=1e-6)
    assert int(state.search_state.step) == 2
    assert state.params["head"]["kernel"].sharding == replicated(experiment.mesh)
    hook.begin_record()
    assert hook.metrics() == {}
    state = hook.take(state)
    assert hook.metrics()["search_index"] == pytest.approx(index[2:6].mean())


def test_a_resumed_search_goes_on_with_its_number(counting):
    _, _, hook = counting(taken=3, every=2)
    assert list(hook.steps_before(10)) == [3, 4]


def test_metrics_that_are_not_finite(counting):
    _, state, hook = counting(bad_from=1)
    state = hook.take(state)
    hook.metrics()
    hook.take(state)
    with pytest.raises(
        UsageError, match=r"the search's gradient is not finite at training step 0: lower config\.search"
    ):
        hook.metrics()


def test_a_search_without_steps_has_no_totals(counting):
    """Then a trainer makes no hook for it."""
    config = tiny_config(loss=())
    config.model, config.search = {"name": "linear"}, {"name": "counting", "every": 1000}
    experiment = build_experiment(config)
    assert experiment.search is not None
    assert experiment.search_totals is None
